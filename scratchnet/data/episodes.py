"""Episodes: a few characters of one alphabet, as supports and as queries by different drawers."""

from collections.abc import Sequence

import numpy as np

from scratchnet.errors import DataError


def sample_episodes(
    numbers: Sequence[np.ndarray], episodes: int, *, n_way: int, rng: np.random.Generator, hands: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Sample the queries and supports of E = `episodes` episodes: numbers of drawings, (E, hands, n_way) int64 each.

    Query [e, i, c] and support [e, j, c] show the same character for all i and j, each by a different drawer.
    numbers: for each alphabet, the numbers (characters, drawers) of its drawings, -1 after the last drawer of a
    character that has fewer than others. Alphabets are drawn without replacement until all have been used, with
    probabilities proportional to their numbers of characters; the drawers are drawn anew for each character.

    A character with fewer than 2 hands drawers gives half of them to the queries and the others to the supports, each
    several times. One with a single drawer is only a support: its query shows another character of the episode.
    Raises DataError if no alphabet has n_way characters, one of them by two drawers.
    """
    large = [table for table in numbers if len(table) >= n_way and _drawers(table).max(initial=0) > 1]
    if not large:
        largest = max((len(table) for table in numbers if _drawers(table).max(initial=0) > 1), default=0)
        raise DataError(
            f"episodes of {n_way} characters by 2 drawers need an alphabet with that many: the largest has {largest}"
        )
    odds = np.array([len(table) for table in large], dtype=float)
    alphabets = [
        alphabet
        for start in range(0, episodes, len(large))
        for alphabet in rng.choice(len(large), min(len(large), episodes - start), replace=False, p=odds / odds.sum())
    ]
    turns = np.stack([_turns(drawers, hands) for drawers in range(2 * hands + 1)])
    drawings = np.empty((episodes, 2 * hands, n_way), np.int64)
    for episode, alphabet in enumerate(alphabets):
        table = large[alphabet]
        characters = rng.choice(len(table), n_way, replace=False)
        drawers = _drawers(table[characters])
        if drawers.max() < 2:  # nothing to ask about
            characters[0] = rng.choice(np.flatnonzero(_drawers(table) > 1))
            drawers = _drawers(table[characters])
        present = table[characters] >= 0
        order = np.where(present, rng.random(present.shape), 2.0).argsort(axis=1)  # those that are not there: last
        chosen = np.take_along_axis(order, turns[np.minimum(drawers, 2 * hands)], axis=1)
        drawings[episode] = table[characters[:, None], chosen].T
        alone = np.flatnonzero(drawers < 2)
        if len(alone):
            others = rng.choice(np.flatnonzero(drawers > 1), len(alone))
            drawings[episode][:hands, alone] = drawings[episode][:hands, others]
    return drawings[:, :hands], drawings[:, hands:]


def _drawers(table: np.ndarray) -> np.ndarray:
    """How many drawers (characters,) each character has."""
    return np.count_nonzero(table >= 0, axis=1)


def _turns(drawers: int, hands: int) -> np.ndarray:
    """Which of so many drawers draws each query, then each support: (2 hands,)."""
    asked = min(max(drawers // 2, 1), hands)
    others = max(drawers - asked, 1)
    hand = np.arange(hands)
    return np.concatenate([hand % asked, (asked if drawers > 1 else 0) + hand % others])
