"""Lines that are no character are taken away, and a character that is a box, a bar or a cross stays as it is."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from scratchnet.data.glyphs import generate_alphabets
from scratchnet.data.locate import find_data
from scratchnet.data.omniglot import load_omniglot
from scratchnet.errors import DataError
from scratchnet.images.photo import read_character
from scratchnet.images.ruling import without_ruling
from scratchnet.images.strokes import grown

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def papers():
    sys.path.insert(0, str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location("papers", BENCHMARKS / "papers.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["papers"] = module  # where its dataclasses look for their names
    spec.loader.exec_module(module)
    sys.path.remove(str(BENCHMARKS))
    return module


@pytest.fixture(scope="module")
def glyphs() -> np.ndarray:
    """(N, 105, 105) bool, by six hands."""
    return np.concatenate([a.images[:2, 0] for a in generate_alphabets(6, characters=2, drawers=1, image_size=105)])


def picture(ink: np.ndarray) -> Image.Image:
    return Image.fromarray(np.where(ink, 20, 245).astype(np.uint8))


def window(ink: np.ndarray) -> np.ndarray:
    """The square that the ink fills, (48, 48) bool."""
    places = np.argwhere(ink > 0.5)
    (top, left), size = places.min(axis=0), int(np.ptp(places, axis=0).max()) + 1
    box = left - 0.1 * size, top - 0.1 * size, left + 1.1 * size, top + 1.1 * size
    around = int(size)
    sheet = Image.fromarray(np.pad(np.asarray(ink, np.float32), around))
    return np.asarray(sheet.resize((48, 48), Image.Resampling.BILINEAR, box=[x + around for x in box])) > 0.5


def is_read(image: Image.Image, drawing: np.ndarray) -> bool:
    """Whether at least 85 % of the ink read and of the ink drawn are within two pixels of 48 of each other."""
    try:
        one, other = window(read_character(image)), window(drawing)
    except DataError:
        return False
    return min((a & grown(b, 2)).sum() / a.sum() for a, b in ((one, other), (other, one))) > 0.85


@pytest.mark.parametrize(
    "name",
    [
        "blank paper",
        "a line below",
        "ruled paper",
        "narrowly ruled paper",
        "squared paper",
        "narrowly squared paper",
        "dashed lines",
        "squared paper with noise",
        "paper with a box",
        "paper with a frame",
    ],
)
def test_of_drawings_on_any_paper_nine_in_ten_are_read(papers, glyphs, name):
    read = [
        is_read(papers.PAPERS[name].take(drawing, np.random.default_rng(i)), drawing)
        for i, drawing in enumerate(glyphs)
    ]
    assert np.mean(read) >= 0.9


def test_every_paper_of_the_benchmark_is_tried(papers):
    marks = test_of_drawings_on_any_paper_nine_in_ten_are_read.pytestmark
    assert marks[0].args[1] == list(papers.PAPERS)


def test_lines_are_what_makes_paper_hard_to_read(papers, glyphs, monkeypatch):
    monkeypatch.setattr("scratchnet.images.photo.without_ruling", lambda ink, faint, many: ink)
    for name in ("ruled paper", "squared paper", "paper with a box"):
        read = [
            is_read(papers.PAPERS[name].take(drawing, np.random.default_rng(i)), drawing)
            for i, drawing in enumerate(glyphs[:4])
        ]
        assert np.mean(read) <= 0.5


def untouched(drawings, papers=None) -> None:
    for ink in drawings:
        read_character(picture(ink))  # and not refused
        assert papers is None or papers.ink_left(Image.fromarray(~ink)) >= 0.99
        left = without_ruling(ink, ink)
        assert (ink | ~left).all()
        assert left.sum() >= 0.99 * ink.sum()


def test_boxes_bars_and_crosses_are_characters(papers):
    untouched(papers.shapes(96, np.random.default_rng(0)), papers)


def test_clean_drawings_lose_no_ink():
    alphabets = generate_alphabets(8, characters=10, drawers=1, image_size=105, seed=5)
    untouched(np.concatenate([alphabet.images.reshape(-1, 105, 105) for alphabet in alphabets]))


def test_drawings_of_omniglot_lose_no_ink(real_data):
    alphabets = load_omniglot(find_data(real_data, "images_background.zip", "images_background"))
    untouched(np.concatenate([alphabet.images[::8, 11] for alphabet in alphabets]))


def drawn(*shapes: tuple, pen: int = 5) -> np.ndarray:
    canvas = Image.new("L", (105, 105))
    for points in shapes:
        ImageDraw.Draw(canvas).line(points, fill=255, width=pen)
    return np.asarray(canvas) > 0


def cut(ink: np.ndarray) -> np.ndarray:
    (top, left), (bottom, right) = np.argwhere(ink).min(axis=0), np.argwhere(ink).max(axis=0) + 1
    return ink[top:bottom, left:right]


STROKES = {
    "T": [(20, 20, 85, 20), (52, 20, 52, 85)],
    "cross": [(20, 50, 85, 50), (52, 20, 52, 85)],
    "H": [(20, 20, 20, 85), (85, 20, 85, 85), (20, 50, 85, 50)],
    "three bars": [(20, 20, 85, 20), (30, 52, 75, 52), (20, 85, 85, 85)],
    "two bars": [(30, 30, 75, 30), (20, 70, 85, 70)],
    "I with serifs": [(20, 20, 85, 20), (52, 20, 52, 85), (20, 85, 85, 85)],
    "box": [(20, 20, 85, 20, 85, 85, 20, 85, 20, 18)],
    "box with a bar": [(20, 20, 85, 20, 85, 85, 20, 85, 20, 18), (20, 50, 85, 50)],
    "box in a box": [(20, 20, 85, 20, 85, 85, 20, 85, 20, 18), (40, 40, 65, 40, 65, 65, 40, 65, 40, 38)],
    "box with a cross in it": [(20, 20, 85, 20, 85, 85, 20, 85, 20, 18), (36, 52, 69, 52), (52, 36, 52, 69)],
    "hash": [(35, 15, 35, 90), (70, 15, 70, 90), (15, 35, 90, 35), (15, 70, 90, 70)],
}


@pytest.mark.parametrize("name", STROKES)
def test_straight_strokes_stay_on_a_page_and_cut_to_the_ink(papers, name):
    ink = drawn(*STROKES[name])
    untouched([ink], papers)
    untouched([cut(ink)], papers if "box in" not in name and "in it" not in name else None)  # or it is a frame


def test_strokes_inside_a_round_enclosure_are_one_character_with_it():
    canvas = Image.new("L", (105, 105))
    draw = ImageDraw.Draw(canvas)
    draw.rounded_rectangle((26, 22, 74, 82), 18, outline=255, width=5)
    draw.line((42, 42, 58, 62), fill=255, width=5)
    untouched([np.asarray(canvas) > 0])


def test_strokes_that_cross_a_line_are_mended():
    stroke = drawn((40, 20, 60, 85), pen=6)
    lines = drawn(*((0, y, 104, y) for y in (5, 30, 55, 80)), pen=3)
    left = without_ruling(stroke | lines, stroke | lines)
    assert (left & ~grown(stroke)).sum() == 0
    assert (stroke & ~left).sum() < 0.1 * stroke.sum()


@pytest.mark.parametrize("step", [12, 25])
def test_paper_with_nothing_on_it_but_lines_is_refused(step):
    lines = drawn(*((0, y, 104, y) for y in range(6, 100, step)), pen=2)
    with pytest.raises(DataError, match="shows no character, there are only ruled lines"):
        read_character(picture(lines), name="sheet.png")


def test_a_character_far_away_on_ruled_paper_is_read():
    ink = drawn((30, 30, 70, 40), (50, 20, 55, 80), (40, 80, 75, 80))
    sheet = Image.new("L", (1200, 1200), 245)
    sheet.paste(picture(ink), (500, 420))
    for y in range(40, 1200, 110):
        ImageDraw.Draw(sheet).line((0, y, 1200, y), fill=60, width=4)
    assert is_read(sheet, ink)


def test_in_a_close_up_a_line_from_border_to_border_is_ruling_and_so_is_one_along_the_border():
    stroke = drawn((40, 20, 60, 85))
    lines = drawn((0, 52, 104, 52), (0, 103, 104, 103), pen=3)
    ink = stroke | lines
    np.testing.assert_array_equal(without_ruling(ink, ink), ink)
    left = without_ruling(ink, ink, many=1)
    assert (left & ~grown(stroke)).sum() == 0
    assert (stroke & ~left).sum() < 0.1 * stroke.sum()


def test_a_double_frame_is_taken_away():
    ink = drawn((40, 40, 60, 70), (60, 40, 45, 60))
    frames = np.zeros_like(ink)
    for at in (4, 8):
        frames[at : 105 - at, [at, 104 - at]] = frames[[at, 104 - at], at : 105 - at] = True
    np.testing.assert_array_equal(without_ruling(ink | frames, ink | frames), ink)


def test_a_stroke_that_ends_on_ruled_lines_is_no_line():
    stem = drawn((50, 30, 50, 75))
    lines = drawn((0, 30, 104, 30), (0, 75, 104, 75), pen=2)
    left = without_ruling(stem | lines, stem | lines)
    assert (left & stem).sum() > 0.85 * stem.sum()
    assert (left & lines & ~grown(stem)).sum() == 0
