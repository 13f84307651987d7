"""Max-pooling: each output is the largest pixel of its window.

Where several pixels of a window are equal, the first in row-major order wins and takes the whole gradient. Complex
numbers are compared by their real parts, so that a complex step sees the same winners. Backward needs nothing but the
winners, a byte for each output: x, the largest map of a network, is not kept.
"""

from scratchnet.backend import Array, array_module
from scratchnet.ops.accelerated import accelerated
from scratchnet.ops.windows import windows


@accelerated
def forward(x: Array, kernel_size: int, stride: int) -> tuple[Array, Array]:
    """y[i, j] = max over a, b of x[s i + a, s j + b], and the winner's number, kernel_size a + b.

    x (H, W, N, C); y and winners (Ho, Wo, N, C).
    """
    xp = array_module(x)
    pixels = xp.stack([x_ab for _, _, x_ab in windows(x, (kernel_size,) * 2, (stride,) * 2)])
    winners = pixels.real.argmax(axis=0)
    y = xp.take_along_axis(pixels, winners[None], axis=0)[0]
    return y, winners.astype(winner_dtype(kernel_size))


@accelerated
def backward(dy: Array, winners: Array, size: tuple[int, int], kernel_size: int, stride: int) -> Array:
    """dx[s i + a, s j + b] += dy[i, j] where (a, b) is the winner of window (i, j); dx has H, W = `size`."""
    dx = array_module(dy, winners).zeros((*size, *dy.shape[2:]), dtype=dy.dtype)
    for a, b, dx_ab in windows(dx, (kernel_size,) * 2, (stride,) * 2):
        dx_ab += dy * (winners == kernel_size * a + b)
    return dx


@accelerated
def forward_bias_relu(x: Array, bias: Array, kernel_size: int, stride: int) -> tuple[Array, Array]:
    """y = max(0, pool(x) + bias) with bias (C,), and the winners, `no_winner` where y is 0: `backward` handles both."""
    y, winners = forward(x, kernel_size, stride)
    y = y + bias
    stopped = y.real <= 0
    return y * ~stopped, array_module(y).where(stopped, no_winner(kernel_size), winners).astype(winners.dtype)


def no_winner(kernel_size: int) -> int:
    """The number that stands for no winner."""
    return kernel_size * kernel_size


def winner_dtype(kernel_size: int) -> str:
    """The smallest dtype that holds every winner's number, and `no_winner`."""
    return "uint8" if no_winner(kernel_size) < 256 else "uint32"
