"""Ink and paper are separated by contrast, whatever their colours and the light."""

import numpy as np
import pytest
from PIL import Image

from scratchnet.images import contrast
from scratchnet.images.contrast import (
    View,
    as_array,
    best_contrast,
    blurred,
    ink_above_noise,
    local_paper,
    paper_without,
    resampled,
    smoothed,
    tell_apart,
)

H, W = 60, 90


@pytest.fixture
def ink() -> np.ndarray:
    """A cross of two strokes, (H, W) bool."""
    cross = np.zeros((H, W), bool)
    cross[10:50, 43:48] = cross[28:33, 25:65] = True
    return cross


def picture(ink: np.ndarray, of_ink: tuple, of_paper: tuple, light: np.ndarray | float = 1.0) -> np.ndarray:
    """(3, H, W), with the light (H, W) that falls on it."""
    colours = np.where(ink[..., None], of_ink, of_paper)
    return np.moveaxis(colours * np.broadcast_to(light, ink.shape)[..., None], 2, 0).astype(np.float32)


def photo(colours: np.ndarray) -> Image.Image:
    """The picture (3, H, W) as a Pillow image."""
    return Image.fromarray(np.rint(255 * np.moveaxis(colours, 0, 2)).astype(np.uint8))


GRADIENT = np.linspace(0.4, 1, W)
SHADOW = np.where(np.add.outer(np.arange(H), np.arange(W)) < 60, 0.4, 1.0)
COLOURS = {
    "black on white": ((0, 0, 0), (1, 1, 1)),
    "white on black": ((1, 1, 1), (0, 0, 0)),
    "gray on gray": ((0.4, 0.4, 0.4), (0.6, 0.6, 0.6)),
    "red on green": ((0.8, 0.15, 0.1), (0.2, 0.55, 0.2)),
    "yellow on white": ((1, 0.9, 0.2), (1, 1, 1)),
    "chalk on a board": ((0.8, 0.8, 0.7), (0.1, 0.25, 0.2)),
}


@pytest.mark.parametrize("light", [1.0, GRADIENT], ids=["even light", "uneven light"])
@pytest.mark.parametrize("name", COLOURS)
def test_ink_of_any_colour_is_found_under_any_light(ink, name, light):
    np.testing.assert_array_equal(ink_above_noise(best_contrast(photo(picture(ink, *COLOURS[name], light)))), ink)


def test_the_median_of_the_surroundings_is_the_paper(ink):
    paper = local_paper(picture(ink, (0, 0, 0), (0.9, 0.8, 0.5)), 0.5)
    np.testing.assert_allclose(np.moveaxis(paper, 0, 2), np.broadcast_to((0.9, 0.8, 0.5), (16, 24, 3)), atol=1e-3)


@pytest.mark.parametrize("light", [GRADIENT, SHADOW], ids=["gradient", "shadow"])
def test_the_paper_follows_the_light(ink, light):
    paper = resampled(local_paper(picture(ink, (0, 0, 0), (1, 1, 1), light), 0.5), (H, W))
    error = np.abs(paper - light)
    assert error.mean() < 0.06
    assert np.abs(paper - paper.mean()).mean() > 0.1


@pytest.mark.parametrize("light", [GRADIENT, SHADOW], ids=["gradient", "shadow"])
def test_paper_is_measured_where_there_is_no_ink(ink, light):
    colours = picture(ink, (0, 0, 0), (1, 1, 1), light)
    before = np.broadcast_to(light + np.float32(0.05), (3, H, W)).astype(np.float32)
    paper = paper_without(ink, colours, before)
    assert np.abs(resampled(paper, (H, W)) - light).mean() < 0.02
    np.testing.assert_array_equal(paper, paper_without(ink, np.where(ink, np.float32(0.7), colours), before))


def test_a_departure_is_a_share_of_the_light(ink):
    paper = np.broadcast_to(GRADIENT, (3, H, W)).astype(np.float32)
    colours = picture(ink, (0.2, 0.2, 0.2), (1, 1, 1), GRADIENT)
    np.testing.assert_allclose(View.of(colours, paper).departure(colours), np.where(ink, 0.8, 0), atol=1e-6)


