"""Strokes of a binary picture, each function against its definition."""

from collections import deque

import numpy as np
import pytest

from scratchnet.data.glyphs import generate_alphabets
from scratchnet.images.strokes import AROUND, grown, middle_lines, parts, pruned, stroke_width, thickened


@pytest.fixture(scope="module")
def glyphs() -> np.ndarray:
    """(N, 60, 60) bool characters drawn with a broad pen."""
    (alphabet,) = generate_alphabets(1, characters=8, drawers=1, image_size=60, seed=3)
    return np.stack([thickened(image, 1.5) > 0.5 for image in alphabet.images[:, 0]])


def parts_by_flood(ink: np.ndarray) -> list[frozenset]:
    """The sets of pixels that hang together, found one after the other."""
    left, found = {tuple(pixel) for pixel in np.argwhere(ink).tolist()}, []
    while left:
        queue, part = deque([left.pop()]), set()
        while queue:
            y, x = queue.popleft()
            part.add((y, x))
            for beside in {(y + dy, x + dx) for dy, dx in AROUND} & left:
                left.remove(beside)
                queue.append(beside)
        found.append(frozenset(part))
    return found


def numbered(numbers: np.ndarray) -> set[frozenset]:
    return {frozenset(map(tuple, np.argwhere(numbers == n).tolist())) for n in range(1, numbers.max() + 1)}


@pytest.mark.parametrize("share", [0, 0.1, 0.25, 0.4, 0.6, 1])
@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (31, 17), (40, 40)])
def test_parts_are_the_pixels_that_hang_together(shape, share, rng):
    ink = rng.random(shape) < share
    numbers = parts(ink)
    assert ((numbers > 0) == ink).all()
    assert numbered(numbers) == set(parts_by_flood(ink))


def test_a_long_spiral_is_one_part():
    spiral = np.zeros((41, 41), bool)
    for start in range(0, 20, 2):
        spiral[start, start : -1 - start] = spiral[start : -1 - start, -1 - start] = True
        spiral[-1 - start, start + 1 : -start or None] = spiral[start + 2 : -start or None, start] = True
        spiral[start + 2, start : start + 3] = True
    assert parts(spiral).max() == len(parts_by_flood(spiral)) == 1


@pytest.mark.parametrize("width", [4, 9])
@pytest.mark.parametrize("angle", [0, 15, 30, 45, 75, 90])
def test_the_width_of_a_stroke_does_not_depend_on_its_direction(width, angle):
    y, x = np.mgrid[-60:61, -60:61]
    along, across = (np.cos(np.deg2rad(angle + turn)) * x + np.sin(np.deg2rad(angle + turn)) * y for turn in (0, 90))
    bar = (np.abs(across) < width / 2) & (np.abs(along) < 50)
    assert stroke_width(bar) == pytest.approx(width * 100 / (width + 100), rel=0.13)


def test_without_ink_there_is_no_width():
    assert stroke_width(np.zeros((5, 5), bool)) == 0


def thinned_by_definition(ink: np.ndarray) -> np.ndarray:
    """Zhang and Suen's two passes with their numbers for the neighbours, P2 above P1 and on clockwise."""
    ink = np.pad(ink, 1)
    while True:
        before = ink.copy()
        for step in (1, 2):
            gone = []
            for y, x in np.argwhere(ink).tolist():
                P = [ink[y, x], *(ink[y + dy, x + dx] for dy, dx in AROUND)]
                P = [None, *P, P[1]]  # P[1] .. P[9], then P2 again
                A = sum(not P[k] and P[k + 1] for k in range(2, 10))
                if step == 1:
                    corner = not (P[2] and P[4] and P[6]) and not (P[4] and P[6] and P[8])
                else:
                    corner = not (P[2] and P[4] and P[8]) and not (P[2] and P[6] and P[8])
                if 2 <= sum(P[2:10]) <= 6 and A == 1 and corner:
                    gone.append((y, x))
            for pixel in gone:
                ink[pixel] = False
        if (ink == before).all():
            return ink[1:-1, 1:-1]


def test_middle_lines_are_those_of_zhang_and_suen(glyphs):
    for ink in glyphs[:4]:
        np.testing.assert_array_equal(middle_lines(ink), thinned_by_definition(ink))


def test_middle_lines_lie_in_the_ink_are_thin_and_hang_together_as_it_does(glyphs):
    for ink in glyphs:
        lines = middle_lines(ink)
        assert (ink | ~lines).all()
        assert stroke_width(lines) < 1.6 < stroke_width(ink)
        assert parts(lines).max() == parts(ink).max()
        assert parts(np.pad(~lines, 1, constant_values=True)).max() >= 1


@pytest.mark.parametrize("side", [1, 2, 3, 6])
def test_of_a_dot_a_dot_stays(side):
    ink = np.zeros((20, 20), bool)
    ink[5 : 5 + side, 8 : 8 + side] = True
    lines = middle_lines(ink)
    assert 1 <= lines.sum() <= side
    assert (ink | ~lines).all()


def test_pruning_takes_short_branches_and_nothing_else():
    lines = np.zeros((30, 60), bool)
    lines[15, 5:55] = True
    with_branches = lines.copy()
    with_branches[12:15, 20] = with_branches[16:18, 40] = True  # 3 and 2 pixels
    long = lines.copy()
    long[5:15, 30] = True  # 10 pixels
    dots = lines.copy()
    dots[2, 2] = dots[25, 30:34] = True  # 1 and 4 pixels, alone
    np.testing.assert_array_equal(pruned(with_branches, 4), lines)
    for kept in (lines, long, dots):
        np.testing.assert_array_equal(pruned(kept, 4), kept)
    np.testing.assert_array_equal(pruned(with_branches, 0), with_branches)


def test_pruning_leaves_rings():
    ring = thickened(np.pad(np.ones((1, 1), bool), 20), 12.0) > 0.5
    ring &= ~(thickened(np.pad(np.ones((1, 1), bool), 20), 10.0) > 0.5)
    lines = middle_lines(ring)
    np.testing.assert_array_equal(pruned(lines, 5), lines)


@pytest.mark.parametrize("radius", [0.5, 1.0, 2.7, 6.0])
def test_what_is_thickened_covers_all_within_the_radius(radius, rng):
    ink = rng.random((24, 31)) < 0.01
    ink[0, 0] = ink[-1, 12] = True
    y, x = np.mgrid[:24, :31]
    distance = np.min([np.hypot(y - v, x - u) for v, u in np.argwhere(ink)], axis=0)
    found = thickened(ink, radius)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.clip(radius + 0.5 - distance, 0, 1), rtol=0, atol=1e-6)


def test_ink_grows_by_its_neighbours():
    ink = np.zeros((9, 9), bool)
    ink[4, 4] = True
    for pixels in range(4):
        side = np.s_[4 - pixels : 5 + pixels]
        expected = np.zeros((9, 9), bool)
        expected[side, side] = True
        np.testing.assert_array_equal(grown(ink, pixels), expected)
