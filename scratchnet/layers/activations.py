"""Activations, element by element: ReLU and the logistic sigmoid."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from scratchnet.backend import Array, Params, array_module, map_blocks
from scratchnet.backend.expect import expect_precision, expect_same_shape


def exp_minus_abs(x: Array) -> Array:
    """exp(-|x|), which cannot overflow; by `where`, since abs would spoil a complex step."""
    xp = array_module(x)
    return xp.exp(xp.where(x.real >= 0, -x, x))


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), without overflow."""
    e = exp_minus_abs(x)
    return array_module(x).where(x.real >= 0, 1.0, e) / (1.0 + e)


class ReLUCache(NamedTuple):
    y: Array  # the next layer keeps it anyway


@dataclass(frozen=True)
class ReLU:
    """y = max(x, 0). Shapes: x and y alike, any.

        dx = dy where y > 0, else 0     (1)

    y > 0 where x > 0. At x = 0, where there is no derivative, the gradient is 0.
    """

    def init(self, rng: np.random.Generator, dtype: Any = np.float32) -> Params:
        """No parameters."""
        return {}

    def forward(self, params: Params, x: Array, training: bool = False) -> tuple[Array, ReLUCache]:
        array_module(x)
        expect_precision("ReLU", x=x)
        y = _where_positive(x, x)
        return y, ReLUCache(y)

    def backward(self, dy: Array, cache: ReLUCache) -> tuple[Array, Params]:
        array_module(dy, cache.y)
        expect_same_shape("ReLU: dy", dy, "x", cache.y)
        expect_precision("ReLU", dy=dy, x=cache.y)
        return _where_positive(dy, cache.y), {}  # (1)

    def branches(self, cache: ReLUCache) -> Array:
        """Which inputs are positive."""
        return cache.y.real > 0


def _where_positive(values: Array, condition: Array) -> Array:
    """`values` where the real part of `condition` is positive, 0 elsewhere."""
    multiply = array_module(values, condition).multiply
    flat = map_blocks(lambda out, v, c: multiply(v, c.real > 0, out=out), values.reshape(-1), condition.reshape(-1))
    return flat.reshape(values.shape)


class SigmoidCache(NamedTuple):
    e: Array  # exp(-|x|)


@dataclass(frozen=True)
class Sigmoid:
    """y = 1 / (1 + exp(-x)). Shapes: x and y alike, any.

        dx = dy y (1 - y) = dy e / (1 + e)^2 with e = exp(-|x|)     (1)

    y and 1 - y are 1 / (1 + e) and e / (1 + e), one way round or the other. The second form keeps its digits where
    y is nearly 1: in float32, 1 - y has lost all of them at x = 17.
    """

    def init(self, rng: np.random.Generator, dtype: Any = np.float32) -> Params:
        """No parameters."""
        return {}

    def forward(self, params: Params, x: Array, training: bool = False) -> tuple[Array, SigmoidCache]:
        array_module(x)
        expect_precision("Sigmoid", x=x)
        return sigmoid(x), SigmoidCache(exp_minus_abs(x))

    def backward(self, dy: Array, cache: SigmoidCache) -> tuple[Array, Params]:
        e = cache.e
        array_module(dy, e)
        expect_same_shape("Sigmoid: dy", dy, "x", e)
        expect_precision("Sigmoid", dy=dy, x=e)
        return dy * e / ((1.0 + e) * (1.0 + e)), {}  # (1)
