"""Find and remove lines that are not part of the character: ruled lines, squared paper, a box or a frame around it.

A printed line is straight, thin and of constant width. But so are the strokes of many characters, and boxes, bars and
crosses are characters. A printed line differs from a stroke in two ways: it has no free end, as both ends lie on the
border of the picture or form corners with other such lines; and without it a whole character is left, at a distance
from the border. Many parallel lines from border to border are always ruling. When in doubt, the ink is left unchanged.

The search is for lines along the rows; lines along the columns are found in the transposed picture.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from scratchnet.images.lines import Line, find_lines
from scratchnet.images.strokes import box_sizes, extent, parts, stroke_width

STRAIGHT = 0.45  # pixels, root mean square deviation from straight; printed lines have 0.3, pen strokes 0.3 to 1.3
EDGE = 0.003  # of the side of the picture: a line that leaves it ends at most this far from its border
MANY = 3  # this many parallel lines from border to border are always ruling
REST = 0.03  # of the side of the picture: the least size of a character
FILLS = 0.2  # of a box: the least size of the writing in it
NEAR_BORDER = 0.1  # of the side of the picture: a box this near to the border was printed
OTHER_PEN = 0.72  # a box whose lines are thinner than this share of the pen, or the reverse, was printed
RULED = 0.8  # the share of straight lines along rows and columns in a character drawn with a ruler


class Ruling(NamedTuple):
    """Lines along the rows of the picture, and lines along its columns, which are rows of the transposed picture."""

    rows: list[Line]
    columns: list[Line]


def without_ruling(ink: np.ndarray, faint: np.ndarray, many: int = MANY) -> np.ndarray:
    """Remove printed lines from the ink (H, W) bool, repairing the strokes that cross them.

    faint: (H, W) bool, the ink and fainter traces, in which the lines are followed. many: this many parallel lines from
    border to border are ruling. Returns the ink unchanged if there are no such lines. Raises ValueError if there are
    only lines.
    """
    lines = Ruling(find_lines(faint), find_lines(faint.T))
    if max(_spanning(_inside(lines, ink.shape), ink.shape)) >= many:
        left, _ = _without(ink, _thin_ruling(faint, lines))
        if not left.any() or max(extent(left)[1]) < REST * max(ink.shape):
            raise ValueError("there are only ruled lines")
        return left
    ruling = _anchored(lines, ink.shape)
    if min(map(len, ruling)) < 2:  # no frame: lines along the border may be strokes of a picture cropped to its ink
        ruling = _inside(ruling, ink.shape)
    if not any(ruling):
        return ink
    left, bands = _without(ink, ruling)
    if not left.any() or not _is_character(left):
        return ink
    if _is_printed_box(left, bands, ruling):
        return without_ruling(left, faint & ~bands, many)  # the frame may be double
    return left if _reaches_border(_inside(ruling, ink.shape), ink.shape) else ink


def _anchored(ruling: Ruling, shape: tuple[int, int]) -> Ruling:
    """The straight lines whose ends both lie on the border or form a corner with other such lines."""
    H, W = shape
    kept, before = Ruling(*([line for line in lines if line.rough <= STRAIGHT] for lines in ruling)), None
    while kept != before:
        before = kept
        kept = Ruling(
            [line for line in before.rows if _is_anchored(line, before.columns, H)],
            [line for line in before.columns if _is_anchored(line, before.rows, W)],
        )
    return kept


def _inside(ruling: Ruling, shape: tuple[int, int]) -> Ruling:
    """The lines that do not follow the border."""
    return Ruling(
        *(
            [line for line in lines if not _lies_along(line, length)]
            for lines, length in zip(ruling, shape, strict=True)
        )
    )


def _spanning(ruling: Ruling, shape: tuple[int, int]) -> list[int]:
    """The number of lines from border to border, along the rows and along the columns."""
    return [sum(_spans(line, length) for line in lines) for lines, length in zip(ruling, shape, strict=True)]


def _reaches_border(ruling: Ruling, shape: tuple[int, int]) -> bool:
    """Whether any line ends on the border."""
    return any(
        _on_border(line, end, length)
        for lines, length in zip(ruling, shape, strict=True)
        for line in lines
        for end in (line.start, line.end - 1)
    )


def _thin_ruling(ink: np.ndarray, ruling: Ruling) -> Ruling:
    """The lines of ruled paper, searched for again now that their thickness is known.

    So strokes that lie on them do not hide them.
    """
    width = np.median([line.width for lines in ruling for line in lines])
    thickest = 1.5 * width + 1
    H, W = ink.shape
    lines = Ruling(find_lines(ink, thickest), find_lines(ink.T, thickest))
    return Ruling([line for line in lines.rows if _spans(line, H)], [line for line in lines.columns if _spans(line, W)])


def _without(ink: np.ndarray, ruling: Ruling) -> tuple[np.ndarray, np.ndarray]:
    """The ink (H, W) without the lines, and the bands (H, W) that they covered."""
    left, rows = _taken_away(ink, ruling.rows)
    left, columns = _taken_away(left.T, ruling.columns)
    bands = rows | columns.T
    return _without_remnants(left.T, bands), bands


def _reach(side: int) -> float:
    """The largest distance in pixels between the end of a line and what it is taken to meet."""
    return max(2.0, 0.015 * side)


def _is_anchored(line: Line, across: Sequence[Line], height: int) -> bool:
    return all(
        _on_border(line, end, height) or any(_meets(line, end, other) for other in across)
        for end in (line.start, line.end - 1)
    )


def _on_border(line: Line, column: int, height: int) -> bool:
    width = len(line.middle)
    beyond = line.width / 2 + 1
    runs_off = min(column, width - 1 - column) <= EDGE * max(height, width) + line.gap
    return runs_off or not beyond < line.at(column) < height - 1 - beyond


def _meets(line: Line, column: int, other: Line) -> bool:
    """Whether the line forms a corner at this column with a line `other` across; strokes also end on ruled lines."""
    row = line.at(column)
    reach = _reach(max(len(line.middle), len(other.middle))) + (line.width + other.width) / 2
    return abs(other.at(row) - column) <= reach and min(abs(row - other.start), abs(row - other.end + 1)) <= reach


def _spans(line: Line, height: int) -> bool:
    return _on_border(line, line.start, height) and _on_border(line, line.end - 1, height)


def _lies_along(line: Line, height: int) -> bool:
    """Whether the line follows the upper or lower border."""
    middle = float(np.median(line.middle[line.start : line.end]))
    return min(middle, height - 1 - middle) <= line.width / 2 + _reach(max(height, len(line.middle)))


def _is_character(left: np.ndarray) -> bool:
    """Whether the remaining ink is large enough and at a distance from the border."""
    (top, first), size = extent(left)
    H, W = left.shape
    margin = min(top, first, H - top - size[0], W - first - size[1])
    return margin >= _reach(max(H, W)) and max(size) >= REST * max(H, W)


def _is_printed_box(left: np.ndarray, bands: np.ndarray, ruling: Ruling) -> bool:
    """Whether the lines form a printed box around the remaining ink, rather than being strokes of it."""
    if min(len(ruling.rows), len(ruling.columns)) < 2:
        return False
    box, (top, first), size = extent(bands), *extent(left)
    gaps = [
        (top - box[0][0], box[0][0] + box[1][0] - top - size[0]),
        (first - box[0][1], box[0][1] + box[1][1] - first - size[1]),
    ]
    if np.min(gaps) < 0 or max(size) < FILLS * max(box[1]):
        return False
    width = float(np.mean([line.width for lines in ruling for line in lines]))
    pen = stroke_width(left)
    other_pen = not OTHER_PEN <= width / pen <= 1 / OTHER_PEN
    H, W = left.shape
    margins = box[0][0], box[0][1], H - box[0][0] - box[1][0], W - box[0][1] - box[1][1]
    touches = bool((left & _around(bands)).any())
    is_cut_to_ink = not any(_inside(ruling, left.shape))
    near_border = not is_cut_to_ink and max(margins) <= NEAR_BORDER * max(H, W)
    return other_pen or (not touches and (near_border or not _is_drawn_with_ruler(left)))


def _is_drawn_with_ruler(ink: np.ndarray) -> bool:
    """Whether there are only straight lines along the rows and columns, as in a character that is a box."""
    left, _ = _without(ink, Ruling(find_lines(ink), find_lines(ink.T)))
    return bool(left.sum() < (1 - RULED) * ink.sum())


def _around(bands: np.ndarray) -> np.ndarray:
    """The bands (H, W) bool, widened by two pixels on every side."""
    padded = np.pad(bands, 2)
    H, W = bands.shape
    moves = ((0, 0), (-2, 0), (2, 0), (0, -2), (0, 2))
    return np.logical_or.reduce([padded[2 + dy : 2 + dy + H, 2 + dx : 2 + dx + W] for dy, dx in moves])


def _taken_away(ink: np.ndarray, lines: Sequence[Line]) -> tuple[np.ndarray, np.ndarray]:
    """The ink (H, W) without these lines along the rows, and the bands that they covered."""
    H, W = ink.shape
    left, bands = ink.copy(), np.zeros_like(ink)
    columns = np.arange(W)
    for line in lines:
        half = line.width / 2 + 1
        top, bottom = np.rint(line.middle - half).astype(int), np.rint(line.middle + half).astype(int)  # (W,)
        along = (columns >= line.start - 3) & (columns < line.end + 3)
        above, below = (_at(ink, rows) & along for rows in (top - 1, bottom + 1))
        steps = int((bottom - top).max()) + 2
        for step in range(1, steps):
            rows = top - 1 + step
            here = along & (rows <= bottom) & (rows >= 0) & (rows < H)
            kept = _between(above, below, step, steps)
            bands[rows[here], columns[here]] = True
            left[rows[here], columns[here]] &= kept[here]
    return left, bands


def _at(ink: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The ink (H, W) at one row of every column: (W,) bool, False outside."""
    inside = (rows >= 0) & (rows < len(ink))
    return ink[np.clip(rows, 0, len(ink) - 1), np.arange(ink.shape[1])] & inside


def _between(above: np.ndarray, below: np.ndarray, step: int, steps: int) -> np.ndarray:
    """Where strokes cross a line, (W,) bool, at `step` of the `steps` rows between ink `above` it and `below` it.

    That is wherever a straight stroke of any slope up to 45 degrees joins the two.
    """
    if not above.any() or not below.any():
        return np.zeros_like(above)
    leans = np.arange(-steps, steps + 1)[:, None]
    starts = np.arange(len(above)) + steps - np.rint(leans * step / steps).astype(int)  # (leans, W), in padded columns
    return (np.pad(above, steps)[starts] & np.pad(below, steps)[starts + leans]).any(axis=0)


def _without_remnants(left: np.ndarray, bands: np.ndarray) -> np.ndarray:
    """Remove thin parts along the bands, which are the rough edges of lines."""
    numbers = parts(left)
    along = np.bincount(numbers[_around(bands)], minlength=numbers.max() + 1)
    areas = np.bincount(numbers.ravel(), minlength=numbers.max() + 1)
    remnant = (along > 0.7 * areas) & (box_sizes(numbers).min(axis=1) <= 2 + 0.012 * max(left.shape))
    remnant[0] = False
    return left & ~remnant[numbers]
