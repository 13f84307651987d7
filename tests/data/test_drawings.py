"""All drawings lie in one array, and their numbers find them again."""

import numpy as np
import pytest

from scratchnet.backend import to_host
from scratchnet.data.alphabets import Alphabet
from scratchnet.data.drawings import Drawings
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.errors import DataError, ScratchnetError
from scratchnet.frames import FRAMES


@pytest.fixture(scope="module")
def alphabets() -> list[Alphabet]:
    """Two alphabets of different numbers of characters, drawers and pixels."""
    return [*generate_alphabets(1, 3, 4, 24, seed=1), *generate_alphabets(1, 5, 2, 35, seed=2)]


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("size", [24, 16, 40])
def test_the_numbers_of_an_alphabet_find_its_drawings(alphabets, size, frame):
    drawings = Drawings.of(alphabets, size, frame)
    assert drawings.images.shape == (3 * 4 + 5 * 2, size, size)
    for alphabet, numbers in zip(alphabets, drawings.numbers, strict=True):
        assert numbers.shape == (alphabet.characters, alphabet.drawers)
        for character, drawer in np.ndindex(numbers.shape):
            expected = FRAMES[frame].fit(alphabet.images[character, drawer][None].astype(np.float32), size)[0]
            found = drawings.images[numbers[character, drawer]] / 255
            np.testing.assert_allclose(found, expected, rtol=0, atol=0.5 / 255 + 1e-6)


def test_every_number_belongs_to_one_drawing(alphabets):
    numbers = np.concatenate([table.ravel() for table in Drawings.of(alphabets, 16).numbers])
    assert sorted(numbers) == list(range(22))


@pytest.mark.parametrize("dtype", [bool, np.float32])
def test_drawings_are_kept_as_bytes_from_paper_0_to_ink_255(dtype):
    (alphabet,) = generate_alphabets(1, 2, 3, 16)
    images = Drawings.of([Alphabet("same", alphabet.images.astype(dtype))], 16).images
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images.reshape(2, 3, 16, 16), 255 * alphabet.images)


def test_ink_is_float32_from_0_to_1_in_the_order_asked_for(device, alphabets):
    drawings = Drawings.of(alphabets, 16)
    ink = to_host(drawings.ink(np.array([7, 0, 7, 21]), device))
    assert ink.dtype == np.float32
    assert ink.min() == 0
    assert 0.5 < ink.max() <= 1
    np.testing.assert_allclose(ink, drawings.images[[7, 0, 7, 21]] / 255, rtol=1e-6)


def test_no_alphabets_are_refused():
    with pytest.raises(DataError, match="expected at least one"):
        Drawings.of([], 16)


def test_an_unknown_frame_is_refused(alphabets):
    with pytest.raises(ScratchnetError, match="unknown frame 'box': choose one of page, ink"):
        Drawings.of(alphabets, 16, "box")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_drawing_that_is_no_number_is_refused_by_the_name_of_its_alphabet(value, rng):
    images = rng.random((2, 2, 16, 16)).astype(np.float32)
    images[1, 0, 3, 4] = value
    with pytest.raises(DataError, match="alphabet Spoilt has a NaN or an infinity"):
        Drawings.of([Alphabet("Spoilt", images)], 16)
