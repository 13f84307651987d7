"""How far rounding moves a result: its change when every number changes in its last place."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from scratchnet.backend import Array, device_of
from scratchnet.gradcheck.point import Point, norm

NUDGES = 10


def nudged(point: Point, dy: Array, rng: np.random.Generator) -> tuple[Point, Array]:
    """The same point and cotangent, with every number moved up or down by one unit in the last place, or kept."""

    def nudge(tensor: Array) -> Array:
        units = rng.integers(-1, 2, tensor.shape).astype(np.float64)
        return tensor * device_of(tensor).upload(1 + np.finfo(np.float64).eps * units)

    params = {name: nudge(value) for name, value in point.params.items()}
    return replace(point, params=params, inputs=tuple(nudge(x) for x in point.inputs)), nudge(dy)


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
