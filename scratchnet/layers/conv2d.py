"""Convolution over a feature map."""

from dataclasses import KW_ONLY, dataclass
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np

from scratchnet.backend import Array, Params
from scratchnet.backend.expect import expect, expect_window
from scratchnet.common.spelling import hint
from scratchnet.errors import ScratchnetError
from scratchnet.ops import conv
from scratchnet.ops.accelerated import convolutions
from scratchnet.ops.pixels import add_bias, sum_pixels
from scratchnet.ops.windows import Pair, output_size


class Conv2dCache(NamedTuple):
    x: Array
    weight: Array
    saved: conv.Saved  # with the algorithm that forward took: with other threads, "auto" might choose another by now


@dataclass(frozen=True)
class Conv2d:
    """y[i, j] = sum over a, b of x[s i + a, t j + b] @ weight[a, b] + bias, on x padded with zeros.

    Shapes: x (H, W, N, C), weight (kh, kw, C, O), bias (O,), y (Ho, Wo, N, O) with Ho = (H + 2 p - kh) // s + 1
    and Wo = (W + 2 q - kw) // t + 1. kernel_size, stride (s, t) and padding (p, q) are a number or a pair, for rows and
    columns. ops/conv.py has the equations (1) to (3); and

        dbias[o] = sum over i, j, n of dy[i, j, n, o]                                    (4)

    bias: whether there is one. algorithm: "auto", the fastest, or "offsets", "im2col", "bands", "dft" or "winograd",
    which all compute the same sums. Raises ShapeError when x is smaller than the kernel.
    """

    in_channels: int
    out_channels: int
    kernel_size: int | Pair
    _: KW_ONLY
    stride: int | Pair = 1
    padding: int | Pair = 0
    bias: bool = True
    algorithm: str = "auto"

    def __post_init__(self) -> None:
        if min(*self.weight_shape, *self.strides) < 1 or min(self.paddings) < 0:
            raise ScratchnetError(f"{self}: channels, kernel and stride are at least 1, padding at least 0")
        if self.algorithm not in (names := convolutions()):
            known = ", ".join(names) + hint(self.algorithm, names)
            raise ScratchnetError(f"algorithm {self.algorithm!r} is not one of {known}")

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """kh, kw, C, O."""
        return *_pair(self.kernel_size), self.in_channels, self.out_channels

    @property
    def strides(self) -> Pair:
        """s, t: along rows and along columns."""
        return _pair(self.stride)

    @property
    def paddings(self) -> Pair:
        """p, q: rows above and below, columns left and right."""
        return _pair(self.padding)

    def init(self, rng: np.random.Generator, dtype: Any = np.float32) -> Params:
        """He initialisation: weight ~ N(0, 2 / fan_in), bias 0."""
        fan_in = np.prod(self.weight_shape[:3])
        weight = rng.standard_normal(self.weight_shape) * np.sqrt(2 / fan_in)
        bias = {"bias": np.zeros(self.out_channels, dtype)} if self.bias else {}
        return {"weight": weight.astype(dtype), **bias}

    def forward(self, params: Params, x: Array) -> tuple[Array, Conv2dCache]:
        """y (Ho, Wo, N, O)."""
        weight, bias = params["weight"], params["bias"] if self.bias else None
        kh, kw, C, O = self.weight_shape
        expect("Conv2d", "x: H W N C, weight: kh kw C O, bias: O", x, weight, bias, kh=kh, kw=kw, C=C, O=O)
        expect_window("Conv2d", "kernel", x, (kh, kw), self.paddings)
        y, saved = conv.forward(x, weight, self.strides, self.paddings, self.algorithm)  # (1)
        return y if bias is None else add_bias(y, bias), Conv2dCache(x, weight, saved)

    def backward(self, dy: Array, cache: Conv2dCache, needs_dx: bool = True) -> tuple[Array | None, Params]:
        """dx and the gradients of the parameters. Without `needs_dx`, which saves a third of the work, dx is None."""
        x, weight, saved = cache
        sizes = zip(x.shape, self.paddings, self.weight_shape, self.strides, strict=False)
        Ho, Wo = (output_size(size + 2 * p, k, s) for size, p, k, s in sizes)
        expect("Conv2d", "x: H W N C, weight: kh kw C O, dy: Ho Wo N O", x, weight, dy, Ho=Ho, Wo=Wo)
        dx, dweight = conv.backward(dy, x, weight, saved, self.strides, self.paddings, needs_dx)  # (2), (3)
        return dx, {"weight": dweight, **({"bias": sum_pixels(dy)} if self.bias else {})}  # (4)


def _pair(size: int | Pair) -> Pair:
    pair = size if isinstance(size, tuple) else (size, size)
    if len(pair) != 2 or not all(isinstance(each, Integral) for each in pair):
        raise ScratchnetError(f"Conv2d: kernel, stride and padding are a whole number or a pair of them, got {size!r}")
    return int(pair[0]), int(pair[1])
