"""Derivatives from forward alone: the complex step, and central differences.

Complex step (Squire and Trapp 1998): the imaginary part of forward(t + i h r) / h. Nothing is subtracted, so h can be
1e-30 and the derivative is exact to rounding. forward must compute in complex128 and be analytic, except that it may
compare real parts.

Central differences work for any forward. The error of D(h) = (f(t + h r) - f(t - h r)) / 2h is a h^2 + b h^4 + ..., so
(16 D(h / 4) - D(h)) / 15 is in error by O(h^4) (Richardson). Rounding adds eps / h. The step that balances the two
depends on f, so we try a ladder of steps, take the one that differs least from its neighbours, and use that difference
as the error bar. A step across a kink is useless at any order. A cache, or a cache inside it, may record the branches
that forward took,

    cache.branches    an array, or nested tuples and dictionaries of arrays: ReLU masks, max-pooling winners, signs

and steps whose two ends took different branches are dropped, with all larger ones.
"""

import warnings
from typing import Any, NamedTuple

import numpy as np

from scratchnet.backend import Array, to_host
from scratchnet.common.caches import gathered
from scratchnet.gradcheck.point import Point, dot, norm

COMPLEX_STEP = 1e-30
STEPS = tuple(2e-2 * 4.0**-k for k in range(9))  # for central differences: 2e-2 to 3e-7 times the scale of the tensor
SPOT_STEP = 2e-6
SAME_BRANCH_STEPS = 4  # fewer steps leave no neighbours to compare with


class NoComplexError(Exception):
    """The forward under test does not support complex numbers; the message says why."""


class Difference(NamedTuple):
    """A central difference: value, error bar, step size, and whether too few steps cross no kink."""

    value: float
    error: float
    step: float
    crosses_kink: bool


def complex_step(point: Point, name: str, direction: Array, dy: Array, y: Array) -> float:
    """d/dh of sum(dy * forward) as the tensor `name` moves by h * direction.

    Raises NoComplexError if forward does not support complex numbers.
    """
    moved = point.widened[name] + 1j * COMPLEX_STEP * direction
    with warnings.catch_warnings():
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        try:
            moved_y = point.forward({**point.widened, name: moved})[0]
        except Exception as cause:  # any exception: the same forward has just worked with real numbers
            raise NoComplexError(f"{type(cause).__name__}: {' '.join(str(cause).split())[:80]}") from cause
    if moved_y.dtype.kind != "c":
        raise NoComplexError(f"forward turned complex numbers into {moved_y.dtype}")
    if norm(moved_y.real - y) > 1e-9 * norm(y):
        raise NoComplexError("its real part differs from forward on real numbers")
    return dot(dy, moved_y.imag) / COMPLEX_STEP


def central(
    point: Point, name: str, direction: Array, dy: Array, order: int = 4, steps: tuple[float, ...] = STEPS
) -> Difference:
    """The same derivative by central differences of order 2 or 4, at the best step of the ladder."""
    size, slopes, clean = scale_of(point.tensors[name]), [], []
    for step in steps:
        value, same = slope(point, name, direction, dy, step * size)
        slopes.append(value)
        clean.append(same)
    crossed = [k for k, same in enumerate(clean) if not same]
    first = crossed[-1] + 1 if crossed else 0
    crosses_kink = len(steps) - first < SAME_BRANCH_STEPS
    kept = np.array(slopes[-SAME_BRANCH_STEPS:] if crosses_kink else slopes[first:])
    if order == 4:
        kept = (16 * kept[1:] - kept[:-1]) / 15
    gaps = np.abs(np.diff(kept))
    worst = np.maximum(gaps[1:], gaps[:-1])  # a single small gap may be a coincidence
    best = int(np.argmin(worst))
    return Difference(float(kept[best + 1]), float(worst[best]), steps[best + 1 - len(kept)] * size, crosses_kink)


def spot_difference(point: Point, name: str, direction: Array, dy: Array) -> float:
    """A central difference at one small step: at least three digits for two forward passes."""
    return slope(point, name, direction, dy, SPOT_STEP * scale_of(point.tensors[name]))[0]


def scale_of(tensor: Array) -> float:
    """The root mean square of a tensor, the unit for its steps; 1 if the tensor is zero."""
    return norm(tensor) / max(1, tensor.size) ** 0.5 or 1.0


def arrays_in(value: Any) -> list[Array]:
    """All arrays in nested tuples, lists and dictionaries; other objects are skipped."""
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, tuple | list):
        return [array for part in value for array in arrays_in(part)]
    return [value] if hasattr(value, "shape") and hasattr(value, "dtype") else []


def same_bits(a: Array, b: Array) -> bool:
    """Equal in shape, dtype and every value; NaNs compare equal."""
    a, b = to_host(a), to_host(b)
    return a.shape == b.shape and a.dtype == b.dtype and bool(np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"))


def slope(point: Point, name: str, direction: Array, dy: Array, h: float) -> tuple[float, bool]:
    """D(h), and whether forward takes the same branches at both ends of the step."""
    (above, cache_above), (below, cache_below) = (point.at_step(name, step * direction) for step in (h, -h))
    patterns = [arrays_in(gathered(cache, "branches")) for cache in (cache_above, cache_below)]
    same = all(same_bits(a, b) for a, b in zip(*patterns, strict=True))
    return dot(dy, above - below) / (2 * h), same
