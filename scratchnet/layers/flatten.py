"""From a feature map to a vector for each image."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from scratchnet.backend import Array, Params
from scratchnet.backend.expect import expect


class FlattenCache(NamedTuple):
    shape: tuple[int, int, int, int]  # (H, W, N, C)


@dataclass(frozen=True)
class Flatten:
    """y[n] = the pixels of image n, row by row, channels last.

    Shapes: x (H, W, N, C), y (N, H W C).

        dx[i, j, n, c] = dy[n, (i W + j) C + c]     (1)
    """

    def init(self, rng: np.random.Generator) -> Params:
        """No parameters."""
        return {}

    def forward(self, params: Params, x: Array) -> tuple[Array, FlattenCache]:
        """y (N, H W C)."""
        expect("Flatten", "x: H W N C", x)
        H, W, N, C = x.shape
        return x.transpose(2, 0, 1, 3).reshape(N, H * W * C), FlattenCache((H, W, N, C))

    def backward(self, dy: Array, cache: FlattenCache) -> tuple[Array, Params]:
        """dx (H, W, N, C)."""
        H, W, N, C = cache.shape
        expect("Flatten", "dy: N D", dy, N=N, D=H * W * C)
        return dy.reshape(N, H, W, C).transpose(1, 2, 0, 3).copy(), {}  # (1); a copy, never a view of dy
