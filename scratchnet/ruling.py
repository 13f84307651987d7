"""Lines that are no character: ruled lines, squared paper, a box or a frame around it, found and taken away.

A printed line is straight, thin and equally wide. But so are the strokes of many a character, and boxes, bars and
crosses are characters. What tells a line that was printed from a stroke is that nowhere it simply ends: both its ends
lie on the border of the picture, or on other such lines; and that without it a whole character is left, on paper of
which it leaves a margin. Where that is in doubt, the ink stays as it is.

Lines are looked for along the rows; those along the columns are found in the transposed picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from scratchnet.strokes import box_sizes, extent, parts, stroke_width

SLOPE = 0.08  # how much lines are off the level at most: 4.6 degrees
THIN = 0.06  # of the picture's side: what is thicker is no printed line
SHORTEST = 0.15  # of the picture's side
GAP = 0.04  # of the picture's side, for which a line may fade
SEEN, SOLID = 0.35, 0.85  # of a line from border to border has to be seen, and of another
STRAIGHT = 0.45  # pixels off a straight line, root mean square: printed lines 0.3, and strokes by hand 0.3 to 1.3
LONE = 0.25  # of a line has to be seen with paper on both sides
MANY = 3  # parallel lines from border to border are ruling, whatever else there is
REST = 0.03  # of the picture's side: the least that is left of a character
FILLS = 0.2  # of a box, that what was written into it fills at least
NEAR_BORDER = 0.1  # of the picture's side: a box nearer was printed
OTHER_PEN = 0.72  # a box with a line thinner than that share of the pen, or the reverse, was printed


@dataclass(frozen=True, eq=False)
class Line:
    """A line along the rows: its middle (W,) in every column, where it starts and ends, how thick it is, how far from
    straight, and the longest gap where it is dashed or fades."""

    middle: np.ndarray
    start: int
    end: int
    width: float
    rough: float
    gap: int

    def at(self, column: float) -> float:
        return float(self.middle[int(np.clip(column, 0, len(self.middle) - 1))])


class Ruling(NamedTuple):
    """Lines along the rows of the picture, and along those of the transposed picture."""

    rows: list[Line]
    columns: list[Line]


def find_lines(ink: np.ndarray, thickest: float = np.inf) -> list[Line]:
    """Straight thin lines along the rows of the ink (H, W), by a Hough transform of the middles of thin runs."""
    H, W = ink.shape
    side = max(H, W)
    x, first, length = _runs(ink)
    thin = length <= min(max(3.0, THIN * side), thickest)
    x, middle, length = x[thin], first[thin] + (length[thin] - 1) / 2, length[thin]
    slopes = np.linspace(-SLOPE, SLOPE, 2 * round(SLOPE * W / 2) + 1)
    reach = int(SLOPE * W / 2) + 3
    bins = np.rint(middle - slopes[:, None] * (x - W / 2)).astype(np.int64) + reach                 # (slopes, runs)
    bins += np.arange(len(slopes))[:, None] * (H + 2 * reach)
    votes = np.bincount(bins.ravel(), minlength=len(slopes) * (H + 2 * reach))
    within = 0.6 + 0.004 * side
    found: list[Line] = []
    free = np.ones(len(x), bool)
    while len(found) < side / 4:
        near = votes[:-2] + votes[1:-1] + votes[2:]
        best = int(near.argmax()) + 1
        if near[best - 1] < SOLID * SHORTEST * W:
            break
        slope, offset = slopes[best // (H + 2 * reach)], best % (H + 2 * reach) - reach
        path = offset + slope * (x - W / 2)
        on_it = free & (np.abs(middle - path) <= within + 1)
        for degree in (1, 2):
            curve = np.polynomial.Polynomial.fit(x[on_it], middle[on_it], degree, domain=[0, W])
            closer = free & (np.abs(middle - curve(x)) <= within)
            if np.count_nonzero(closer) > 0.5 * np.count_nonzero(on_it):
                on_it = closer
        votes -= np.bincount(bins[:, on_it].ravel(), minlength=len(votes))
        taken = free & (np.abs(middle - path) <= 1.5)
        votes -= np.bincount(bins[:, taken & ~on_it].ravel(), minlength=len(votes))
        free &= ~(on_it | taken)
        if line := _line(ink, x[on_it], middle[on_it], length[on_it], curve(np.arange(W))):
            found.append(line)
    return found


def _line(ink: np.ndarray, x: np.ndarray, y: np.ndarray, length: np.ndarray, middle: np.ndarray) -> Line | None:
    """The line with thin runs of these lengths at the columns x, with their middles at the rows y, on the path `middle`
    (W,); None if it is none."""
    H, W = ink.shape
    width = float(np.median(length))
    alone = np.zeros(W, bool)
    alone[x[np.abs(length - width) <= max(1.0, 0.4 * width)]] = True
    rows = np.clip(np.rint(middle).astype(int), 0, H - 1)
    crossed = ink[rows, np.arange(W)]
    start, end = _longest(alone | crossed, round(GAP * max(H, W)) + 2)
    size = end - start
    if size < SHORTEST * W or np.count_nonzero(alone[start:end]) < LONE * size:
        return None
    needed = SEEN if size > (1 - 2 * GAP) * W else SOLID
    if np.count_nonzero((alone | crossed)[start:end]) < needed * size:
        return None
    inside = (x >= start) & (x < end) & (np.abs(length - width) <= max(1.0, 0.4 * width))
    straight = np.polynomial.Polynomial.fit(x[inside], y[inside], 1)
    rough = float(np.sqrt(np.mean((straight(x[inside]) - y[inside]) ** 2)))
    gap = int(np.diff(np.flatnonzero((alone | crossed)[start:end])).max(initial=1)) - 1
    return Line(middle, start, end, width, rough, gap)


def _longest(seen: np.ndarray, gap: int) -> tuple[int, int]:
    """The longest stretch of `seen` (W,) with no gap longer than `gap`, as its start and end."""
    places = np.flatnonzero(seen)
    if not len(places):
        return 0, 0
    breaks = np.flatnonzero(np.diff(places) > gap + 1)
    starts, stops = places[np.r_[0, breaks + 1]], places[np.r_[breaks, len(places) - 1]] + 1
    longest = (stops - starts).argmax()
    return int(starts[longest]), int(stops[longest])


def _runs(ink: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The vertical runs of ink: their columns, first rows and lengths, (runs,) each."""
    H, W = ink.shape
    steps = np.diff(np.pad(ink.T, ((0, 0), (1, 1))).astype(np.int8), axis=1)                        # (W, H + 1)
    x, first = np.nonzero(steps == 1)
    return x, first, np.nonzero(steps == -1)[1] - first


