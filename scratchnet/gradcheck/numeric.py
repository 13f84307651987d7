"""Derivatives from forward alone: the complex step, and a single central difference to confirm it.

Complex step (Squire and Trapp 1998): the imaginary part of forward(t + i h r) / h. Nothing is subtracted, so h can be
1e-30 and the derivative is exact to rounding. forward must compute in complex128 and be analytic, except that it may
compare real parts. `lifted.py` takes code that is not, with abs or clip in it, through the same step, and
`differences.py` takes the rest.
"""

import warnings

import numpy as np

from scratchnet.backend import Array, to_host
from scratchnet.gradcheck.point import Point, dot, norm, said

COMPLEX_STEP, TINY_STEP, TINY = 1e-30, 1e-10, 1e-100  # times the scale of the tensor; less would underflow below TINY
SPOT_STEP, UNEVEN, ENOUGH, UNDERFLOW = 2e-6, 1e3, 10**6, 1e-295


class NoComplexError(Exception):
    """The forward under test does not support complex numbers; the message says why."""


def complex_step(point: Point, name: str, direction: Array, dy: Array, y: Array) -> float:
    """d/dh of sum(dy * forward) as the tensor `name` moves by h * direction.

    Raises NoComplexError if forward does not support complex numbers.
    """
    scale = scale_of(point.tensors[name])
    step = scale * (COMPLEX_STEP if scale > TINY else TINY_STEP)
    moved = point.widened[name] + 1j * step * direction
    with warnings.catch_warnings():
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        try:
            moved_y = point.forward({**point.widened, name: moved})[0]
        except Exception as cause:  # any exception: the same forward has just worked with real numbers
            raise NoComplexError(said(cause)) from cause
    if moved_y.dtype.kind != "c":
        raise NoComplexError(f"forward turned complex numbers into {moved_y.dtype}")
    if not norm(moved_y.real - y) <= 1e-9 * norm(y):
        raise NoComplexError("its real part differs from forward on real numbers")
    if 0 < norm(moved_y.imag) < UNDERFLOW:
        raise NoComplexError("the imaginary part of y underflows")
    return dot(dy, moved_y.imag / step)


def spot_difference(point: Point, name: str, direction: Array, dy: Array, step: float = SPOT_STEP) -> float:
    """The central difference at one step, times the scale of the tensor: at least three digits for two forwards."""
    h = step * scale_of(point.tensors[name])
    above, below = (point.at_step(name, side * direction)[0] for side in (h, -h))
    return dot(dy, (above - below) / (2 * h))


def scale_of(tensor: Array) -> float:
    """The root mean square of a tensor, the unit for its steps; 1 if the tensor is zero."""
    return norm(tensor) / max(1, tensor.size) ** 0.5 or 1.0


def is_uneven(sizes: np.ndarray) -> bool:
    """Whether some of these sizes are far below their root mean square: an error there would be hidden."""
    some = sizes[sizes > 0]
    some = np.sort(some[:: 1 + some.size // ENOUGH])
    return some.size > 0 and norm(some) > UNEVEN * some.size**0.5 * float(some[some.size // 20])


def same_bits(a: Array, b: Array) -> bool:
    """Equal in shape, dtype and every value; NaNs compare equal."""
    a, b = to_host(a), to_host(b)
    return a.shape == b.shape and a.dtype == b.dtype and bool(np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"))
