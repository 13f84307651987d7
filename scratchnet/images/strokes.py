"""Strokes of a binary picture: connected parts, stroke width, centre lines, and thickening.

Pictures are (H, W) bool, ink True, with paper all around. Pixels that touch at a corner are connected.
"""

from functools import reduce

import numpy as np

AROUND = [(-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1)]  # clockwise from above


def neighbours(picture: np.ndarray) -> np.ndarray:
    """The eight neighbours of every pixel, clockwise from above: (8, H, W), 0 or False outside."""
    H, W = picture.shape
    padded = np.pad(picture, 1)
    return np.stack([padded[1 + dy : 1 + dy + H, 1 + dx : 1 + dx + W] for dy, dx in AROUND])


def grown(ink: np.ndarray, pixels: int = 1) -> np.ndarray:
    """The ink (H, W) bool dilated by this many pixels, in all eight directions."""
    for _ in range(pixels):
        padded = np.pad(ink, 1)
        wider = padded[:, :-2] | padded[:, 1:-1] | padded[:, 2:]
        ink = wider[:-2] | wider[1:-1] | wider[2:]
    return ink


def runs(ink: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The stretches of ink along the rows, in order: their rows, first columns and lengths, (runs,) each."""
    padded = np.pad(ink, ((0, 0), (1, 1)))
    edges = np.flatnonzero(padded[:, 1:] != padded[:, :-1])
    row, start = np.divmod(edges[::2], ink.shape[1] + 1)
    return row, start, edges[1::2] - edges[::2]


def parts(ink: np.ndarray) -> np.ndarray:
    """Label the connected parts: (H, W) int64, 0 for paper, parts from 1 on.

    Union-find on whole arrays of runs: of two runs that touch, the later root is
    hooked to the earlier one, and every chain is shortened to its root, until nothing changes. The number of rounds
    grows as the logarithm of the longest part.
    """
    row, start, length = runs(ink)
    width = ink.shape[1] + 2  # of a row, with paper between rows
    start = row * width + start
    low = np.searchsorted(start + length, start + width)
    touching = np.searchsorted(start, start + length + width, side="right") - low  # runs of the next row, from low on
    one = np.repeat(np.arange(len(start)), touching)
    other = np.arange(len(one)) + np.repeat(low - np.cumsum(touching) + touching, touching)
    root = np.arange(len(start))
    while (root[one] != root[other]).any():
        a, b = root[one], root[other]
        np.minimum.at(root, np.maximum(a, b), np.minimum(a, b))
        while (root[root] != root).any():
            root = root[root]
    numbers = np.zeros(ink.shape, np.int64)
    numbers[ink] = np.repeat(1 + np.unique(root, return_inverse=True)[1], length)
    return numbers


def box_sizes(numbers: np.ndarray) -> np.ndarray:
    """The height and width of every part, by label: (1 + parts, 2) int64; label 0, the paper, has size 0."""
    sizes = np.zeros((numbers.max() + 1, 2), np.int64)
    places = np.nonzero(numbers > 0)
    for size, place in zip(sizes.T, places, strict=True):
        first = np.full(len(sizes), max(numbers.shape))
        np.minimum.at(first, numbers[places], place)
        np.maximum.at(size, numbers[places], place + 1)
        size -= np.minimum(first, size)
    return sizes


def extent(ink: np.ndarray) -> tuple[tuple[int, int], tuple[int, int]]:
    """The bounding box of the ink, which must not be empty: its first row and column, and its height and width."""
    rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
    return (int(rows[0]), int(columns[0])), (int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1)


def stroke_width(ink: np.ndarray) -> float:
    """The width of the pen in pixels: the area divided by half the length of the outline; 0 without ink.

    The length is by Crofton's formula: the number of crossings with lines in four directions, which is proportional to
    the length whatever the direction of the outline.
    """
    padded = np.pad(ink, 1)
    straight = np.count_nonzero(padded[1:] != padded[:-1]) + np.count_nonzero(padded[:, 1:] != padded[:, :-1])
    diagonal = np.count_nonzero(padded[1:, 1:] != padded[:-1, :-1]) + np.count_nonzero(
        padded[1:, :-1] != padded[:-1, 1:]
    )
    outline = np.pi / 8 * (straight + diagonal / np.sqrt(2))
    return float(2 * np.count_nonzero(ink) / max(outline, 1.0))


def middle_lines(ink: np.ndarray) -> np.ndarray:
    """Thin the strokes to lines one pixel wide (Zhang and Suen 1984); one pixel remains of a dot.

    Two alternating passes, from the south-east and from the north-west, remove the pixels of the outline that neither
    hold parts together nor end a line.
    """
    lines = ink
    while True:
        before = lines
        for stays in _STAYS:
            lines = lines & stays.take(_surroundings(lines))
        if np.array_equal(lines, before):
            return lines | _middles(_lost(ink, lines))


def pruned(lines: np.ndarray, length: int) -> np.ndarray:
    """Remove branches of at most `length` pixels, which thinning leaves where an outline is rough.

    All ends are shortened by `length` pixels; the remaining ends then grow back along the lines. Lines that would
    vanish are kept.
    """
    short = lines
    for _ in range(length):
        short = short & ~_ends(short)
    regrown = _ends(short)
    for _ in range(length):
        regrown = grown(regrown) & lines
    return short | regrown | _lost(lines, short)


def thickened(ink: np.ndarray, radius: float) -> np.ndarray:
    """Everything within `radius` pixels of ink (H, W) bool, antialiased: (H, W) float32.

    The distance in the plane follows from the distance dx to the ink in each row: the minimum of dx^2 + dy^2 over rows.
    """
    reach = int(np.ceil(radius + 0.5))
    squared = np.where(ink, 0, (reach + 1) ** 2).astype(np.int16)
    for turned in (squared.T, squared):
        before = turned.copy()
        for step in range(1, reach + 1):
            np.minimum(turned[step:], before[:-step] + step * step, out=turned[step:])
            np.minimum(turned[:-step], before[step:] + step * step, out=turned[:-step])
    return np.clip(np.float32(radius + 0.5) - np.sqrt(squared, dtype=np.float32), 0, 1)


def _surroundings(ink: np.ndarray) -> np.ndarray:
    """Which of the eight neighbours of every pixel are ink, as the bits of a number: (H, W) uint8."""
    return reduce(np.bitwise_or, (beside << bit for bit, beside in enumerate(neighbours(ink.view(np.uint8)))))


# By `_surroundings`: the neighbours (8, 256), how many are ink, and how often ink follows paper once around.
_AROUND = np.arange(256) >> np.arange(8)[:, None] & 1 > 0
_COUNT, _EDGES = _AROUND.sum(axis=0), (~_AROUND & np.roll(_AROUND, -1, axis=0)).sum(axis=0)
# An end of a line has one neighbour, or two or three adjacent ones, where it meets a line.
_IS_END = (_EDGES == 1) & (_COUNT <= 3)
# Which pixels stay in the two passes of thinning; the second is the first, turned round.
_STAYS = [
    (_COUNT < 2) | (_COUNT > 6) | (_EDGES != 1) | (_AROUND[east] & _AROUND[south] & (_AROUND[north] | _AROUND[west]))
    for north, east, south, west in ((0, 2, 4, 6), (4, 6, 0, 2))
]


def _ends(lines: np.ndarray) -> np.ndarray:
    return lines & _IS_END.take(_surroundings(lines))


def _lost(ink: np.ndarray, left: np.ndarray) -> np.ndarray:
    """The parts of the ink that have no pixel in `left`."""
    numbers = parts(ink)
    lost = np.ones(numbers.max() + 1, bool)
    lost[0] = False
    lost[numbers[left]] = False
    return lost[numbers]


def _middles(ink: np.ndarray) -> np.ndarray:
    """The pixel of every part that is nearest to its centre of gravity."""
    numbers, middles = parts(ink), np.zeros(ink.shape, bool)
    for number in range(1, numbers.max() + 1):
        pixels = np.argwhere(numbers == number)
        nearest = np.square(pixels - pixels.mean(axis=0)).sum(axis=1).argmin()
        middles[tuple(pixels[nearest])] = True
    return middles