def without_ruling(ink: np.ndarray, faint: np.ndarray) -> np.ndarray:
    """The ink (H, W) bool without printed lines, strokes that cross them mended; as it is where there are none.

    Lines are followed in `faint` (H, W), which holds the ink and what else there is a trace of. Raises ValueError
    where there are only lines.
    """
    found = Ruling(find_lines(faint), find_lines(faint.T))
    if max(_spanning(_inside(found, ink.shape), ink.shape)) >= MANY:
        left, _ = _without(ink, _thin_ruling(faint, found))
        if not left.any() or max(extent(left)[1]) < REST * max(ink.shape):
            raise ValueError("there are only ruled lines")
        return left
    ruling = _anchored(found, ink.shape)
    if min(map(len, ruling)) < 2:  # no frame: what lies along the border may be a stroke of a picture cut to its ink
        ruling = _inside(ruling, ink.shape)
    if not any(ruling):
        return ink
    left, bands = _without(ink, ruling)
    if not left.any() or not _is_character(left):
        return ink
    if _is_printed_box(left, bands, ruling):
        return without_ruling(left, faint & ~bands)  # a frame may be a double one
    return left if _reaches_border(ruling, ink.shape) else ink


def _anchored(ruling: Ruling, shape: tuple[int, int]) -> Ruling:
    """The straight lines of which both ends lie on the border, or make a corner with other such lines."""
    H, W = shape
    kept, found = Ruling(*([line for line in lines if line.rough <= STRAIGHT] for lines in ruling)), None
    while kept != found:
        found = kept
        kept = Ruling([line for line in found.rows if _is_anchored(line, found.columns, H)],
                      [line for line in found.columns if _is_anchored(line, found.rows, W)])
    return kept


def _inside(ruling: Ruling, shape: tuple[int, int]) -> Ruling:
    """The lines that do not lie along the border."""
    return Ruling(*([line for line in lines if not _lies_along(line, length)]
                    for lines, length in zip(ruling, shape, strict=True)))


def _spanning(ruling: Ruling, shape: tuple[int, int]) -> list[int]:
    """How many lines go from border to border, along the rows and along the columns."""
    return [sum(_spans(line, length) for line in lines) for lines, length in zip(ruling, shape, strict=True)]


def _reaches_border(ruling: Ruling, shape: tuple[int, int]) -> bool:
    """Whether a line ends on the border."""
    return any(_on_border(line, end, length) for lines, length in zip(ruling, shape, strict=True)
               for line in lines for end in (line.start, line.end - 1))


def _thin_ruling(ink: np.ndarray, ruling: Ruling) -> Ruling:
    """The lines of ruled paper, looked for once more now that it is known how thick they are: so that strokes that
    lie upon them do not hide them."""
    width = np.median([line.width for lines in ruling for line in lines])
    thickest = 1.5 * width + 1
    H, W = ink.shape
    found = Ruling(find_lines(ink, thickest), find_lines(ink.T, thickest))
    return Ruling([line for line in found.rows if _spans(line, H)], [line for line in found.columns if _spans(line, W)])


def _without(ink: np.ndarray, ruling: Ruling) -> tuple[np.ndarray, np.ndarray]:
    """The ink (H, W) without the lines, and the bands that they covered."""
    left, rows = _taken_away(ink, ruling.rows)
    left, columns = _taken_away(left.T, ruling.columns)
    bands = rows | columns.T
    return _without_remnants(left.T, bands), bands


