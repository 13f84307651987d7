"""Max-pooling on a GPU: launches of pool.cu, whose winners are bytes; larger windows are left to the definition."""

from scratchnet.backend import Array, array_module
from scratchnet.ops import pool
from scratchnet.ops.accelerated import definition_of
from scratchnet.ops.cuda import blocks_for, contiguous, launch
from scratchnet.ops.windows import output_size


def forward(x: Array, kernel_size: int, stride: int) -> tuple[Array, Array]:
    """As `pool.forward`."""
    if pool.winner_dtype(kernel_size) != "uint8":
        return definition_of(pool.forward)(x, kernel_size, stride)
    return _forward(x, None, kernel_size, stride)


def forward_bias_relu(x: Array, bias: Array, kernel_size: int, stride: int) -> tuple[Array, Array]:
    """As `pool.forward_bias_relu`, in one pass."""
    if pool.winner_dtype(kernel_size) != "uint8":
        return definition_of(pool.forward_bias_relu)(x, bias, kernel_size, stride)
    return _forward(x, contiguous(bias), kernel_size, stride)


def _forward(x: Array, bias: Array | None, kernel_size: int, stride: int) -> tuple[Array, Array]:
    xp, (H, W, N, C) = array_module(x), x.shape
    Ho, Wo = output_size(H, kernel_size, stride), output_size(W, kernel_size, stride)
    y, winners = xp.empty((Ho, Wo, N, C), dtype=x.dtype), xp.empty((Ho, Wo, N, C), dtype="uint8")
    sizes = W, Wo, N * C, C, kernel_size, stride
    launch("pool.cu", "pool_forward", (blocks_for(N * C), Wo, Ho), contiguous(x), bias, y, winners, *sizes)
    return y, winners


def backward(dy: Array, winners: Array, size: tuple[int, int], kernel_size: int, stride: int) -> Array:
    """As `pool.backward`, of either forward."""
    if pool.winner_dtype(kernel_size) != "uint8":
        return definition_of(pool.backward)(dy, winners, size, kernel_size, stride)
    (H, W), (Ho, Wo, N, C) = size, winners.shape
    dx = array_module(dy).empty((H, W, N, C), dtype=dy.dtype)
    sizes = W, Ho, Wo, N * C, kernel_size, stride
    launch("pool.cu", "pool_backward", (blocks_for(N * C), W, H), contiguous(dy), winners, dx, *sizes)
    return dx
