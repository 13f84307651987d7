"""All drawings lie in one array, and their numbers find them again."""

from dataclasses import replace

import numpy as np
import pytest
from strict_array import STRICT, strict

from scratchnet import backend
from scratchnet.backend import CPU, device_of, to_host
from scratchnet.data.alphabets import Alphabet
from scratchnet.data.drawings import Drawings
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.errors import DataError, ScratchnetError
from scratchnet.images.frames import FRAMES


@pytest.fixture(scope="module")
def alphabets() -> list[Alphabet]:
    """Two alphabets of different numbers of characters, drawers and pixels."""
    return [
        *generate_alphabets(1, characters=3, drawers=4, image_size=24, seed=1),
        *generate_alphabets(1, characters=5, drawers=2, image_size=35, seed=2),
    ]


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("size", [24, 16, 40])
def test_the_numbers_of_an_alphabet_find_its_drawings(alphabets, size, frame):
    drawings = Drawings.of(alphabets, size, frame=frame)
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
    (alphabet,) = generate_alphabets(1, characters=2, drawers=3, image_size=16)
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


def test_drawings_on_a_device_are_gathered_there_and_are_the_same(device, alphabets, rng):
    here = Drawings.of(alphabets, 16)
    there = here.to_device(device)
    assert device_of(there.images) is device
    assert there.numbers is here.numbers
    numbers = rng.permutation(22)[:7]
    strict.uploads.clear()
    ink = there.ink(numbers, device)
    assert sum(strict.uploads) in (0, numbers.nbytes)
    assert device_of(ink) is device
    np.testing.assert_array_equal(to_host(ink), to_host(here.ink(numbers, device)))


def test_on_the_host_drawings_are_not_copied(alphabets):
    drawings = Drawings.of(alphabets, 16)
    assert drawings.to_device(CPU).images is drawings.images


@pytest.mark.parametrize(("free", "cap", "fit"), [(4, 9, True), (9, 4, True), (3.99, 9, False), (9, 3.99, False)])
def test_drawings_that_would_fill_a_device_stay_on_the_host_and_come_batch_by_batch(
    free, cap, fit, alphabets, monkeypatch
):
    here = Drawings.of(alphabets, 16)
    size = here.images.nbytes
    small = replace(STRICT, free_memory=lambda: int(free * size))
    monkeypatch.setitem(backend.device._devices, "strict", small)
    there = here.to_device(small, memory=cap * size)
    assert device_of(there.images) is (small if fit else CPU)
    numbers = np.array([3, 21, 3])
    strict.uploads.clear()
    ink = there.ink(numbers, small)
    assert strict.uploads == ([numbers.nbytes] if fit else [3 * 16 * 16])
    assert device_of(ink) is small
    np.testing.assert_array_equal(to_host(ink), here.ink(numbers, CPU))


@pytest.mark.parametrize("numbers", [[-1], [3, 22], [0, 10**6]])
def test_a_number_that_no_drawing_has_is_refused_on_every_device(numbers, device, alphabets):
    drawings = Drawings.of(alphabets, 16).to_device(device)
    with pytest.raises(DataError, match=f"drawings {numbers[0]} to {numbers[-1]} requested: there are 0 to 21"):
        drawings.ink(np.array(numbers), device)
    assert drawings.ink(np.array([], int), device).shape == (0, 16, 16)


def test_no_alphabets_are_refused():
    with pytest.raises(DataError, match="expected at least one"):
        Drawings.of([], 16)


def test_an_unknown_frame_is_refused(alphabets):
    with pytest.raises(ScratchnetError, match="unknown frame 'box': choose one of page, ink"):
        Drawings.of(alphabets, 16, frame="box")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_drawing_that_is_no_number_is_refused_by_the_name_of_its_alphabet(value, rng):
    images = rng.random((2, 2, 16, 16)).astype(np.float32)
    alphabet = Alphabet("Spoilt", images)
    images[1, 0, 3, 4] = value
    with pytest.raises(DataError, match="alphabet 'Spoilt', character 1, drawer 0, has a NaN or an infinity"):
        Drawings.of([alphabet], 16)
