"""Episodes: a few characters of one alphabet, as supports and as queries by different drawers."""

from collections.abc import Sequence

import numpy as np

from scratchnet.errors import DataError


def sample_episodes(
    numbers: Sequence[np.ndarray], episodes: int, *, n_way: int, rng: np.random.Generator, hands: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Sample the queries and supports of E = `episodes` episodes: numbers of drawings, (E, hands, n_way) int64 each.

    Query [e, i, c] and support [e, j, c] show the same character for all i and j, each by a different drawer.
    numbers: for each alphabet, the numbers (characters, drawers) of its drawings. Alphabets are drawn without
    replacement until all have been used, with probabilities proportional to their numbers of characters; the drawers
    are drawn anew for each character. Raises DataError if no alphabet has n_way characters by 2 hands drawers.
    """
    large = [table for table in numbers if len(table) >= n_way and table.shape[1] >= 2 * hands]
    if not large:
        largest = max((len(table) for table in numbers if table.shape[1] >= 2 * hands), default=0)
        raise DataError(
            f"episodes of {n_way} characters by {2 * hands} drawers need an alphabet with that many: "
            f"the largest has {largest}"
        )
    odds = np.array([len(table) for table in large], dtype=float)
    alphabets = [
        alphabet
        for start in range(0, episodes, len(large))
        for alphabet in rng.choice(len(large), min(len(large), episodes - start), replace=False, p=odds / odds.sum())
    ]
    drawings = np.empty((episodes, 2 * hands, n_way), np.int64)
    for episode, alphabet in enumerate(alphabets):
        table = large[alphabet]
        characters = rng.choice(len(table), n_way, replace=False)
        drawers = rng.random((n_way, table.shape[1])).argsort(axis=1)[:, : 2 * hands]
        drawings[episode] = table[characters[:, None], drawers].T
    return drawings[:, :hands], drawings[:, hands:]
