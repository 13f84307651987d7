"""Pairs of drawings for verification: half of the same character, half of different ones (section 4.1 of the paper)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scratchnet.errors import DataError


@dataclass(frozen=True)
class Pairs:
    """P pairs of drawings: their numbers `first` and `second` (P,) int64; `labels` (P,) float32, 1 for the same."""

    first: np.ndarray
    second: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


def sample_pairs(numbers: Sequence[np.ndarray], count: int, *, rng: np.random.Generator, across: bool = False) -> Pairs:
    """Sample `count` random pairs, every other one of the same character, as many from each alphabet.

    numbers: for each alphabet, the numbers (characters, drawers) of its drawings, -1 after the last drawer of a
    character that has fewer than others. The drawers of the same character differ; different characters come from one
    alphabet or, with `across`, from two, by any two drawers. A character with one drawer is only in pairs of different
    ones. Raises DataError if there is no alphabet, or only one to draw across, or if one has fewer than two characters
    or no character with two drawers.
    """
    if not numbers:
        raise DataError("no alphabets to draw pairs from: expected at least one")
    if across and len(numbers) < 2:
        raise DataError("one alphabet makes no pairs across alphabets: expected two or more")
    tables = [table[np.argsort(_drawers(table) < 2, kind="stable")] for table in numbers]  # one drawer: at the end
    sizes = np.array([(len(table), np.count_nonzero(_drawers(table) > 1)) for table in tables])
    if sizes[:, 0].min() < 2 or sizes[:, 1].min() < 1:
        raise DataError("an alphabet with one character or one drawer makes no pairs: expected two or more of each")
    most = max(len(table) for table in tables)
    drawers_of = np.stack([np.resize(_drawers(table), most) for table in tables])  # (alphabets, characters)
    pair = np.arange(count)
    same = pair % 2 == 0
    alphabet = (pair // 2) % len(tables)
    characters, repeated = sizes[alphabet].T

    def below(limit: np.ndarray | int) -> np.ndarray:
        return (rng.random(count) * limit).astype(np.int64)

    character = below(np.where(same, repeated, characters))
    drawers = drawers_of[alphabet, character]
    drawer = below(drawers)
    another_character = (character + 1 + below(characters - 1)) % characters
    another_drawer = (drawer + 1 + below(drawers - 1)) % drawers
    second_alphabet = alphabet
    if across:
        second_alphabet = np.where(same, alphabet, (alphabet + 1 + below(len(tables) - 1)) % len(tables))
        another_character = below(sizes[second_alphabet, 0])
    second_character = np.where(same, character, another_character)
    second_drawer = np.where(same, another_drawer, below(drawers_of[second_alphabet, second_character]))

    first, second = np.empty(count, np.int64), np.empty(count, np.int64)
    for k, table in enumerate(tables):
        here, there = alphabet == k, second_alphabet == k
        first[here] = table[character[here], drawer[here]]
        second[there] = table[second_character[there], second_drawer[there]]
    return Pairs(first, second, same.astype(np.float32))


def _drawers(table: np.ndarray) -> np.ndarray:
    """How many drawers (characters,) each character has."""
    return np.count_nonzero(table >= 0, axis=1)
