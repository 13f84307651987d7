"""Which alphabets and drawers are used for training, for validation and for testing."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from scratchnet.data.alphabets import Alphabet, pick, without
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.data.locate import find_data
from scratchnet.data.mnist import load_mnist
from scratchnet.data.omniglot import load_omniglot
from scratchnet.errors import DataError

PAPER_DRAWERS = 20
BACKGROUND_FILES = ("images_background.zip", "images_background")
VALIDATION_ALPHABETS = ("Armenian", "Sanskrit", "Futurama", "Korean", "Early_Aramaic")  # never trained on
# Drawn by chance, to confirm what was chosen on the five above: by networks that were trained without these.
CONFIRMATION_ALPHABETS = ("Bengali", "Braille", "Grantha", "Gujarati", "Japanese_(katakana)")
GLYPH_TRAIN, GLYPH_VALIDATION, GLYPH_TEST = 40, 5, 10  # numbers of generated alphabets, in this order


@dataclass(frozen=True)
class Split:
    """Disjoint alphabets for training, for choosing settings and epochs, and for the final result."""

    train: list[Alphabet]
    validation: list[Alphabet]
    test: list[Alphabet] = field(default_factory=list)


def glyph_split(image_size: int) -> Split:
    """The split of the generated alphabets: always the same ones, so that runs can be compared."""
    count = GLYPH_TRAIN + GLYPH_VALIDATION + GLYPH_TEST
    alphabets = generate_alphabets(count, characters=20, drawers=12, image_size=image_size, seed=0)
    validation, test = GLYPH_TRAIN, GLYPH_TRAIN + GLYPH_VALIDATION
    return Split(alphabets[:validation], alphabets[validation:test], alphabets[test:])


def background_split(data: Path | str | None, *, validation: Sequence[str], drawers: int = 20) -> Split:
    """Omniglot's background set, with the alphabets called `validation` held out of training.

    data: the folder or file, as for `find_data`. Training uses the first `drawers` drawers; validation uses the next
    four, or all of them if no others are left. Raises DataError if the data are missing or damaged, or if they lack an
    alphabet of that name.
    """
    alphabets = load_omniglot(find_data(data, *BACKGROUND_FILES))
    others = slice(drawers, drawers + 4) if drawers < alphabets[0].drawers else slice(None)
    return Split(
        [alphabet.drawn_by(slice(drawers)) for alphabet in without(alphabets, validation)],
        [alphabet.drawn_by(others) for alphabet in pick(alphabets, validation)],
    )


def mnist_digits(data: Path | str | None) -> Alphabet:
    """The MNIST test digits as one alphabet: 10 characters, each with as many drawings as the rarest digit.

    Raises DataError as `load_mnist` does.
    """
    images, labels = load_mnist(data)
    drawings = np.bincount(labels, minlength=10).min()
    return Alphabet("MNIST", np.stack([images[labels == digit][:drawings] for digit in range(10)]))


def paper_split(
    background: list[Alphabet], evaluation: list[Alphabet], *, rng: np.random.Generator, test: Collection[str] = ()
) -> Split:
    """The split of Koch et al. 2015 by alphabets and by drawers.

    Training uses the background alphabets and the first 12 drawers; validation one half of the evaluation alphabets and
    the next 4 drawers; testing the other half and the last 4. The paper does not say which ten of the twenty evaluation
    alphabets form which half, so `rng` draws them, unless those for testing are named in `test`.

    Raises DataError unless every alphabet has 20 drawers, and for an unknown name in `test`.
    """
    for alphabet in [*background, *evaluation]:
        if alphabet.drawers != PAPER_DRAWERS:
            raise DataError(f"{alphabet.name} has {alphabet.drawers} drawers, the paper's split needs {PAPER_DRAWERS}")
    order = rng.permutation(len(evaluation))
    drawn = [evaluation[i].name for i in sorted(np.array_split(order, 2)[1])]
    tested = pick(evaluation, tuple(test) or drawn)
    return Split(
        train=[alphabet.drawn_by(slice(0, 12)) for alphabet in background],
        validation=[a.drawn_by(slice(12, 16)) for a in without(evaluation, [b.name for b in tested])],
        test=[alphabet.drawn_by(slice(16, 20)) for alphabet in tested],
    )
