"""Find thin straight lines along the rows of a binary picture, by a Hough transform of the middles of thin runs."""

from dataclasses import dataclass

import numpy as np
from numpy.polynomial.polynomial import polyfit, polyval

from scratchnet.images.strokes import runs

SLOPE = 0.08  # the largest slope of a line: 4.6 degrees
THIN = 0.06  # of the side of the picture: printed lines are thinner
SHORTEST = 0.15  # of the side of the picture
GAP = 0.04  # of the side of the picture: the longest gap in a faded line
SEEN, SOLID = 0.35, 0.85  # the share of a line that must be visible, from border to border or otherwise
LONE = 0.25  # the share of a line that must be visible with paper on both sides
MOST = 0.25  # of the side of the picture in pixels: the most lines to look for


@dataclass(frozen=True, eq=False)
class Line:
    """A line along the rows, in pixels.

    middle: (W,) its row in every column. start and end: its first column and the one after its last. width: its
    thickness. rough: its root mean square deviation from a straight line. gap: the longest gap in it.
    """

    middle: np.ndarray
    start: int
    end: int
    width: float
    rough: float
    gap: int

    def at(self, column: float) -> float:
        """The row of the line in this column."""
        return float(self.middle[int(np.clip(column, 0, len(self.middle) - 1))])


def find_lines(ink: np.ndarray, thickest: float = np.inf) -> list[Line]:
    """The lines along the rows of the ink (H, W) bool that are at most `thickest` pixels thick, the clearest first.

    The middle of every thin vertical run of ink votes for the lines through it. The votes of a line that has been found
    are removed before the search for the next.
    """
    H, W = ink.shape
    side = max(H, W)
    x, first, length = runs(ink.T)
    thin = length <= min(max(3.0, THIN * side), thickest)
    x, y, length = x[thin], first[thin] + (length[thin] - 1) / 2, length[thin]
    slopes = np.linspace(-SLOPE, SLOPE, 2 * round(SLOPE * W / 2) + 1)
    reach = int(SLOPE * W / 2) + 3
    offsets = H + 2 * reach
    bins = np.rint(y - slopes[:, None] * (x - W / 2)).astype(np.int64) + reach  # (slopes, runs)
    bins += np.arange(len(slopes))[:, None] * offsets
    votes = np.bincount(bins.ravel(), minlength=len(slopes) * offsets)
    free, lines = np.ones(len(x), bool), list[Line]()
    for _ in range(round(MOST * side)):
        near = votes[:-2] + votes[1:-1] + votes[2:]
        best = int(near.argmax()) + 1
        if near[best - 1] < SOLID * SHORTEST * W:
            break
        path = best % offsets - reach + slopes[best // offsets] * (x - W / 2)
        on_line, middle = _followed(x, y, free, path, 0.6 + 0.004 * side, W)
        taken = on_line | (free & (np.abs(y - path) <= 1.5))
        votes -= np.bincount(bins[:, taken].ravel(), minlength=len(votes))
        free &= ~taken
        if line := _line(ink, x[on_line], y[on_line], length[on_line], middle):
            lines.append(line)
    return lines


def _followed(
    x: np.ndarray, y: np.ndarray, free: np.ndarray, path: np.ndarray, within: float, W: int
) -> tuple[np.ndarray, np.ndarray]:
    """Which of the runs at (x, y) lie on a line near `path`, and its middle (W,), a parabola because paper may bend."""
    on_line = free & (np.abs(y - path) <= within + 1)
    for degree in (1, 2):
        curve = polyfit(x[on_line], y[on_line], degree)
        closer = free & (np.abs(y - polyval(x, curve)) <= within)
        if np.count_nonzero(closer) > 0.5 * np.count_nonzero(on_line):
            on_line = closer
    return on_line, polyval(np.arange(W), curve)


def _line(ink: np.ndarray, x: np.ndarray, y: np.ndarray, length: np.ndarray, middle: np.ndarray) -> Line | None:
    """The line of thin runs of these lengths at (x, y), along `middle` (W,), or None if it is too short or faint."""
    H, W = ink.shape
    width = float(np.median(length))
    is_alone = np.abs(length - width) <= max(1.0, 0.4 * width)
    alone = np.zeros(W, bool)
    alone[x[is_alone]] = True
    seen = alone | ink[np.clip(np.rint(middle).astype(int), 0, H - 1), np.arange(W)]  # strokes may cross the line
    start, end = _longest(seen, round(GAP * max(H, W)) + 2)
    size = end - start
    needed = SEEN if size > (1 - 2 * GAP) * W else SOLID
    if (
        size < SHORTEST * W
        or np.count_nonzero(alone[start:end]) < LONE * size
        or np.count_nonzero(seen[start:end]) < needed * size
    ):
        return None
    inside = is_alone & (x >= start) & (x < end)
    straight = polyfit(x[inside], y[inside], 1)
    rough = float(np.sqrt(np.mean((polyval(x[inside], straight) - y[inside]) ** 2)))
    gap = int(np.diff(np.flatnonzero(seen[start:end])).max(initial=1)) - 1
    return Line(middle, start, end, width, rough, gap)


def _longest(seen: np.ndarray, gap: int) -> tuple[int, int]:
    """The start and end of the longest stretch of `seen` (W,) without a gap longer than `gap`."""
    places = np.flatnonzero(seen)
    if not len(places):
        return 0, 0
    breaks = np.flatnonzero(np.diff(places) > gap + 1)
    starts, stops = places[np.r_[0, breaks + 1]], places[np.r_[breaks, len(places) - 1]] + 1
    longest = (stops - starts).argmax()
    return int(starts[longest]), int(stops[longest])
