"""The two one-sided derivatives, which differ at a tie."""

from typing import NamedTuple

import numpy as np

from scratchnet.backend import Array, device_of, to_host
from scratchnet.gradcheck.numeric import scale_of
from scratchnet.gradcheck.point import Point

ONE_SIDED_STEP = 1e-5


class Sides(NamedTuple):
    """The right and left derivatives, and the interval that they allow for the derivative."""

    right: float
    left: float
    lowest: float
    highest: float

    @property
    def kinked(self) -> bool:
        """Whether the interval is wider than rounding explains: there is a tie at this point."""
        return self.highest - self.lowest > 1e-5 * max(abs(self.highest), abs(self.lowest))

    def between(self, value: float, scale: float) -> bool:
        """Is `value` in the interval, up to rounding? scale: a typical size of the derivatives, for the tolerance."""
        slack = 1e-6 * max(abs(self.highest), abs(self.lowest), scale)
        return self.lowest - slack <= value <= self.highest + slack


def one_sided(point: Point, name: str, direction: Array, dy: Array, y: Array) -> Sides:
    """The right and left derivatives, (4 f(h) - 3 f(0) - f(2h)) / 2h with h > 0 and h < 0.

    At a tie each output y[o] has both, and its derivative may lie anywhere between them; so the derivative of
    sum(dy * y) lies between the sum of the smaller terms and the sum of the larger terms.
    """
    sides = []
    for h in (ONE_SIDED_STEP, -ONE_SIDED_STEP):
        h *= scale_of(point.tensors[name])
        near, far = (point.at_step(name, k * h * direction)[0] for k in (1, 2))
        sides.append(np.asarray(to_host(dy * (4 * near - 3 * y - far) / (2 * h))))
    right, left = sides
    lowest, highest = np.minimum(right, left).sum(), np.maximum(right, left).sum()
    return Sides(float(right.sum()), float(left.sum()), float(lowest), float(highest))


def one_hot(tensor: Array, index: tuple[int, ...]) -> Array:
    """The direction along one entry."""
    direction = np.zeros(tensor.shape)
    direction[index] = 1.0
    return device_of(tensor).upload(direction)
