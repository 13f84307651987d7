"""Launches of im2col.cu."""

from scratchnet.backend import Array, array_module
from scratchnet.ops.cuda import blocks_for, contiguous, launch
from scratchnet.ops.windows import Pair, output_size


def im2col(x: Array, kernel_size: Pair, stride: Pair) -> Array:
    """The windows of x (H, W, N, C) as rows of a matrix: (Ho Wo N, kh kw C)."""
    (H, W, N, C), (kh, kw), (sh, sw) = x.shape, kernel_size, stride
    Ho, Wo = output_size(H, kh, sh), output_size(W, kw, sw)
    columns = array_module(x).empty((Ho * Wo * N, kh * kw * C), dtype=x.dtype)
    sizes = W, Ho, Wo, N * C, C, kh, kw, sh, sw
    launch("im2col.cu", "im2col", blocks_for(Ho * Wo * N * C), contiguous(x), columns, *sizes)
    return columns


def add_col2im(columns: Array, dx: Array, kernel_size: Pair, stride: Pair) -> None:
    """dx (H, W, N, C), contiguous, plus the columns (Ho Wo N, kh kw C) where its windows see it."""
    (H, W, N, C), (kh, kw), (sh, sw) = dx.shape, kernel_size, stride
    Ho, Wo = output_size(H, kh, sh), output_size(W, kw, sw)
    sizes = H, W, Ho, Wo, N * C, C, kh, kw, sh, sw
    launch("im2col.cu", "col2im", blocks_for(dx.size), contiguous(columns), dx, *sizes)
