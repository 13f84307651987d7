"""Launches of conv_one_channel.cu."""

from scratchnet.backend import Array, array_module
from scratchnet.ops.cuda import contiguous, launch
from scratchnet.ops.windows import Pair, output_size

SOURCE = "conv_one_channel.cu"
ROWS, COLUMNS = 128, 64  # of the sums that a block computes, as in the source
# Windows that a block of dweight adds up: in float32 a sum of many more loses digits, and the paper's 128 pairs
# make a thousand blocks of these, to keep a large GPU busy.
PART = 2048


def forward(x: Array, weight: Array, stride: Pair) -> Array:
    """y (Ho, Wo, N, O) of x (H, W, N, 1) and weight (kh, kw, 1, O)."""
    (H, W, N, _), (kh, kw, _, O), (sh, sw) = x.shape, weight.shape, stride
    Ho, Wo = output_size(H, kh, sh), output_size(W, kw, sw)
    y = array_module(x).empty((Ho, Wo, N, O), dtype=x.dtype)
    P = Ho * Wo * N
    sizes = W, Wo, N, O, kh * kw, kw, sh, sw, P
    grid = _tiles(P, ROWS), _tiles(O, COLUMNS)
    launch(SOURCE, "one_channel_forward", grid, contiguous(x), contiguous(weight), y, *sizes)
    return y


def dweight(dy: Array, x: Array, kernel_size: Pair, stride: Pair) -> Array:
    """dweight (kh, kw, 1, O) of dy (Ho, Wo, N, O) and x (H, W, N, 1)."""
    (Ho, Wo, N, O), W, (kh, kw), (sh, sw) = dy.shape, x.shape[1], kernel_size, stride
    K, P = kh * kw, Ho * Wo * N
    splits = _tiles(P, PART)
    parts = array_module(x).empty((splits, K, O), dtype=x.dtype)
    sizes = W, Wo, N, O, K, kw, sh, sw, P, PART
    grid = splits, _tiles(K, ROWS), _tiles(O, COLUMNS)
    launch(SOURCE, "one_channel_dweight", grid, contiguous(x), contiguous(dy), parts, *sizes)
    return parts.sum(axis=0).reshape(kh, kw, 1, O)


def _tiles(length: int, tile: int) -> int:
    return -(-length // tile)
