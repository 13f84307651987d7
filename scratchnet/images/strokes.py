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
        ink = ink | neighbours(ink).any(axis=0)
    return ink


def parts(ink: np.ndarray) -> np.ndarray:
    """Label the connected parts: (H, W) int64, 0 for paper, parts from 1 on.

    Union-find on whole arrays: of two pixels that touch, the later root is hooked to the earlier one, and every chain
    is shortened to its root, until nothing changes. The number of rounds grows as the logarithm of the longest part.
    """
    pixels = np.arange(1, np.count_nonzero(ink) + 1)
    numbers = np.zeros(ink.shape, np.int64)
    numbers[ink] = pixels
    here, there = [], []
    for neighbour in neighbours(numbers)[2:6]:  # every pair once
        touching = (numbers > 0) & (neighbour > 0)
        here.append(numbers[touching])
        there.append(neighbour[touching])
    one, other = np.concatenate(here), np.concatenate(there)
    root = np.concatenate([[0], pixels])
    while (root[one] != root[other]).any():
        a, b = root[one], root[other]
        np.minimum.at(root, np.maximum(a, b), np.minimum(a, b))
        while (root[root] != root).any():
            root = root[root]
    numbers[ink] = 1 + np.unique(root[1:], return_inverse=True)[1]
    return numbers


def box_sizes(numbers: np.ndarray) -> np.ndarray:
    """The height and width of every part, by label: (1 + parts, 2) int64; label 0, the paper, has size 0."""
    places, part = np.argwhere(numbers), numbers[numbers > 0]
    first = np.full((numbers.max() + 1, 2), max(numbers.shape))
    end = np.zeros_like(first)
    np.minimum.at(first, part, places)
    np.maximum.at(end, part, places + 1)
    return np.maximum(end - first, 0)


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
        for north, east, south, west in ((0, 2, 4, 6), (4, 6, 0, 2)):  # the second pass is the first, turned round
            around = neighbours(lines)
            count, edges = _count_and_edges(around)
            outer = ~(around[east] & around[south] & (around[north] | around[west]))
            lines = lines & ~((count >= 2) & (count <= 6) & (edges == 1) & outer)
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
    steps = range(-reach, reach + 1)
    far = np.where(np.pad(ink, reach), 0.0, reach + 1.0)  # so that np.roll wraps around paper only
    dx = reduce(np.minimum, (np.roll(far, step, axis=1) + abs(step) for step in steps))
    squared = reduce(np.minimum, (np.roll(dx * dx, step, axis=0) + step * step for step in steps))
    covered = np.clip(radius + 0.5 - np.sqrt(squared), 0, 1)[reach:-reach, reach:-reach]
    return covered.astype(np.float32)


def _count_and_edges(around: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many neighbours (8, H, W) are ink, and how often ink follows paper once around: (H, W) each."""
    return around.sum(axis=0), (~around & np.roll(around, -1, axis=0)).sum(axis=0)


def _ends(lines: np.ndarray) -> np.ndarray:
    """The ends of lines: pixels with one neighbour, or with two or three adjacent ones, where an end meets a line."""
    count, edges = _count_and_edges(neighbours(lines))
    return lines & (edges == 1) & (count <= 3)


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
