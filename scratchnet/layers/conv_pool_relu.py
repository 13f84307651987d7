"""Convolution, max-pooling and ReLU as one layer: the largest map of a network is written and read once."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from scratchnet.backend import Array, Params
from scratchnet.backend.expect import expect, expect_window
from scratchnet.errors import ScratchnetError
from scratchnet.layers.conv2d import Conv2d, Conv2dCache
from scratchnet.layers.maxpool2d import MaxPool2d
from scratchnet.ops import pool
from scratchnet.ops.pixels import sum_pixels


class ConvPoolReLUCache(NamedTuple):
    conv: Conv2dCache
    winners: Array  # (Hp, Wp, N, O): which pixel of its window, or pool.no_winner(kernel_size) where y is 0
    size: tuple[int, int]  # Ho, Wo of the convolution

    @property
    def branches(self) -> Array:
        """The winner of every window, or that none got through."""
        return self.winners


@dataclass(frozen=True)
class ConvPoolReLU:
    """y = max(0, pool(z) + bias) with z the convolution of x, which has no bias.

    The bias is the same for all pixels of a window, so it can be added to the largest, after the pooling:
    y is what Conv2d, MaxPool2d and ReLU give one after the other, with the parameters of Conv2d. Shapes:
    x (H, W, N, C), y (Hp, Wp, N, O). With (a*, b*) the winner of window (i, j) of z, and s its stride,

        dz[s i + a*, s j + b*] += dy[i, j] where y[i, j] > 0, else nothing           (1)
        dbias[o]                = sum over i, j, n of dy[i, j, n, o] where y > 0     (2)

    and the gradients of x and weight follow from dz as in Conv2d. Raises ShapeError as Conv2d and MaxPool2d do.
    """

    conv: Conv2d  # with bias=False
    pool: MaxPool2d

    def __post_init__(self) -> None:
        if self.conv.bias:
            raise ScratchnetError("ConvPoolReLU has the bias, after the pooling: give it Conv2d(..., bias=False)")

    def init(self, rng: np.random.Generator, dtype: Any = np.float32) -> Params:
        """The convolution's, and bias 0."""
        return {**self.conv.init(rng, dtype), "bias": np.zeros(self.conv.out_channels, dtype)}

    def forward(self, params: Params, x: Array) -> tuple[Array, ConvPoolReLUCache]:
        """y (Hp, Wp, N, O)."""
        expect("ConvPoolReLU", "x: H W N C, bias: O", x, params["bias"], O=self.conv.out_channels)
        z, conv_cache = self.conv.forward(params, x)
        expect_window("MaxPool2d", "window", z, (self.pool.kernel_size, self.pool.kernel_size))
        y, winners = pool.forward_bias_relu(z, params["bias"], *self.pool.sizes)
        return y, ConvPoolReLUCache(conv_cache, winners, z.shape[:2])

    def backward(self, dy: Array, cache: ConvPoolReLUCache, needs_dx: bool = True) -> tuple[Array | None, Params]:
        """dx and the gradients of the parameters; without `needs_dx`, dx is None."""
        conv_cache, winners, size = cache
        Hp, Wp, N, O = winners.shape
        expect("ConvPoolReLU", "dy: Hp Wp N O", dy, Hp=Hp, Wp=Wp, N=N, O=O)
        k, stride = self.pool.sizes
        dz = pool.backward(dy, winners, size, k, stride)  # (1)
        dx, grads = self.conv.backward(dz, conv_cache, needs_dx)
        return dx, {**grads, "bias": sum_pixels(dy * (winners != pool.no_winner(k)))}  # (2)
