"""Launches of im2col.cu."""

from scratchnet.backend import Array, array_module
from scratchnet.ops.cuda import blocks_for, contiguous, launch
from scratchnet.ops.windows import output_size


def im2col(x: Array, kernel_size: tuple[int, int], stride: int) -> Array:
    """The windows of x (H, W, N, C) as rows of a matrix: (Ho Wo N, kh kw C)."""
    (H, W, N, C), (kh, kw) = x.shape, kernel_size
    Ho, Wo = output_size(H, kh, stride), output_size(W, kw, stride)
    columns = array_module(x).empty((Ho * Wo * N, kh * kw * C), dtype=x.dtype)
    launch(
        "im2col.cu", "im2col", blocks_for(Ho * Wo * N * C), contiguous(x), columns, W, Ho, Wo, N * C, C, kh, kw, stride
    )
    return columns


def add_col2im(columns: Array, dx: Array, kernel_size: tuple[int, int], stride: int) -> None:
    """dx (H, W, N, C), contiguous, plus the columns (Ho Wo N, kh kw C) where its windows see it."""
    (H, W, N, C), (kh, kw) = dx.shape, kernel_size
    Ho, Wo = output_size(H, kh, stride), output_size(W, kw, stride)
    launch("im2col.cu", "col2im", blocks_for(dx.size), contiguous(columns), dx, H, W, Ho, Wo, N * C, C, kh, kw, stride)
