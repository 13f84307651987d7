"""Straight thin lines are found where they were drawn."""

import numpy as np
import pytest

from scratchnet.images.lines import find_lines

H, W = 80, 120


def along(row: float, slope: float = 0.0, width: float = 3, start: int = 0, end: int = W) -> np.ndarray:
    """A line (H, W) bool through `row` in the middle of the picture."""
    y, x = np.mgrid[:H, :W]
    return (np.abs(y - row - slope * (x - W / 2)) <= width / 2 - 0.001) & (x >= start) & (x < end)


@pytest.mark.parametrize("slope", [0, 0.01, -0.03, 0.06])
@pytest.mark.parametrize("width", [1, 3, 5])
def test_a_line_is_found_with_its_place_ends_and_width(slope, width):
    (line,) = find_lines(along(40, slope, width, start=10, end=100))
    assert abs(line.start - 10) <= 1
    assert abs(line.end - 100) <= 1
    assert line.width == pytest.approx(width, abs=1)
    assert line.rough < 0.4
    for column in (10, 50, 99):
        assert line.at(column) == pytest.approx(40 + slope * (column - W / 2), abs=0.8)


def test_lines_beside_each_other_are_told_apart():
    rows = [10, 17, 30, 64]
    lines = find_lines(np.logical_or.reduce([along(row) for row in rows]))
    assert sorted(round(line.at(W / 2)) for line in lines) == rows


def test_a_line_goes_on_where_a_stroke_crosses_it_and_where_it_is_dashed():
    ink = along(40)
    ink[10:70, 50:56] = True
    (line,) = find_lines(ink)
    assert (line.start, line.end, line.gap) == (0, W, 0)
    dashed = along(40)
    dashed[:, np.arange(W) % 10 < 4] = False
    (line,) = find_lines(dashed)
    assert (line.start, line.end, line.gap) == (4, W, 4)


def test_what_is_bent_is_rough(rng):
    y, x = np.mgrid[:H, :W]
    bow = np.abs(y - 40 - 4 * np.sin(np.pi * x / W)) <= 1
    by_hand = np.abs(y - 40 - np.repeat(rng.normal(0, 0.6, W // 6), 6)) <= 2
    for ink in (bow, by_hand):
        assert all(line.rough > 0.45 for line in find_lines(ink))


def test_strokes_across_and_thick_ones_are_no_lines():
    ink = np.zeros((H, W), bool)
    ink[5:75, 20:24] = ink[30:60, 40:110] = True
    assert find_lines(ink) == []


def test_only_lines_as_thin_as_asked_for_are_found():
    ink = along(20, width=1) | along(60, width=5)
    assert len(find_lines(ink)) == 2
    (line,) = find_lines(ink, thickest=2)
    assert round(line.at(W / 2)) == 20


def test_without_ink_there_are_none():
    assert find_lines(np.zeros((H, W), bool)) == []
