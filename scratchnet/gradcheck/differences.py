"""Central differences along a ladder of steps, for any forward.

The error of D(h) = (f(t + h r) - f(t - h r)) / 2h is a h^2 + b h^4 + ..., so (16 D(h / 4) - D(h)) / 15 is in error by
O(h^4) (Richardson). Rounding adds eps / h. The step that balances the two depends on f, so we try a ladder of steps,
take the one that differs least from its neighbours, and use that difference as the error bar. A step across a kink is
useless at any order. A cache, or a cache inside it, may record the branches that forward took,

    cache.branches    an array, or nested tuples and dictionaries of arrays: ReLU masks, max-pooling winners, signs

and steps whose two ends took different branches are dropped, with all larger ones, and so are steps that leave the
domain of forward.
"""

from typing import Any, NamedTuple

import numpy as np

from scratchnet.backend import Array, to_host
from scratchnet.common.caches import gathered
from scratchnet.gradcheck.numeric import same_bits, scale_of
from scratchnet.gradcheck.point import Point, dot

STEPS = tuple(2e-2 * 4.0**-k for k in range(9))  # 2e-2 to 3e-7 times the scale of the tensor
SAME_BRANCH_STEPS = 4  # fewer steps leave no neighbours to compare with


class Difference(NamedTuple):
    """A central difference: value, error bar, step size, and whether too few steps cross no kink."""

    value: float
    error: float
    step: float
    crosses_kink: bool


def central(
    point: Point, name: str, direction: Array, dy: Array, order: int = 4, steps: tuple[float, ...] = STEPS
) -> Difference:
    """The derivative along a direction by central differences of order 2 or 4, at the best step of the ladder.

    The ladder ends early where forward no longer resolves the step, as one that computes in float32.
    """
    size = scale_of(point.tensors[name])
    slopes: list[Slope] = []
    for step in steps:
        found = slope(point, name, direction, dy, step * size)
        if slopes and found.moved < slopes[0].moved / 2:
            break
        slopes.append(found)
    if len(slopes) < SAME_BRANCH_STEPS:
        return Difference(slopes[0].value, np.inf, steps[0] * size, False)
    crossed = [k for k, found in enumerate(slopes) if not (found.same and np.isfinite(found.value))]
    first = crossed[-1] + 1 if crossed else 0
    crosses_kink = len(slopes) - first < SAME_BRANCH_STEPS
    kept = np.array([found.value for found in (slopes[-SAME_BRANCH_STEPS:] if crosses_kink else slopes[first:])])
    if order == 4:
        growth = (steps[0] / steps[1]) ** 2
        kept = (growth * kept[1:] - kept[:-1]) / (growth - 1)
    taken = np.array(steps[len(slopes) - len(kept) : len(slopes)])
    if not np.isfinite(kept).all():
        return Difference(np.nan, np.inf, steps[-1] * size, False)
    gaps = np.abs(np.diff(kept))
    noise = [np.median((gaps * taken[1:])[k:]) for k in range(len(gaps))] / taken[1:]  # it grows as the step falls
    bars = np.maximum(np.maximum(gaps[1:], gaps[:-1]), noise[:-1])  # a single small gap may be a coincidence
    best = int(np.argmin(bars))
    return Difference(float(kept[best + 1]), float(bars[best]), float(taken[best + 1] * size), crosses_kink)


class Slope(NamedTuple):
    """D(h), whether both ends of the step take the same branches, and at what share of the entries of y they differ."""

    value: float
    same: bool
    moved: float


def slope(point: Point, name: str, direction: Array, dy: Array, h: float) -> Slope:
    """The central difference of one step."""
    (above, cache_above), (below, cache_below) = (point.at_step(name, step * direction) for step in (h, -h))
    patterns = [arrays_in(gathered(cache, "branches")) for cache in (cache_above, cache_below)]
    same = all(same_bits(a, b) for a, b in zip(*patterns, strict=True))
    moved = float(to_host(above != below).mean()) if above.size else 0.0
    return Slope(dot(dy, (above - below) / (2 * h)), same, moved)


def arrays_in(value: Any) -> list[Array]:
    """All arrays in nested tuples, lists and dictionaries; other objects are skipped."""
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, tuple | list):
        return [array for part in value for array in arrays_in(part)]
    return [value] if hasattr(value, "shape") and hasattr(value, "dtype") else []