def _reach(side: int) -> float:
    """How many pixels off a line may end."""
    return max(2.0, 0.015 * side)


def _is_anchored(line: Line, across: Sequence[Line], height: int) -> bool:
    return all(_on_border(line, end, height) or any(_meets(line, end, other) for other in across)
               for end in (line.start, line.end - 1))


def _on_border(line: Line, column: int, height: int) -> bool:
    width = len(line.middle)
    reach = 1 + 0.003 * max(height, width) + line.gap
    beyond = line.width / 2 + reach
    return min(column, width - 1 - column) <= reach or not beyond < line.at(column) < height - 1 - beyond


def _meets(line: Line, column: int, other: Line) -> bool:
    """Whether the line makes a corner at this column with a line `other` across. Strokes end on ruled lines as well."""
    row = line.at(column)
    reach = _reach(max(len(line.middle), len(other.middle))) + (line.width + other.width) / 2
    return abs(other.at(row) - column) <= reach and min(abs(row - other.start), abs(row - other.end + 1)) <= reach


def _spans(line: Line, height: int) -> bool:
    return _on_border(line, line.start, height) and _on_border(line, line.end - 1, height)


def _lies_along(line: Line, height: int) -> bool:
    """Whether the line lies along the upper or lower border."""
    middle = float(np.median(line.middle[line.start : line.end]))
    return min(middle, height - 1 - middle) <= line.width / 2 + _reach(max(height, len(line.middle)))


def _is_character(left: np.ndarray) -> bool:
    """Whether what is left is large enough, and keeps away from the border."""
    (top, first), size = extent(left)
    H, W = left.shape
    margin = min(top, first, H - top - size[0], W - first - size[1])
    return margin >= _reach(max(H, W)) and max(size) >= REST * max(H, W)


def _is_printed_box(left: np.ndarray, bands: np.ndarray, ruling: Ruling) -> bool:
    """Whether the lines are a box around what is left of the ink, and not strokes of it."""
    if min(len(ruling.rows), len(ruling.columns)) < 2:
        return False
    box, (top, first), size = extent(bands), *extent(left)
    gaps = [(top - box[0][0], box[0][0] + box[1][0] - top - size[0]),
            (first - box[0][1], box[0][1] + box[1][1] - first - size[1])]
    if np.min(gaps) < 0 or max(size) < FILLS * max(box[1]):
        return False
    width = float(np.mean([line.width for lines in ruling for line in lines]))
    pen = stroke_width(left)
    other_pen = not OTHER_PEN <= width / pen <= 1 / OTHER_PEN
    H, W = left.shape
    margins = box[0][0], box[0][1], H - box[0][0] - box[1][0], W - box[0][1] - box[1][1]
    touches = bool((_grown_rows(left) & bands).any())
    return other_pen or (not touches and (max(margins) <= NEAR_BORDER * max(H, W) or not _is_drawn_with_ruler(left)))


def _is_drawn_with_ruler(ink: np.ndarray) -> bool:
    """Whether there is nothing but straight lines along the rows and columns, as in a character that is a box."""
    left, _ = _without(ink, Ruling(find_lines(ink), find_lines(ink.T)))
    return np.count_nonzero(left) < 0.2 * np.count_nonzero(ink)


def _grown_rows(ink: np.ndarray) -> np.ndarray:
    padded = np.pad(ink, 2)
    H, W = ink.shape
    return np.any([padded[2 + dy : 2 + dy + H, 2 + dx : 2 + dx + W] for dy, dx in ((-2, 0), (2, 0), (0, -2), (0, 2))], axis=0)


def _taken_away(ink: np.ndarray, lines: Sequence[Line]) -> tuple[np.ndarray, np.ndarray]:
    """The ink (H, W) without lines along the rows, and the bands that they covered."""
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
    """Where strokes cross a line, (W,) bool, at a step of the way from ink `above` it to ink `below` it: wherever a
    straight stroke of any slope up to 45 degrees joins the two."""
    if not above.any() or not below.any():
        return np.zeros_like(above)
    crossing = np.zeros_like(above)
    for lean in range(-steps, steps + 1):
        from_above = round(lean * step / steps)
        crossing |= _shifted(above, from_above) & _shifted(below, from_above - lean)
    return crossing


def _shifted(values: np.ndarray, by: int) -> np.ndarray:
    moved = np.zeros_like(values)
    if by >= 0:
        moved[by:] = values[: len(values) - by]
    else:
        moved[:by] = values[-by:]
    return moved


def _without_remnants(left: np.ndarray, bands: np.ndarray) -> np.ndarray:
    """Without the thin parts that lie along the bands: the rough edges of lines."""
    numbers = parts(left)
    along = np.bincount(numbers[_grown_rows(bands) | bands], minlength=numbers.max() + 1)
    areas = np.bincount(numbers.ravel(), minlength=numbers.max() + 1)
    remnant = (along > 0.7 * areas) & (box_sizes(numbers).min(axis=1) <= 2 + 0.012 * max(left.shape))
    remnant[0] = False
    return left & ~remnant[numbers]
