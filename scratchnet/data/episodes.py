"""Episodes: a few characters, each drawn once as support and once as query, all of one alphabet."""

from collections.abc import Sequence

import numpy as np

from scratchnet.errors import DataError


def sample_episodes(
    numbers: Sequence[np.ndarray], episodes: int, n_way: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Queries and supports of `episodes` episodes by number, (E, n_way) int64 each; query i fits support i.

    numbers: for each alphabet the (characters, drawers) numbers of its drawings. Each episode has an alphabet of its
    own (again from the first when all were used), drawn with odds that follow its number of characters, and each
    character two different drawers of its own. Raises DataError when no alphabet has n_way characters
    by two drawers.
    """
    large = [table for table in numbers if len(table) >= n_way and table.shape[1] >= 2]
    if not large:
        largest = max((len(table) for table in numbers if table.shape[1] >= 2), default=0)
        raise DataError(
            f"episodes of {n_way} characters by two drawers need an alphabet with that many: the largest has {largest}"
        )
    odds = np.array([len(table) for table in large], dtype=float)
    alphabets = [
        alphabet
        for start in range(0, episodes, len(large))
        for alphabet in rng.choice(len(large), min(len(large), episodes - start), replace=False, p=odds / odds.sum())
    ]
    queries, supports = np.empty((episodes, n_way), np.int64), np.empty((episodes, n_way), np.int64)
    for episode, alphabet in enumerate(alphabets):
        table = large[alphabet]
        characters = rng.choice(len(table), n_way, replace=False)
        drawers = rng.integers(table.shape[1], size=n_way)
        others = (drawers + 1 + rng.integers(table.shape[1] - 1, size=n_way)) % table.shape[1]
        queries[episode], supports[episode] = table[characters, drawers], table[characters, others]
    return queries, supports
