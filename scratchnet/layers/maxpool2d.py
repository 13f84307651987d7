"""Max-pooling over a feature map."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from scratchnet.backend import Array, Params, array_module
from scratchnet.backend.expect import expect_precision, expect_shape, images_first_hint
from scratchnet.errors import ScratchnetError, ShapeError
from scratchnet.ops import pool


class MaxPool2dCache(NamedTuple):
    winners: Array  # (Ho, Wo, N, C): which pixel of its window, in row-major order
    size: tuple[int, int]  # H, W


@dataclass(frozen=True)
class MaxPool2d:
    """y[i, j] = the largest of x[s i + a, s j + b], 0 <= a, b < kernel_size; the stride s is kernel_size unless given.

    Shapes: x (H, W, N, C), y (Ho, Wo, N, C) with Ho = (H - kernel_size) // s + 1: pixels at the end that fill no
    window are dropped. With (a*, b*) the first winner of window (i, j) in row-major order,

        dx[s i + a*, s j + b*] += dy[i, j]                                               (1)

    Raises ShapeError when x is smaller than the window.
    """

    kernel_size: int
    stride: int | None = None

    def __post_init__(self) -> None:
        if min(self.kernel_size, self.step) < 1:
            raise ScratchnetError(f"{self}: window and stride are at least 1")

    def init(self, rng: np.random.Generator, dtype: Any = np.float32) -> Params:
        """No parameters."""
        return {}

    def forward(self, params: Params, x: Array, training: bool = False) -> tuple[Array, MaxPool2dCache]:
        array_module(x)
        expect_shape("MaxPool2d: x", x, "H W N C")
        expect_precision("MaxPool2d", x=x)
        self.expect_to_fit(x)
        y, winners = pool.forward(x, self.kernel_size, self.step)
        return y, MaxPool2dCache(winners, x.shape[:2])

    def backward(self, dy: Array, cache: MaxPool2dCache) -> tuple[Array, Params]:
        winners, size = cache
        array_module(dy, winners)
        Ho, Wo, N, C = winners.shape
        expect_shape("MaxPool2d: dy", dy, "Ho Wo N C", Ho=Ho, Wo=Wo, N=N, C=C)
        expect_precision("MaxPool2d", dy=dy)
        return pool.backward(dy, winners, size, self.kernel_size, self.step), {}  # (1)

    def branches(self, cache: MaxPool2dCache) -> Array:
        """The winner of every window."""
        return cache.winners

    def expect_to_fit(self, x: Array) -> None:
        """Raise ShapeError when x (H, W, N, C) is smaller than the window."""
        k = self.kernel_size
        if min(x.shape[:2]) < k:
            raise ShapeError(
                f"MaxPool2d: x is (H={x.shape[0]}, W={x.shape[1]}), "
                f"smaller than the window (kh=kw={k}){images_first_hint('x', x.shape, k, k)}"
            )

    @property
    def step(self) -> int:
        """The stride s."""
        return self.kernel_size if self.stride is None else self.stride
