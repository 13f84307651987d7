"""Alphabets whose characters have different numbers of drawings, as collections of one's own have.

Nothing is left out to make the characters equal: every drawing trains and is judged. A character with one drawing can
only be a support, since a query needs another drawing as its support.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from scratchnet.data.alphabets import Alphabet
from scratchnet.errors import DataError, ShapeError
from scratchnet.images.ink import expect_ink

NONE = -1  # in a table, where a character has no more drawers


@dataclass(frozen=True)
class UnevenAlphabet(Alphabet):
    """An alphabet of P drawings, of as many characters as its table has rows.

    images: (P, H, W) bool or float, ink 1 and paper 0. table: (characters, D) int64, for each drawer of a character the
    number of his first drawing of it, and NONE after the last drawer. repeats: (P,) int64, how many drawings from this
    one on are by the same drawer, of the same character. asked: (P,) bool, which drawings may be queries; the others
    are then the supports. None lets every drawing be either. classes: the names of the characters.
    Raises ShapeError and DataError as Alphabet does, and DataError for a character without a drawing.
    """

    table: NDArray[np.int64]
    repeats: NDArray[np.int64]
    classes: tuple[str, ...]
    asked: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        shape = self.images.shape
        if len(shape) != 3 or 0 in shape[1:]:
            raise ShapeError(f"alphabet {self.name!r} has images of shape {shape}, expected (P, H, W)")
        if self.table.ndim != 2 or not self.table.size or self.table[:, 0].min() < 0:
            raise DataError(f"alphabet {self.name!r} has a character without a drawing: leave it out")
        self.expect_ink()

    @classmethod
    def of(cls, name: str, images: np.ndarray, drawers: Mapping[str, Sequence[str]]) -> "UnevenAlphabet":
        """The alphabet of images (P, H, W) that lie in the order of `drawers`: for each class, who drew each of them.

        The drawings of a class by one drawer have to follow one another.
        """
        names = [(label, drawer) for label, (_, own) in enumerate(drawers.items()) for drawer in own]
        rows: list[list[int]] = [[] for _ in drawers]
        repeats = np.ones(len(names), np.int64)
        for number in reversed(range(len(names))):
            if number + 1 < len(names) and names[number + 1] == names[number]:
                repeats[number] += repeats[number + 1]
        for number, (label, _) in enumerate(names):
            if number == 0 or names[number - 1] != names[number]:
                rows[label].append(number)
        return cls(name, images, _padded(rows), repeats, tuple(drawers))

    def expect_ink(self) -> None:
        """Check the images again, as on creation: they may have been modified since."""
        expect_ink(f"images of alphabet {self.name!r}", self.images, lambda n: f"alphabet {self.name!r}, drawing {n},")

    @property
    def characters(self) -> int:
        """The number of characters."""
        return len(self.table)

    @property
    def drawers(self) -> int:
        """The most drawers that a character has."""
        return self.table.shape[1]

    @property
    def numbers(self) -> np.ndarray:
        """The table."""
        return self.table

    @property
    def labels(self) -> np.ndarray:
        """The character (P,) int64 of each drawing."""
        labels = np.zeros(len(self.images), np.int64)
        for character, row in enumerate(self.table):
            for first in _present(row):
                labels[first : first + self.repeats[first]] = character
        return labels

    @cached_property
    def askable(self) -> np.ndarray:
        """The characters that can be asked about: those with a drawer for the query and another for the support."""
        parts = [self.known_and_asked(character) for character in range(self.characters)]
        least = 2 if self.asked is None else 1
        return np.flatnonzero([len(known) >= least and len(asked) >= 1 for known, asked in parts])

    def known_and_asked(self, character: int) -> tuple[np.ndarray, np.ndarray]:
        """The drawings of a character, one by each drawer, that may be supports, and those that may be queries."""
        row = _present(self.table[character])
        if self.asked is None:
            return row, row
        return row[~self.asked[row]], row[self.asked[row]]

    def of_characters(self, characters: Sequence[int]) -> "UnevenAlphabet":
        """The same alphabet with these characters only."""
        return _with_table(self, [_present(self.table[c]) for c in characters], characters)

    def kept_out(self, share: float, rng: np.random.Generator) -> tuple["UnevenAlphabet", "UnevenAlphabet"]:
        """Keep out this share of the drawers of each character that has three or more, at least one of them.

        Returns the alphabet without their drawings; and all of it, with their drawings as the queries that are asked.
        """
        asked = np.zeros(len(self.images), bool)
        rows = []
        for row in map(_present, self.table):
            count = max(1, round(share * len(row))) if len(row) >= 3 else 0
            chosen = rng.permutation(len(row)) < count
            for first in row[chosen]:
                asked[first : first + self.repeats[first]] = True
            rows.append(row[~chosen])
        whole = UnevenAlphabet(self.name, self.images, self.table, self.repeats, self.classes, asked)
        return _with_table(self, rows, range(self.characters)), whole


def uneven(alphabet: Alphabet) -> UnevenAlphabet:
    """Any alphabet as an uneven one."""
    if isinstance(alphabet, UnevenAlphabet):
        return alphabet
    names = tuple(f"{number + 1}" for number in range(alphabet.characters))
    return UnevenAlphabet(
        alphabet.name, alphabet.drawings, alphabet.numbers, np.ones(alphabet.numbers.size, np.int64), names
    )


def together(alphabets: Sequence[Alphabet]) -> UnevenAlphabet:
    """Several alphabets as one, with all their drawings."""
    parts = [uneven(alphabet) for alphabet in alphabets]
    if len(parts) == 1:
        return parts[0]
    starts = np.cumsum([0, *(len(part.images) for part in parts)])
    rows = [_present(row) + start for part, start in zip(parts, starts, strict=False) for row in part.table]
    asked = None
    if any(part.asked is not None for part in parts):
        asked = np.concatenate([np.zeros(len(p.images), bool) if p.asked is None else p.asked for p in parts])
    return UnevenAlphabet(
        ", ".join(part.name for part in parts) if len(parts) < 4 else f"{len(parts)} alphabets together",
        np.concatenate([part.images for part in parts]),
        _padded(rows),
        np.concatenate([part.repeats for part in parts]),
        tuple(name for part in parts for name in part.classes),
        asked,
    )


def pooled(alphabets: Iterable[Alphabet], n_way: int) -> list[Alphabet]:
    """The alphabets, the small ones put together until each has n_way characters, so that none is left out.

    If all of them have fewer together, they become one alphabet.
    """
    groups: list[list[Alphabet]] = []
    for alphabet in sorted(alphabets, key=lambda alphabet: alphabet.characters):
        if groups and sum(each.characters for each in groups[-1]) < n_way:
            groups[-1].append(alphabet)
        else:
            groups.append([alphabet])
    if len(groups) > 1 and sum(each.characters for each in groups[-1]) < n_way:
        groups[-2:] = [groups[-2] + groups[-1]]
    return [group[0] if len(group) == 1 else together(group) for group in groups]


def drawn_again(numbers: NDArray[np.int64], repeats: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """For each number, that of a random drawing of the same character by the same drawer.

    No random number is drawn where each drawer has drawn each character once, as in Omniglot.
    """
    if repeats.max(initial=1) == 1:
        return numbers
    return numbers + (rng.random(numbers.shape) * repeats[numbers]).astype(np.int64)


def _present(row: np.ndarray) -> np.ndarray:
    return row[row != NONE]


def _padded(rows: Sequence[Sequence[int] | np.ndarray]) -> np.ndarray:
    table = np.full((len(rows), max((len(row) for row in rows), default=0)), NONE)
    for row, numbers in zip(table, rows, strict=True):
        row[: len(numbers)] = numbers
    return table


def _with_table(alphabet: UnevenAlphabet, rows: Sequence[np.ndarray], characters: Sequence[int]) -> UnevenAlphabet:
    """The alphabet with only the drawings in these rows, of these characters, and without the others' images."""
    runs = [np.arange(first, first + alphabet.repeats[first]) for row in rows for first in row]
    kept = np.concatenate(runs) if runs else np.zeros(0, np.int64)
    new_number = np.full(len(alphabet.images), NONE)
    new_number[kept] = np.arange(len(kept))
    return UnevenAlphabet(
        alphabet.name,
        alphabet.images[kept],
        _padded([new_number[row] for row in rows]),
        alphabet.repeats[kept],
        tuple(alphabet.classes[c] for c in characters),
        None if alphabet.asked is None else alphabet.asked[kept],
    )
