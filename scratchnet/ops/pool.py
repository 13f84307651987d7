"""Max-pooling: each output is the largest pixel of its window.

Where several pixels of a window are equal, the first in row-major order wins and takes the whole gradient.
Complex numbers are compared by their real parts, so that the complex step sees the same winners.
"""

from scratchnet.backend import Array, array_module
from scratchnet.ops.windows import windows


def forward(x: Array, kernel_size: int, stride: int) -> Array:
    """y[i, j] = max over a, b of x[s i + a, s j + b]; x (H, W, N, C), y (Ho, Wo, N, C)."""
    xp = array_module(x)
    pixels = (x_ab for _, _, x_ab in windows(x, (kernel_size, kernel_size), stride))
    y = next(pixels).copy()
    for x_ab in pixels:
        if x.dtype.kind == "c":
            y = xp.where(x_ab.real > y.real, x_ab, y)
        else:
            xp.maximum(y, x_ab, out=y)
    return y


def backward(dy: Array, x: Array, y: Array, kernel_size: int, stride: int) -> Array:
    """dx[s i + a, s j + b] += dy[i, j] where (a, b) is the winner of window (i, j)."""
    xp = array_module(dy, x, y)
    dx = xp.zeros(x.shape, dtype=dy.dtype)
    undecided = xp.ones(y.shape, dtype=bool)
    x_windows = windows(x, (kernel_size, kernel_size), stride)
    dx_windows = windows(dx, (kernel_size, kernel_size), stride)
    for (_, _, x_ab), (_, _, dx_ab) in zip(x_windows, dx_windows, strict=True):
        wins = undecided & (x_ab.real == y.real)
        dx_ab += dy * wins
        undecided &= ~wins
    return dx
