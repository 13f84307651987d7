"""benchmarks/one_stroke.py: strokes are traced, and a near miss differs from its character by one of them."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from scratchnet.data.alphabets import Alphabet
from scratchnet.data.omniglot import load_omniglot

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "one_stroke.py"
pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="the benchmarks are not here, as in an installed package")


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("one_stroke", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["one_stroke"] = module  # where its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


def drawn(*lines, shift=(0, 0)):
    """Lines (x0, y0, x1, y1) with a pen of three pixels, (105, 105) bool."""
    image = Image.new("L", (105, 105))
    draw = ImageDraw.Draw(image)
    for line in lines:
        draw.line([end + shift[k % 2] for k, end in enumerate(line)], fill=255, width=3)
    return np.asarray(image) > 127


FIGURE = (30, 20, 30, 85), (30, 30, 70, 30), (31, 60, 60, 60)  # F, with its lower bar a little shorter
CROSS = (50, 15, 50, 90), (15, 50, 85, 50)


def test_lines_that_go_straight_on_are_one_stroke(script):
    strokes = script.traced(drawn(*CROSS))
    assert len(strokes) == 2
    assert all(stroke.free == (True, True) for stroke in strokes)
    assert sorted(len(stroke.points) for stroke in strokes) == pytest.approx([66, 71], abs=12)


def test_strokes_that_meet_at_an_angle_are_told_apart(script):
    strokes = script.traced(drawn(*FIGURE))
    assert sorted(int(np.ptp(stroke.points, axis=0).max()) for stroke in strokes) == pytest.approx([29, 40, 65], abs=9)


@pytest.mark.parametrize("edit", ["remove", "shorten", "move", "add"])
def test_a_near_miss_has_the_same_edit_in_every_drawing(script, edit, rng):
    drawings = [drawn(*FIGURE, shift=shift) for shift in ((0, 0), (4, -3), (-6, 5), (8, 8))]
    made = None
    while made is None:
        made = script.near_miss([script.Traced.of(ink) for ink in drawings], edit, rng)
    changes = [np.count_nonzero(after & ~before) - np.count_nonzero(before & ~after)
               for before, after in zip(drawings, made, strict=True)]  # fmt: skip
    assert np.ptp(changes) < 60
    if edit in ("remove", "shorten"):
        assert all(not (after & ~before).any() for before, after in zip(drawings, made, strict=True))
        assert max(changes) < -20
    if edit == "add":
        assert all(not (before & ~after).any() for before, after in zip(drawings, made, strict=True))
        assert min(changes) > 20


def test_an_alphabet_with_near_misses_is_written_as_omniglot_is_read(script, rng, tmp_path):
    drawings = np.array([[drawn(*lines, shift=shift) for shift in ((0, 0), (3, 2))] for lines in (FIGURE, CROSS)])
    made = script.with_near_misses(Alphabet("Lines", drawings), ("remove", "add"), rng)
    assert made.characters > 2
    script.write_set(tmp_path / "images_background.zip", [made])
    (read,) = load_omniglot(tmp_path / "images_background.zip")
    np.testing.assert_array_equal(read.images, made.images)
    np.testing.assert_array_equal(read.images[:2], drawings)
