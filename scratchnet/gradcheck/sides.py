"""The two one-sided derivatives, which differ at a tie."""

from typing import NamedTuple

import numpy as np

from scratchnet.backend import Array, device_of, to_host
from scratchnet.gradcheck.numeric import scale_of
from scratchnet.gradcheck.point import Point

ONE_SIDED_STEP, SETTLED = 1e-5, 1e-2


class Sides(NamedTuple):
    """The right and left derivatives, the interval that they allow, and whether smaller steps give the same two."""

    right: float
    left: float
    lowest: float
    highest: float
    settled: bool

    @property
    def kinked(self) -> bool:
        """Whether the interval is wider than rounding explains: there is a tie at this point, not a pole near it."""
        return self.settled and self.highest - self.lowest > 1e-5 * max(abs(self.highest), abs(self.lowest))

    def between(self, value: float, scale: float) -> bool:
        """Is `value` in the interval, up to rounding? scale: a typical size of the derivatives, for the tolerance."""
        slack = 1e-6 * max(abs(self.highest), abs(self.lowest), scale)
        return self.lowest - slack <= value <= self.highest + slack


def one_sided(point: Point, name: str, direction: Array, dy: Array, y: Array) -> Sides:
    """The right and left derivatives, (4 f(h) - 3 f(0) - f(2h)) / 2h with h > 0 and h < 0.

    At a tie each output y[o] has both, and its derivative may lie anywhere between them; so the derivative of
    sum(dy * y) lies between the sum of the smaller terms and the sum of the larger terms.
    """
    right, left = (_one_side(point, name, direction, dy, y, h) for h in (ONE_SIDED_STEP, -ONE_SIDED_STEP))
    nearer = [_one_side(point, name, direction, dy, y, h / 10).sum() for h in (ONE_SIDED_STEP, -ONE_SIDED_STEP)]
    sums = [right.sum(), left.sum()]
    settled = np.abs(np.subtract(sums, nearer)).max() <= SETTLED * np.abs(sums).max()
    lowest, highest = np.minimum(right, left).sum(), np.maximum(right, left).sum()
    return Sides(float(sums[0]), float(sums[1]), float(lowest), float(highest), bool(settled))


def _one_side(point: Point, name: str, direction: Array, dy: Array, y: Array, h: float) -> np.ndarray:
    """The terms of the derivative from one side, on the host."""
    h *= scale_of(point.tensors[name])
    near, far = (point.at_step(name, k * h * direction)[0] for k in (1, 2))
    return np.asarray(to_host(dy * (4 * near - 3 * y - far) / (2 * h)))


def one_hot(tensor: Array, index: tuple[int, ...]) -> Array:
    """The direction along one entry."""
    direction = np.zeros(tensor.shape)
    direction[index] = 1.0
    return device_of(tensor).upload(direction)
