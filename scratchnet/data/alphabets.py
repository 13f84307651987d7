"""Alphabets of drawn characters, the structure shared by Omniglot, the generated glyphs and the samplers."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from scratchnet.common.spelling import hint
from scratchnet.errors import DataError, ShapeError
from scratchnet.images.ink import expect_ink


@dataclass(frozen=True)
class Alphabet:
    """One alphabet, in which every drawer has drawn every character once; `UnevenAlphabet` does without that.

    images: (characters, drawers, H, W) bool, ink True and paper False; or float from 0 for paper to 1 for ink.
    `images[:, d]` is the work of one drawer. Raises ShapeError for other dtypes and shapes; DataError, naming character
    and drawer, for values outside 0 to 1, NaN, infinity, and negatives (paper 1, as `images/ink.py` defines them).
    """

    name: str
    images: np.ndarray

    def __post_init__(self) -> None:
        shape = self.images.shape
        if len(shape) != 4 or 0 in shape[2:]:
            raise ShapeError(
                f"alphabet {self.name!r} has images of shape {shape}, expected (characters, drawers, H, W)"
            )
        self.expect_ink()

    def expect_ink(self) -> None:
        """Check the images again, as on creation: they may have been modified since."""
        expect_ink(
            f"images of alphabet {self.name!r}",
            self.images,
            lambda character, drawer: f"alphabet {self.name!r}, character {character}, drawer {drawer},",
        )

    @property
    def characters(self) -> int:
        """The number of characters."""
        return self.images.shape[0]

    @property
    def drawers(self) -> int:
        """The number of drawers, which is the number of drawings of each character."""
        return self.images.shape[1]

    @property
    def drawings(self) -> np.ndarray:
        """All drawings (P, H, W), numbered from 0."""
        return self.images.reshape(-1, *self.images.shape[-2:])

    @property
    def numbers(self) -> np.ndarray:
        """The numbers (characters, drawers) int64 of the drawings."""
        return np.arange(self.characters * self.drawers).reshape(self.characters, self.drawers)

    def drawn_by(self, drawers: slice | Sequence[int]) -> "Alphabet":
        """The same alphabet, restricted to these drawers."""
        return Alphabet(self.name, self.images[:, drawers])


def pick(alphabets: Sequence[Alphabet], names: Sequence[str]) -> list[Alphabet]:
    """The alphabets called `names`, in that order. Raises DataError for an unknown name."""
    by_name = {alphabet.name: alphabet for alphabet in alphabets}
    missing = [name for name in names if name not in by_name]
    if missing:
        raise DataError(
            f"no alphabet called {', '.join(missing)}{hint(missing[0], by_name)}; "
            f"there are {', '.join(sorted(by_name))}"
        )
    return [by_name[name] for name in names]


def without(alphabets: Sequence[Alphabet], names: Sequence[str]) -> list[Alphabet]:
    """The alphabets whose names are not among `names`."""
    return [alphabet for alphabet in alphabets if alphabet.name not in names]


def digest(alphabets: Iterable[Alphabet]) -> str:
    """The SHA-256 of the drawings in order, in hexadecimal; it depends neither on names nor on the source files."""
    hasher = hashlib.sha256()
    for alphabet in alphabets:
        images = alphabet.images
        hasher.update(f"{images.dtype.str} {images.shape} ".encode())
        hasher.update((np.packbits(images) if images.dtype == bool else np.ascontiguousarray(images)).data)
        if images.ndim == 3:  # an uneven alphabet, whose shape does not say which drawing shows which character
            hasher.update(f"{alphabet.numbers.shape} ".encode() + alphabet.numbers.tobytes())
    return hasher.hexdigest()