def test_in_the_negative_a_departure_is_a_share_of_the_darkness(ink):
    colours = picture(ink, (0.9, 0.9, 0.9), (0.2, 0.2, 0.2))
    view = View.of(colours, np.full((3, H, W), 0.2, np.float32), is_negative=True)
    np.testing.assert_allclose(view.departure(colours), np.where(ink, 0.7 / 0.8, 0), atol=1e-6)


def test_the_ink_departs_in_a_copy_of_another_size_as_well(ink):
    colours = picture(ink, *COLOURS["red on green"], GRADIENT)
    view = View.of(colours, local_paper(colours, 1))
    small = view.departure(as_array(photo(colours).resize((W // 2, H // 2), Image.Resampling.BOX)))
    np.testing.assert_allclose(small.mean(), view.departure(colours).mean(), atol=0.01)


def test_ink_departs_to_the_side_of_the_few(ink):
    for few, many in ((0.3, 0.6), (0.6, 0.3)):
        colours = picture(ink, (few,) * 3, (many,) * 3)
        assert (View.of(colours, np.full((3, H, W), many, np.float32)).departure(colours)[ink] > 0.1).all()


@pytest.mark.parametrize("share", [0.3, 0.03, 0.002])
def test_the_threshold_does_not_depend_on_how_much_is_drawn(share, rng):
    """Otsu's would: at the least share it lies within the noise."""
    is_ink = rng.random((200, 200)) < share
    found = tell_apart(is_ink + rng.normal(0, 0.12, is_ink.shape))
    assert found.threshold == pytest.approx(0.5, abs=0.05)
    assert found.ink == pytest.approx(1, abs=0.05)
    assert found.noise == pytest.approx(0.12, rel=0.1)
    assert found.clarity == pytest.approx(1 / 0.24, rel=0.15)
    assert (found.is_ink == is_ink).mean() > 0.999


@pytest.mark.parametrize("value", [0.0, 1.0, -1.0, 0.001])
def test_where_all_is_alike_there_is_no_contrast(value):
    assert tell_apart(np.full((20, 30), value))[2:] == (0, 0, 0)


def test_noise_is_blurred_as_far_as_it_is_in_the_way(ink, rng):
    sharp = tell_apart(ink + rng.normal(0, 0.04, ink.shape))
    assert smoothed(sharp) is sharp
    noisy = tell_apart(ink + rng.normal(0, 0.2, ink.shape))
    assert smoothed(noisy).noise < 0.6 * noisy.noise
    assert smoothed(noisy).clarity > 1.3 * noisy.clarity


def test_what_does_not_rise_above_the_noise_around_it_is_no_ink(ink, rng):
    noise = np.where(np.arange(W) < 25, 0.1, 0) * rng.standard_normal(ink.shape)
    found = contrast.Contrast(np.where(ink, 0.5, 0) + noise, 0.2, 0.5, 0.0, 9.0)
    assert (found.departure[:, :15] > 0.25).any()
    np.testing.assert_array_equal(ink_above_noise(found)[:, :15], ink[:, :15])


def test_a_blur_keeps_the_mean_and_widens_by_its_sigma():
    spike = np.zeros((61, 61))
    spike[30, 30] = 1
    spread = blurred(spike, 3.0)
    at = np.arange(61) - 30
    for axis in (0, 1):
        line = spread.sum(axis=axis)
        assert line.sum() == pytest.approx(1)
        assert (line * at**2).sum() == pytest.approx(9, rel=0.03)
    np.testing.assert_allclose(blurred(np.ones((5, 7)), 4.0), 1)


def test_resampling_keeps_what_is_even():
    even = resampled(np.full((2, 8, 11), 0.25, np.float32), (30, 4))
    assert even.shape == (2, 30, 4)
    assert even.dtype == np.float32
    np.testing.assert_allclose(even, 0.25, rtol=1e-6)
