"""Activations, element by element: ReLU and the logistic sigmoid."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from scratchnet.backend import Array, Params, array_module
from scratchnet.backend.expect import expect
from scratchnet.ops import pixels


def exp_minus_abs(x: Array) -> Array:
    """exp(-|x|), which cannot overflow; by `where`, since abs would spoil a complex step."""
    xp = array_module(x)
    return xp.exp(xp.where(x.real >= 0, -x, x))


def sigmoid(x: Array, e: Array | None = None) -> Array:
    """1 / (1 + exp(-x)), without overflow. e: `exp_minus_abs` of x, if it is known."""
    e = exp_minus_abs(x) if e is None else e
    return array_module(x).where(x.real >= 0, 1.0, e) / (1.0 + e)


class ReLUCache(NamedTuple):
    y: Array  # the next layer keeps it anyway

    @property
    def branches(self) -> Array:
        """Which inputs are positive."""
        return self.y.real > 0


@dataclass(frozen=True)
class ReLU:
    """y = max(x, 0). Shapes: x and y alike, any.

        dx = dy where y > 0, else 0     (1)

    y > 0 where x > 0. At x = 0, where there is no derivative, the gradient is 0.
    """

    def init(self, rng: np.random.Generator) -> Params:
        """No parameters."""
        return {}

    def forward(self, params: Params, x: Array) -> tuple[Array, ReLUCache]:
        """y, shaped like x."""
        expect("ReLU", "x: *shape", x)
        y = pixels.relu(x)
        return y, ReLUCache(y)

    def backward(self, dy: Array, cache: ReLUCache) -> tuple[Array, Params]:
        """dx, shaped like dy."""
        expect("ReLU", "x: *shape, dy: *shape", cache.y, dy)
        return pixels.relu_backward(dy, cache.y), {}  # (1)


class SigmoidCache(NamedTuple):
    e: Array  # exp(-|x|)


@dataclass(frozen=True)
class Sigmoid:
    """y = 1 / (1 + exp(-x)). Shapes: x and y alike, any.

        dx = dy y (1 - y) = dy e / (1 + e)^2 with e = exp(-|x|)     (1)

    y and 1 - y are 1 / (1 + e) and e / (1 + e), one way round or the other. The second form keeps its digits where
    y is nearly 1: in float32, 1 - y has lost all of them at x = 17.
    """

    def init(self, rng: np.random.Generator) -> Params:
        """No parameters."""
        return {}

    def forward(self, params: Params, x: Array) -> tuple[Array, SigmoidCache]:
        """y, shaped like x."""
        expect("Sigmoid", "x: *shape", x)
        return sigmoid(x, e := exp_minus_abs(x)), SigmoidCache(e)

    def backward(self, dy: Array, cache: SigmoidCache) -> tuple[Array, Params]:
        """dx, shaped like dy."""
        e = cache.e
        expect("Sigmoid", "x: *shape, dy: *shape", e, dy)
        return dy * e / ((1.0 + e) * (1.0 + e)), {}  # (1)
