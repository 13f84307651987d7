"""Framing: where on the page and how large a character was drawn makes no difference."""

import numpy as np
import pytest
from strict_array import strict

from scratchnet.backend import to_device, to_host
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.images.framing import BLOCK, LEAST_SIDE, SPREADS, frame_ink
from scratchnet.images.resize import resize


def framed_by_definition(image: np.ndarray, size: int) -> np.ndarray:
    """One image on a sheet of paper so large that no triangle reaches its end."""
    H, W = image.shape
    rows, columns = np.indices(image.shape) + 0.5
    ink = image / image.sum()
    middle = (ink * rows).sum(), (ink * columns).sum()
    square = (ink * ((rows - middle[0]) ** 2 + (columns - middle[1]) ** 2)).sum()
    side = max(SPREADS * np.sqrt(square), LEAST_SIDE * H)
    paper = 4 * max(H, W)
    sheet = np.pad(image.astype(np.float64), paper)
    weights = []
    for centre, length in zip(middle, (H, W), strict=True):
        centres_in = np.arange(-paper, length + paper) + 0.5
        centres_out = centre - side / 2 + (np.arange(size) + 0.5) * side / size
        triangle = np.maximum(1 - np.abs(centres_out[:, None] - centres_in) / max(side / size, 1), 0)
        weights.append(triangle / triangle.sum(axis=1, keepdims=True))
    return weights[0] @ sheet @ weights[1].T


@pytest.fixture(scope="module")
def drawings() -> np.ndarray:
    """(N, 40, 40) bool, more of them than are framed at a time."""
    (alphabet,) = generate_alphabets(1, characters=7, drawers=3, image_size=40, seed=5)
    return alphabet.images.reshape(-1, 40, 40)


def small(drawings: np.ndarray) -> np.ndarray:
    """The drawings cut to their ink and set in the middle of a page of 100 x 100 pixels."""
    return np.pad(drawings, ((0, 0), (30, 30), (30, 30))).astype(np.float64)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [16, 48, 75])  # smaller and larger than the windows
def test_every_image_is_resampled_in_the_window_of_its_ink(device, drawings, size, dtype, rng):
    images = (drawings[:, 3:, :] * rng.uniform(0.2, 1, (len(drawings), 37, 40))).astype(dtype)
    assert len(images) > BLOCK
    framed = to_host(frame_ink(to_device(images, device), size))
    assert framed.dtype == dtype
    expected = [framed_by_definition(image, size) for image in images]
    np.testing.assert_allclose(framed, expected, rtol=0, atol=1e-12 if dtype == "float64" else 2e-4)


def test_where_a_character_was_drawn_makes_no_difference(drawings):
    images = small(drawings)
    moved = np.roll(images, (-23, 17), axis=(1, 2))
    np.testing.assert_allclose(frame_ink(moved, 24), frame_ink(images, 24), rtol=0, atol=1e-12)
    assert np.abs(resize(moved, 24) - resize(images, 24)).mean() > 0.01


def test_how_large_a_character_was_drawn_makes_next_to_no_difference(drawings):
    images = small(drawings)
    larger = np.pad(drawings, ((0, 0), (5, 5), (5, 5))).repeat(2, axis=1).repeat(2, axis=2).astype(np.float64)
    assert np.abs(frame_ink(larger, 24) - frame_ink(images, 24)).mean() < 0.01
    assert np.abs(resize(larger, 24) - resize(images, 24)).mean() > 0.03


@pytest.mark.parametrize("shape", [(100, 100), (100, 60), (60, 100)])
@pytest.mark.parametrize(("height", "width"), [(50, 20), (20, 50)])
def test_the_window_is_a_square_about_the_centre_of_gravity_as_wide_as_the_ink_is_spread(shape, height, width):
    image = np.zeros((1, *shape))
    image[0, 5 : 5 + height, 3 : 3 + width] = 1
    framed = frame_ink(image, 240)[0]
    assert framed.sum(axis=1).max() / framed.sum(axis=0).max() == pytest.approx(width / height, rel=0.01)
    rows, columns = np.indices(framed.shape) + 0.5
    for places in (rows, columns):
        assert np.average(places, weights=framed) == pytest.approx(120, abs=0.01)
    spread = np.sqrt(np.average((rows - 120) ** 2 + (columns - 120) ** 2, weights=framed))
    assert spread == pytest.approx(240 / SPREADS, rel=0.01)


def test_a_dot_is_not_blown_up():
    image = np.zeros((1, 100, 100))
    image[0, 80:84, 10:14] = 1
    framed = frame_ink(image, 57)[0]
    assert framed.sum() == pytest.approx(16 * (57 / (LEAST_SIDE * 100)) ** 2, rel=1e-6)


def test_outside_the_picture_there_is_paper(drawings):
    cut = drawings[:, 12:-8, 10:-11].astype(np.float64)  # through the characters
    assert cut[:, [0, -1]].any()
    assert cut[:, :, [0, -1]].any()
    padded = np.pad(cut, ((0, 0), (9, 9), (20, 20)))
    np.testing.assert_allclose(frame_ink(cut, 30), frame_ink(padded, 30), rtol=0, atol=1e-12)


def test_ink_stays_between_paper_and_ink(drawings):
    framed = frame_ink(drawings.astype(np.float32), 48)
    assert framed.min() >= 0
    assert framed.max() == pytest.approx(1, abs=1e-5)


def test_an_image_without_ink_is_shown_whole(device):
    assert to_host(frame_ink(to_device(np.zeros((3, 30, 20), np.float32), device), 10)).max() == 0


def test_no_images_give_no_images(device):
    assert frame_ink(to_device(np.zeros((0, 5, 7), np.float32), device), 4).shape == (0, 4, 4)


@pytest.mark.parametrize("device", ["strict"], indirect=True)
def test_the_windows_are_found_with_one_look_at_the_device(device, drawings):
    images = to_device(drawings.astype(np.float32), device)
    strict.synchronisations = 0
    frame_ink(images, 24)
    assert strict.synchronisations == 1
