"""Convolution over a feature map."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from scratchnet.backend import Array, Params, array_module
from scratchnet.errors import ScratchnetError, ShapeError
from scratchnet.ops import conv
from scratchnet.ops.windows import output_size
from scratchnet.shapes import expect_precision, expect_shape


class Conv2dCache(NamedTuple):
    x: Array  # padded
    weight: Array
    kept: Any  # what the algorithm computed of them and can use again


@dataclass(frozen=True)
class Conv2d:
    """y[i, j] = sum over a, b of x[s i + a, s j + b] @ weight[a, b] + bias, on x padded with zeros.

    Shapes: x (H, W, N, C), weight (kh, kw, C, O), bias (O,), y (Ho, Wo, N, O) with
    Ho = (H + 2 padding - kh) // s + 1. The gradients of x and weight are derived in ops/conv.py; besides,

        dbias[o] = sum over i, j, n of dy[i, j, n, o]                                    (4)

    algorithm: "offsets", "im2col", "rows", "dft" or "auto". Raises ShapeError when x is smaller than the kernel.
    """

    in_channels: int
    out_channels: int
    kernel_size: int | tuple[int, int]
    stride: int = 1
    padding: int = 0
    algorithm: str = "auto"

    def __post_init__(self) -> None:
        if min(*self.weight_shape, self.stride) < 1 or self.padding < 0:
            raise ScratchnetError(f"{self}: channels, kernel and stride are at least 1, padding at least 0")
        if self.algorithm not in {"auto", *conv.ALGORITHMS}:
            raise ScratchnetError(f"algorithm {self.algorithm!r} is none of auto, {', '.join(conv.ALGORITHMS)}")

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        k = self.kernel_size
        kh, kw = (k, k) if isinstance(k, int) else k
        return kh, kw, self.in_channels, self.out_channels

    def init(self, rng: np.random.Generator, dtype: Any = np.float32) -> Params:
        """He initialisation: weight ~ N(0, 2 / fan_in), bias 0."""
        fan_in = np.prod(self.weight_shape[:3])
        weight = rng.standard_normal(self.weight_shape) * np.sqrt(2 / fan_in)
        return {"weight": weight.astype(dtype), "bias": np.zeros(self.out_channels, dtype)}

    def forward(self, params: Params, x: Array, training: bool = False) -> tuple[Array, Conv2dCache]:
        weight, bias = params["weight"], params["bias"]
        array_module(x, weight, bias)
        kh, kw, C, O = self.weight_shape
        expect_shape("Conv2d: weight", weight, "kh kw C O", kh=kh, kw=kw, C=C, O=O)
        expect_shape("Conv2d: bias", bias, "O", O=O)
        expect_shape("Conv2d: x", x, "H W N C", C=C)
        expect_precision("Conv2d", x=x, weight=weight, bias=bias)
        x = conv.pad(x, self.padding)
        if x.shape[0] < kh or x.shape[1] < kw:
            raise ShapeError(f"Conv2d: x is (H={x.shape[0]}, W={x.shape[1]}) with its padding, "
                             f"smaller than the kernel (kh={kh}, kw={kw})")
        y, kept = self._algorithm(x).forward(x, weight, self.stride)
        y += bias
        return y, Conv2dCache(x, weight, kept)

    def backward(self, dy: Array, cache: Conv2dCache) -> tuple[Array, Params]:
        dx, grads = self._backward(dy, cache, needs_dx=True)
        return conv.unpad(dx, self.padding), grads

    def backward_params(self, dy: Array, cache: Conv2dCache) -> Params:
        """The gradients of the parameters alone: a first layer has no use for dx, a third of the work."""
        return self._backward(dy, cache, needs_dx=False)[1]

    def _backward(self, dy: Array, cache: Conv2dCache, needs_dx: bool) -> tuple[Array, Params]:
        x, weight, kept = cache
        array_module(dy, x)
        kh, kw, _, O = weight.shape
        Ho, Wo = output_size(x.shape[0], kh, self.stride), output_size(x.shape[1], kw, self.stride)
        expect_shape("Conv2d: dy", dy, "Ho Wo N O", Ho=Ho, Wo=Wo, N=x.shape[2], O=O)
        expect_precision("Conv2d", dy=dy, x=x)
        dx, dweight = self._algorithm(x).backward(dy, x, weight, self.stride, kept, needs_dx)
        return dx, {"weight": dweight, "bias": dy.sum(axis=(0, 1, 2))}      # (4)

    def _algorithm(self, x: Array) -> conv.Algorithm:
        auto = self.algorithm == "auto"
        return conv.ALGORITHMS[conv.choose(x.shape, self.weight_shape, self.stride) if auto else self.algorithm]
