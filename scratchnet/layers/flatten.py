"""From a feature map to a vector for each image."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from scratchnet.backend import Array, Params, array_module
from scratchnet.backend.expect import expect_precision, expect_shape


class FlattenCache(NamedTuple):
    shape: tuple[int, int, int, int]  # (H, W, N, C)


@dataclass(frozen=True)
class Flatten:
    """y[n] = the pixels of image n, row by row, channels last.

    Shapes: x (H, W, N, C), y (N, H W C).

        dx[i, j, n, c] = dy[n, (i W + j) C + c]     (1)
    """

    def init(self, rng: np.random.Generator, dtype: Any = np.float32) -> Params:
        """No parameters."""
        return {}

    def forward(self, params: Params, x: Array, training: bool = False) -> tuple[Array, FlattenCache]:
        array_module(x)
        expect_shape("Flatten: x", x, "H W N C")
        expect_precision("Flatten", x=x)
        H, W, N, C = x.shape
        return x.transpose(2, 0, 1, 3).reshape(N, H * W * C), FlattenCache((H, W, N, C))

    def backward(self, dy: Array, cache: FlattenCache) -> tuple[Array, Params]:
        H, W, N, C = cache.shape
        array_module(dy)
        expect_shape("Flatten: dy", dy, "N D", N=N, D=H * W * C)
        expect_precision("Flatten", dy=dy)
        return dy.reshape(N, H, W, C).transpose(1, 2, 0, 3).copy(), {}  # (1); a copy, never a view of dy
