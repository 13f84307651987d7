"""Convolution, max-pooling and ReLU as one layer, for a GPU: the largest map of a network is written and read once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from scratchnet.backend import Array, Params, array_module, sum_blocks
from scratchnet.backend.expect import expect_precision, expect_shape
from scratchnet.layers.activations import ReLU
from scratchnet.layers.base import Layer
from scratchnet.layers.conv2d import Conv2d, Conv2dCache
from scratchnet.layers.maxpool2d import MaxPool2d
from scratchnet.layers.sequential import Sequential
from scratchnet.ops import pool


class ConvPoolReLUCache(NamedTuple):
    conv: Conv2dCache
    winners: Array  # (Hp, Wp, N, O): which pixel of its window, or pool.none(kernel_size) where y is 0
    size: tuple[int, int]  # Ho, Wo of the convolution


@dataclass(frozen=True)
class ConvPoolReLU:
    """y = max(0, pool(z) + bias) with z the convolution of x without its bias.

    The bias is the same for all pixels of a window, so it may be added to the largest of them, where there are fewer:
    what Conv2d, MaxPool2d and ReLU give one after the other, with the parameters of Conv2d. Shapes: x (H, W, N, C),
    y (Hp, Wp, N, O). With (a*, b*) the winner of window (i, j) of z, of stride s,

        dz[s i + a*, s j + b*] += dy[i, j] where y[i, j] > 0, else nothing       (1)
        dbias[o]                = sum over i, j, n of dy[i, j, n, o] where y > 0     (2)

    and the gradients of x and weight follow from dz as in Conv2d. Raises ShapeError as Conv2d and MaxPool2d do.
    """

    conv: Conv2d
    pool: MaxPool2d

    def init(self, rng: np.random.Generator, dtype: Any = np.float32) -> Params:
        """Those of the convolution."""
        return self.conv.init(rng, dtype)

    def forward(self, params: Params, x: Array, training: bool = False) -> tuple[Array, ConvPoolReLUCache]:
        z, conv_cache = self.conv.convolve(params, x)
        self.pool.expect_to_fit(z)
        y, winners = pool.forward_bias_relu(z, params["bias"], self.pool.kernel_size, self.pool.step)
        return y, ConvPoolReLUCache(conv_cache, winners, z.shape[:2])

    def backward(self, dy: Array, cache: ConvPoolReLUCache) -> tuple[Array, Params]:
        return self._backward(dy, cache, needs_dx=True)

    def backward_params(self, dy: Array, cache: ConvPoolReLUCache) -> Params:
        """The gradients of the parameters alone: a first layer has no use for dx."""
        return self._backward(dy, cache, needs_dx=False)[1]

    def _backward(self, dy: Array, cache: ConvPoolReLUCache, needs_dx: bool) -> tuple[Any, Params]:
        conv_cache, winners, size = cache
        array_module(dy, winners)
        Hp, Wp, N, O = winners.shape
        expect_shape("ConvPoolReLU: dy", dy, "Hp Wp N O", Hp=Hp, Wp=Wp, N=N, O=O)
        expect_precision("ConvPoolReLU", dy=dy, x=conv_cache.x)
        k = self.pool.kernel_size
        dz = pool.backward(dy, winners, size, k, self.pool.step)  # (1)
        dx, dweight = self.conv.pull_back(dz, conv_cache, needs_dx)
        flat = (array.reshape(Hp * Wp, N * O) for array in (dy, winners))
        passed = sum_blocks(lambda dy, winners: dy * (winners != pool.none(k)), *flat)  # (N O,)
        return dx, {"weight": dweight, "bias": passed.reshape(N, O).sum(axis=0)}  # (2)

    def branches(self, cache: ConvPoolReLUCache) -> Array:
        """The winner of every window, or that none got through."""
        return cache.winners


def fused(network: Layer) -> Layer:
    """A Sequential with each Conv2d, MaxPool2d and ReLU in a row as one layer, under the convolution's name.

    So the names of the parameters stay. Any other layer is returned as it is.
    """
    return Sequential(dict(_fused(network.layers))) if isinstance(network, Sequential) else network


def _fused(layers: Mapping[str, Layer]) -> Iterator[tuple[str, Layer]]:
    left = list(layers.items())
    while left:
        match [layer for _, layer in left[:3]]:
            case [Conv2d() as conv, MaxPool2d() as pooling, ReLU()]:
                yield left[0][0], ConvPoolReLU(conv, pooling)
                left = left[3:]
            case _:
                yield left[0]
                left = left[1:]


def apart(network: Layer) -> Layer:
    """The inverse of `fused`, but for the names of layers without parameters."""
    if not isinstance(network, Sequential):
        return network
    layers: dict[str, Layer] = {}
    for name, layer in network.layers.items():
        if isinstance(layer, ConvPoolReLU):
            layers |= {name: layer.conv, f"{name}_pool": layer.pool, f"{name}_relu": ReLU()}
        else:
            layers[name] = layer
    return Sequential(layers)
