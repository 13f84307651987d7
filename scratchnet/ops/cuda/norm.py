"""Launches of batchnorm.cu."""

from typing import NamedTuple

from scratchnet.backend import Array, array_module
from scratchnet.ops.cuda import THREADS, blocks_for, contiguous, launch

SOURCE = "batchnorm.cu"
ROWS_OF_A_THREAD = 32  # few enough for a plain sum in float32, enough to outweigh the merging of threads


class _Tiling(NamedTuple):
    """How blocks share the M = H W N rows of C channels: `columns` channels of `rows` rows each."""

    M: int
    C: int
    columns: int
    rows: int

    @property
    def grid(self) -> tuple[int, int]:
        return -(-self.M // self.rows), -(-self.C // self.columns)


def _tiling(x: Array) -> _Tiling:
    H, W, N, C = x.shape
    columns = -(-C // blocks_for(C))
    return _Tiling(H * W * N, C, columns, THREADS // columns * ROWS_OF_A_THREAD)


def statistics(x: Array) -> tuple[Array, Array]:
    """Mean and variance (C,) of x (H, W, N, C) in one pass."""
    xp, tiling = array_module(x), _tiling(x)
    C, (blocks, _) = tiling.C, tiling.grid
    means, squares = (xp.empty((C, blocks), dtype=x.dtype) for _ in range(2))
    mean, variance = (xp.empty(C, dtype=x.dtype) for _ in range(2))
    launch(SOURCE, "batchnorm_moments", tiling.grid, contiguous(x), means, squares, *tiling)
    launch(SOURCE, "batchnorm_merge_moments", C, means, squares, mean, variance, tiling.M, tiling.rows, blocks)
    return mean, variance


def normalise(x: Array, mean: Array, scale: Array, bias: Array) -> Array:
    """(x - mean) scale + bias, (H, W, N, C)."""
    tiling, y = _tiling(x), array_module(x).empty(x.shape, dtype=x.dtype)
    vectors = map(contiguous, (mean, scale, bias))
    launch(SOURCE, "batchnorm_normalise", tiling.grid, contiguous(x), *vectors, y, *tiling)
    return y


def backward_sums(dy: Array, x: Array, mean: Array) -> tuple[Array, Array]:
    """The sums (C,) of dy and of dy (x - mean) over all pixels in one pass."""
    xp, tiling = array_module(dy, x), _tiling(x)
    C, (blocks, _) = tiling.C, tiling.grid
    sums_dy, sums_dy_x = (xp.empty((C, blocks), dtype=x.dtype) for _ in range(2))
    sum_dy, sum_dy_x = (xp.empty(C, dtype=x.dtype) for _ in range(2))
    launch(SOURCE, "batchnorm_sums", tiling.grid, *map(contiguous, (dy, x, mean)), sums_dy, sums_dy_x, *tiling)
    launch(SOURCE, "batchnorm_merge_sums", C, sums_dy, sums_dy_x, sum_dy, sum_dy_x, blocks)
    return sum_dy, sum_dy_x


def input_gradient(dy: Array, x: Array, mean: Array, scale: Array, mean_dy: Array, slope: Array) -> Array:
    """(dy - (x - mean) slope - mean_dy) scale, (H, W, N, C)."""
    tiling, dx = _tiling(x), array_module(dy, x).empty(x.shape, dtype=x.dtype)
    arrays = map(contiguous, (dy, x, mean, scale, mean_dy, slope))
    launch(SOURCE, "batchnorm_input_gradient", tiling.grid, *arrays, dx, *tiling)
    return dx
