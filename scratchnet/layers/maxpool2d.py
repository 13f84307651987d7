"""Max-pooling over a feature map."""

from dataclasses import KW_ONLY, dataclass
from numbers import Integral
from typing import NamedTuple

import numpy as np

from scratchnet.backend import Array, Params
from scratchnet.backend.expect import expect, expect_window
from scratchnet.errors import ScratchnetError
from scratchnet.ops import pool


class MaxPool2dCache(NamedTuple):
    winners: Array  # (Ho, Wo, N, C): which pixel of its window, in row-major order
    size: tuple[int, int]  # H, W

    @property
    def branches(self) -> Array:
        """The winner of every window."""
        return self.winners


@dataclass(frozen=True)
class MaxPool2d:
    """y[i, j] = the largest of x[s i + a, s j + b], 0 <= a, b < kernel_size; the stride s is kernel_size unless given.

    Shapes: x (H, W, N, C), y (Ho, Wo, N, C) with Ho = (H - kernel_size) // s + 1: pixels at the end that fill no
    window are dropped. With (a*, b*) the first winner of window (i, j) in row-major order,

        dx[s i + a*, s j + b*] += dy[i, j]                                               (1)

    Raises ShapeError when x is smaller than the window.
    """

    kernel_size: int
    _: KW_ONLY
    stride: int | None = None

    def __post_init__(self) -> None:
        sizes = (self.kernel_size, 1 if self.stride is None else self.stride)
        if not all(isinstance(size, Integral) and size >= 1 for size in sizes):
            raise ScratchnetError(f"{self}: window and stride are whole numbers, at least 1")

    def init(self, rng: np.random.Generator) -> Params:
        """No parameters."""
        return {}

    def forward(self, params: Params, x: Array) -> tuple[Array, MaxPool2dCache]:
        """y (Ho, Wo, N, C)."""
        expect("MaxPool2d", "x: H W N C", x)
        expect_window("MaxPool2d", "window", x, (self.kernel_size, self.kernel_size))
        y, winners = pool.forward(x, *self.sizes)
        return y, MaxPool2dCache(winners, x.shape[:2])

    def backward(self, dy: Array, cache: MaxPool2dCache) -> tuple[Array, Params]:
        """dx (H, W, N, C)."""
        winners, size = cache
        Ho, Wo, N, C = winners.shape
        expect("MaxPool2d", "dy: Ho Wo N C", dy, Ho=Ho, Wo=Wo, N=N, C=C)
        return pool.backward(dy, winners, size, *self.sizes), {}  # (1)

    @property
    def sizes(self) -> tuple[int, int]:
        """The window, and the stride s."""
        return int(self.kernel_size), int(self.kernel_size if self.stride is None else self.stride)
