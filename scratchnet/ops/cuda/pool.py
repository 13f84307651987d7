"""Launches of pool.cu."""

from scratchnet.backend import Array, array_module
from scratchnet.ops.cuda import blocks_for, contiguous, launch
from scratchnet.ops.windows import output_size


def forward(x: Array, kernel_size: int, stride: int, bias: Array | None = None) -> tuple[Array, Array]:
    """Pooled maps and winners (Ho, Wo, N, C) of x (H, W, N, C); with a bias (C,), it and ReLU in the same pass."""
    xp = array_module(x)
    H, W, N, C = x.shape
    Ho, Wo = (output_size(size, kernel_size, stride) for size in (H, W))
    y, winners = xp.empty((Ho, Wo, N, C), dtype=x.dtype), xp.empty((Ho, Wo, N, C), dtype="uint8")
    launch(
        "pool.cu",
        "pool_forward",
        (blocks_for(N * C), Wo, Ho),
        contiguous(x),
        None if bias is None else contiguous(bias),
        y,
        winners,
        W,
        Wo,
        N * C,
        C,
        kernel_size,
        stride,
    )
    return y, winners


def backward(dy: Array, winners: Array, size: tuple[int, int], kernel_size: int, stride: int) -> Array:
    """dx (H, W, N, C), of either kind of forward."""
    (H, W), (Ho, Wo, N, C) = size, winners.shape
    dx = array_module(dy).empty((H, W, N, C), dtype=dy.dtype)
    launch(
        "pool.cu",
        "pool_backward",
        (blocks_for(N * C), W, H),
        contiguous(dy),
        winners,
        dx,
        W,
        Ho,
        Wo,
        N * C,
        kernel_size,
        stride,
    )
    return dx
