"""Convolution over a feature map."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from scratchnet.backend import Array, Params, array_module, blocks, device_of, for_each, sum_blocks
from scratchnet.backend.expect import expect_precision, expect_shape, images_first_hint
from scratchnet.common.spelling import hint
from scratchnet.errors import ScratchnetError, ShapeError
from scratchnet.ops import conv
from scratchnet.ops.fast import conv_cost
from scratchnet.ops.windows import output_size


class Conv2dCache(NamedTuple):
    x: Array
    weight: Array
    kept: Any  # what the algorithm computed of them and can use again
    algorithm: str  # the one that forward took: with other threads, "auto" might choose another by now


@dataclass(frozen=True)
class Conv2d:
    """y[i, j] = sum over a, b of x[s i + a, s j + b] @ weight[a, b] + bias, on x padded with zeros.

    Shapes: x (H, W, N, C), weight (kh, kw, C, O), bias (O,), y (Ho, Wo, N, O) with
    Ho = (H + 2 padding - kh) // s + 1. The gradients of x and weight are derived in ops/conv.py; besides,

        dbias[o] = sum over i, j, n of dy[i, j, n, o]                                    (4)

    algorithm: "offsets", "im2col", "bands", "dft" or "auto". Raises ShapeError when x is smaller than the kernel.
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
            raise ScratchnetError(
                f"algorithm {self.algorithm!r} is none of auto, {', '.join(conv.ALGORITHMS)}"
                f"{hint(self.algorithm, ['auto', *conv.ALGORITHMS])}"
            )

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
        y, cache = self.convolve(params, x)
        bias = params["bias"]

        def add_bias(rows: slice) -> None:
            y[rows] += bias

        for_each(add_bias, blocks(y), like=y)
        return y, cache

    def convolve(self, params: Params, x: Array) -> tuple[Array, Conv2dCache]:
        """y without the bias."""
        weight, bias = params["weight"], params["bias"]
        array_module(x, weight, bias)
        kh, kw, C, O = self.weight_shape
        expect_shape("Conv2d: weight", weight, "kh kw C O", kh=kh, kw=kw, C=C, O=O)
        expect_shape("Conv2d: bias", bias, "O", O=O)
        expect_shape("Conv2d: x", x, "H W N C", C=C)
        expect_precision("Conv2d", x=x, weight=weight, bias=bias)
        height, width = (size + 2 * self.padding for size in x.shape[:2])
        if height < kh or width < kw:
            raise ShapeError(
                f"Conv2d: x is (H={height}, W={width}) with its padding, "
                f"smaller than the kernel (kh={kh}, kw={kw}){images_first_hint('x', x.shape, kh, kw)}"
            )
        algorithm = self._choose(x)
        y, kept = conv.ALGORITHMS[algorithm].forward(x, weight, self.stride, self.padding)
        return y, Conv2dCache(x, weight, kept, algorithm)

    def backward(self, dy: Array, cache: Conv2dCache) -> tuple[Array, Params]:
        return self._backward(dy, cache, needs_dx=True)

    def backward_params(self, dy: Array, cache: Conv2dCache) -> Params:
        """The gradients of the parameters alone: a first layer has no use for dx, a third of the work."""
        return self._backward(dy, cache, needs_dx=False)[1]

    def _backward(self, dy: Array, cache: Conv2dCache, needs_dx: bool) -> tuple[Any, Params]:
        dx, dweight = self.pull_back(dy, cache, needs_dx)
        Ho, Wo, N, O = dy.shape
        dbias = sum_blocks(lambda dy: dy, dy.reshape(Ho * Wo, N * O)).reshape(N, O).sum(axis=0)  # (4)
        return dx, {"weight": dweight, "bias": dbias}

    def pull_back(self, dy: Array, cache: Conv2dCache, needs_dx: bool) -> tuple[Array | None, Array]:
        """dx, or None where nobody needs it, and dweight."""
        x, weight, kept, algorithm = cache
        array_module(dy, x)
        kh, kw, _, O = weight.shape
        Ho, Wo = (output_size(n + 2 * self.padding, k, self.stride) for n, k in zip(x.shape, (kh, kw), strict=False))
        expect_shape("Conv2d: dy", dy, "Ho Wo N O", Ho=Ho, Wo=Wo, N=x.shape[2], O=O)
        expect_precision("Conv2d", dy=dy, x=x)
        return conv.ALGORITHMS[algorithm].backward(dy, x, weight, self.stride, self.padding, kept, needs_dx)

    def _choose(self, x: Array) -> str:
        """The algorithm for x (H, W, N, C), by its name."""
        if self.algorithm != "auto":
            return self.algorithm
        on_gpu = device_of(x).gemm is not None
        return conv_cost.choose(x.shape, self.weight_shape, self.stride, self.padding, on_gpu)
