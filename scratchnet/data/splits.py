"""Which alphabets and drawers are for training, which to choose by, and which to test on."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from scratchnet.data.alphabets import Alphabet, pick, without
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.data.locate import find_data
from scratchnet.data.mnist import load_mnist
from scratchnet.data.omniglot import load_omniglot

GLYPH_TRAIN, GLYPH_VALIDATION, GLYPH_TEST = 40, 5, 10  # generated alphabets, in this order


@dataclass(frozen=True)
class Split:
    """Alphabets for training, for choosing settings and epochs, and for the final figure; no two sets share one."""

    train: list[Alphabet]
    validation: list[Alphabet]
    test: list[Alphabet] = field(default_factory=list)


def glyph_split(image_size: int) -> Split:
    """Generated alphabets, always the same ones, so that runs can be compared."""
    count = GLYPH_TRAIN + GLYPH_VALIDATION + GLYPH_TEST
    alphabets = generate_alphabets(count, characters=20, drawers=12, image_size=image_size, seed=0)
    validation, test = GLYPH_TRAIN, GLYPH_TRAIN + GLYPH_VALIDATION
    return Split(alphabets[:validation], alphabets[validation:test], alphabets[test:])


def background_split(data: Path | str | None, validation: Sequence[str], drawers: int = 20) -> Split:
    """Omniglot's background set with the alphabets called `validation` cut out, never to be trained on.

    The first `drawers` drawers are for training; the next four, or all where no others are left, draw the validation.
    Raises DataError when the data are missing or damaged, or have no such alphabet.
    """
    alphabets = load_omniglot(find_data(data, "images_background.zip", "images_background"))
    others = slice(drawers, drawers + 4) if drawers < alphabets[0].drawers else slice(None)
    return Split(
        [alphabet.drawn_by(slice(drawers)) for alphabet in without(alphabets, validation)],
        [alphabet.drawn_by(others) for alphabet in pick(alphabets, validation)],
    )


def mnist_digits(data: Path | str | None) -> Alphabet:
    """The MNIST test digits as one alphabet: 10 characters with as many drawings each as the rarest digit has."""
    images, labels = load_mnist(data)
    drawings = np.bincount(labels, minlength=10).min()
    return Alphabet("MNIST", np.stack([images[labels == digit][:drawings] for digit in range(10)]))
