"""Batch normalisation and ReLU as one layer, which passes over a map half as often."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from scratchnet.backend import Array, Params
from scratchnet.backend.expect import expect
from scratchnet.layers.batchnorm2d import BatchNorm2d, BatchNorm2dCache
from scratchnet.ops import norm_relu
from scratchnet.ops.pixels import relu_backward


class NormReLUCache(NamedTuple):
    y: Array
    x: Array  # this and the rest as in BatchNorm2dCache
    mean: Array
    std: Array
    weight: Array
    training: bool
    running_statistics: Params

    @property
    def branches(self) -> Array:
        """Which outputs are positive."""
        return self.y.real > 0


@dataclass(frozen=True)
class NormReLU:
    """y = max(0, z) with z the output of BatchNorm2d, whose parameters and running statistics it has.

    Shapes: x, y (H, W, N, C). With dz = dy where y > 0, else 0, the gradients are those of BatchNorm2d for dz.
    Raises ShapeError as BatchNorm2d does.
    """

    norm: BatchNorm2d

    def init(self, rng: np.random.Generator, dtype: Any = np.float32) -> Params:
        """The parameters of BatchNorm2d."""
        return self.norm.init(rng, dtype)

    def forward(self, params: Params, x: Array, training: bool = False) -> tuple[Array, NormReLUCache]:
        """y (H, W, N, C): by the statistics of the batch in training, else by the running ones."""
        cache = self.norm.statistics(params, x, training)
        y = norm_relu.forward(x, cache.mean, cache.weight / cache.std, params["bias"])
        return y, NormReLUCache(y, *cache)

    def backward(self, dy: Array, cache: NormReLUCache) -> tuple[Array, Params]:
        """dx (H, W, N, C), dweight and dbias (C,)."""
        y, x, mean, std, weight, training, _ = cache
        expect("NormReLU", "y: H W N C, dy: H W N C", y, dy)
        if not training:
            return self.norm.backward(relu_backward(dy, y), BatchNorm2dCache(*cache[1:]))
        dx, dweight, dbias = norm_relu.backward(dy, y, x, mean, std, weight)
        return dx, {"weight": dweight, "bias": dbias}
