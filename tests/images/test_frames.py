"""Frames by name: the page as it is, or the window that the ink fills."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from scratchnet.errors import ScratchnetError
from scratchnet.images.frames import FRAMES, find_frame
from scratchnet.images.ink import expect_images


@pytest.fixture
def page() -> np.ndarray:
    """A small square outline in one corner of a page of 100 x 100 pixels, (1, 100, 100) float32."""
    ink = np.zeros((1, 100, 100), np.float32)
    ink[0, 5:25, 5:25] = 1
    ink[0, 7:23, 7:23] = 0
    return ink


def test_the_page_keeps_place_and_size_and_ink_fills_its_window(page):
    assert find_frame("page").fit(page, 100) is page
    rows, columns = np.nonzero(find_frame("ink").fit(page, 100)[0] > 0.5)
    assert np.ptp(rows) > 2 * 20
    assert abs(rows.mean() - 49.5) < 1
    assert abs(columns.mean() - 49.5) < 1


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_reads_a_picture_as_ink(name, page):
    picture = Image.fromarray(np.where(page[0] > 0, 0, 255).astype(np.uint8))
    frame = find_frame(name)
    ink = frame.read(picture)
    assert ink.dtype == np.float32
    assert ink.sum() == pytest.approx(frame.darkest * page.sum())


@pytest.mark.parametrize("name", ["Page", "", 3, None])
def test_an_unknown_frame_is_refused_with_those_there_are(name):
    with pytest.raises(ScratchnetError, match="choose one of page, ink, grey"):
        find_frame(name)


def test_what_is_read_as_grey_never_counts_as_ink(page):
    """Neither a dark picture nor its negative is refused for paper that it does not have."""
    for grey in (page[0], 1 - page[0]):
        picture = Image.fromarray(np.rint(255 * (1 - grey)).astype(np.uint8))
        read = find_frame("grey").read(picture)
        np.testing.assert_allclose(read, grey * 127 / 255, atol=1e-6)
        expect_images("read", read[None])


def test_drawings_are_framed_without_pillow():
    """For training on arrays; pictures need it."""
    code = "import sys; from scratchnet.images import frames; sys.exit('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
