"""Layers with mistakes to plant in their gradients."""

from dataclasses import dataclass

import numpy as np

from scratchnet.backend import Array
from scratchnet.gradcheck import check


@dataclass(frozen=True)
class Wrong:
    """A layer with a mistake in backward: `mistake` maps the right (dx, grads) to what backward returns."""

    layer: object
    mistake: object

    def forward(self, params, *inputs):
        return self.layer.forward(params, *inputs)

    def backward(self, dy, cache):
        return self.mistake(*self.layer.backward(dy, cache))


def edit(array: Array, index, factor: float) -> Array:
    """A copy with the entries at `index` multiplied by `factor`."""
    array = array.copy()
    array[index] *= factor
    return array


class Convolution:
    """y[i, j] = sum over a, b of x[i + a, j + b] @ weight[a, b] + bias, with mistakes.

    `wrong` maps the right (dx, grads) to what backward returns; `weight_in_backward` changes the kernel that it uses.
    """

    def __init__(self, wrong=lambda dx, grads: (dx, grads), weight_in_backward=lambda weight: weight):
        self.wrong, self.weight_in_backward = wrong, weight_in_backward

    def forward(self, params, x):
        weight = params["weight"]
        Ho, Wo = x.shape[0] - 2, x.shape[1] - 2
        y = sum(x[a : a + Ho, b : b + Wo] @ weight[a, b] for a in range(3) for b in range(3))
        return y + params["bias"], (x, weight)

    def backward(self, dy, cache):
        x, weight = cache
        Ho, Wo = dy.shape[:2]
        dx, dweight, weight = np.zeros(x.shape), np.zeros(weight.shape), self.weight_in_backward(weight)
        for a in range(3):
            for b in range(3):
                dweight[a, b] = np.tensordot(x[a : a + Ho, b : b + Wo], dy, axes=((0, 1, 2), (0, 1, 2)))
                dx[a : a + Ho, b : b + Wo] += dy @ weight[a, b].T
        return self.wrong(dx, {"weight": dweight, "bias": dy.sum(axis=(0, 1, 2))})


def report_of(layer, seed=0):
    rng = np.random.default_rng(seed)
    params = {"weight": rng.standard_normal((3, 3, 4, 4)), "bias": rng.standard_normal(4)}
    return check(layer, params, rng.standard_normal((6, 7, 2, 4)), seed=seed)


def lost(*index):
    def lose(dx, grads):
        dx = dx.copy()
        dx[index] = 0
        return dx, grads

    return lose


EVERY = slice(None)
