"""Frames by name: the page as it is, or the window that the ink fills."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from scratchnet.errors import ScratchnetError
from scratchnet.images.frames import FRAMES, find_frame


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
    ink = find_frame(name).read(picture)
    assert ink.dtype == np.float32
    assert ink.sum() == pytest.approx(page.sum())


@pytest.mark.parametrize("name", ["Page", "", 3, None])
def test_an_unknown_frame_is_refused_with_those_there_are(name):
    with pytest.raises(ScratchnetError, match="choose one of page, ink"):
        find_frame(name)


def test_drawings_are_framed_without_pillow():
    """For training on arrays; pictures need it."""
    code = "import sys; from scratchnet.images import frames; sys.exit('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
