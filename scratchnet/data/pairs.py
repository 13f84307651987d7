"""Pairs of drawings for verification: half of the same character, half of different ones (section 4.1)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scratchnet.errors import DataError


@dataclass(frozen=True)
class Pairs:
    """P pairs of drawings by number, `first` and `second` (P,) int64; `labels` (P,) float32: 1 same, 0 different."""

    first: np.ndarray
    second: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


def sample_pairs(numbers: Sequence[np.ndarray], count: int, *, rng: np.random.Generator) -> Pairs:
    """`count` random pairs, every second one of the same character, the same number from each alphabet.

    numbers: for each alphabet the (characters, drawers) numbers of its drawings. A pair of the same character is by
    two drawers; a pair of different characters is from one alphabet, by any two drawers. Raises DataError when
    there is no alphabet, or one has fewer than two characters or two drawers.
    """
    if not numbers:
        raise DataError("no alphabets to draw pairs from: expected at least one")
    sizes = np.array([table.shape for table in numbers])  # (alphabets, 2): characters, drawers
    if sizes.min() < 2:
        raise DataError("an alphabet with one character or one drawer makes no pairs: expected two or more of each")
    pair = np.arange(count)
    same = pair % 2 == 0
    alphabet = (pair // 2) % len(numbers)
    characters, drawers = sizes[alphabet].T

    def below(limit: np.ndarray) -> np.ndarray:
        return (rng.random(count) * limit).astype(np.int64)

    character, drawer = below(characters), below(drawers)
    another_character = (character + 1 + below(characters - 1)) % characters
    another_drawer = (drawer + 1 + below(drawers - 1)) % drawers
    second_character = np.where(same, character, another_character)
    second_drawer = np.where(same, another_drawer, below(drawers))

    first, second = np.empty(count, np.int64), np.empty(count, np.int64)
    for k, table in enumerate(numbers):
        here = alphabet == k
        first[here] = table[character[here], drawer[here]]
        second[here] = table[second_character[here], second_drawer[here]]
    return Pairs(first, second, same.astype(np.float32))
