"""How far rounding moves a result: its change when every number changes in its last place."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import cycle

import numpy as np

from scratchnet.backend import Array, device_of
from scratchnet.errors import ScratchnetError
from scratchnet.gradcheck.numeric import NoComplexError
from scratchnet.gradcheck.point import Point, norm

NUDGES, NUDGES_EACH_WAY, MOVED = 10, 6, 10
HALF_OF_THE_DIGITS, SINGLE = 2.0**26, 2.0**29  # units in the last place; the second is one of float32
WAYS = ((-1, 0, 1), (0, 1), (-1, 0))  # up and down; up or down alone, for domains with an edge near the point


def nudged(
    point: Point, dy: Array, rng: np.random.Generator, *, each: float = 1.0, ways: tuple[int, ...] = (-1, 0, 1)
) -> tuple[Point, Array]:
    """The same point and cotangent, with every number moved up or down by one unit in the last place, or kept.

    each: the number of units instead. ways: to choose from for each number.
    """

    def nudge(tensor: Array) -> Array:
        units = each * rng.choice(ways, tensor.shape)
        return tensor * device_of(tensor).upload(1 + np.finfo(np.float64).eps * units)

    params = {name: nudge(value) for name, value in point.params.items()}
    return replace(point, params=params, inputs=tuple(nudge(x) for x in point.inputs)), nudge(dy)


def is_rounding(
    point: Point,
    dy: Array,
    rng: np.random.Generator,
    gap: float,
    gap_at: Callable[[Point, Array], float],
    *,
    is_single: bool = False,
) -> bool:
    """Do nudges move a gap by a good part of itself? Those that leave the domain of forward are set aside.

    They grow from a unit in the last place to half of the digits, since near 1 the rounding of x * x - 1 stays the same
    for many neighbours of x. The gap of a wrong gradient moves no more than the gradient itself, by whose size
    `gap_at` divides it. is_single: whether
    forward or backward computes in float32, whose last place is far higher.
    """
    unit = SINGLE if is_single else 1.0
    sizes = np.geomspace(unit, max(HALF_OF_THE_DIGITS, 16 * unit), len(WAYS) * NUDGES_EACH_WAY)
    for each, ways in zip(sizes, cycle(WAYS), strict=False):
        with np.errstate(all="ignore"), suppress(ScratchnetError, NoComplexError):
            if abs(gap) <= MOVED * abs(gap_at(*nudged(point, dy, rng, each=each, ways=ways)) - gap):
                return True
    return False


def beyond_nudges(
    point: Point, dy: Array, actual: Mapping[str, Array], expected: Mapping[str, Array], names: list[str]
) -> list[str]:
    """Of the arrays that differ by more than rounding should, those that rounding does not move as far here."""
    rng, moved = np.random.default_rng(0), dict.fromkeys(names, 0.0)
    for _ in range(NUDGES):
        near, near_dy = nudged(point, dy, rng)
        y, cache = near.forward()
        found = {"y": y} | near.backward(near_dy, cache)
        here = {"y": point.forward()[0]} | point.backward(dy, point.forward()[1])
        for name in names:
            own = name if name in found else name.removeprefix("d")
            moved[name] = max(moved[name], norm(found[own] - here[own]))
    return [
        name
        for name in names
        if name not in actual
        or actual[name].shape != expected[name].shape
        or not norm(actual[name] - expected[name]) <= 4 * moved[name]
    ]
