"""Max-pooling: each output is the largest pixel of its window.

Where several pixels of a window are equal, the first in row-major order wins and takes the whole gradient.
Complex numbers are compared by their real parts, so that the complex step sees the same winners. The images of a
batch have nothing to do with each other, so they are pooled a few at a time, on several threads.
"""

from scratchnet.backend import Array, array_module, blocks, for_each
from scratchnet.ops.windows import output_size, windows


def forward(x: Array, kernel_size: int, stride: int) -> Array:
    """y[i, j] = max over a, b of x[s i + a, s j + b]; x (H, W, N, C), y (Ho, Wo, N, C)."""
    xp = array_module(x)
    Ho, Wo = (output_size(size, kernel_size, stride) for size in x.shape[:2])
    y = xp.empty((Ho, Wo, *x.shape[2:]), dtype=x.dtype)

    def pool(images: slice) -> None:
        first, *others = (x_ab for _, _, x_ab in windows(x[:, :, images], (kernel_size, kernel_size), stride))
        largest = y[:, :, images]
        largest[...] = first
        for x_ab in others:
            if x.dtype.kind == "c":
                largest[...] = xp.where(x_ab.real > largest.real, x_ab, largest)
            else:
                xp.maximum(largest, x_ab, out=largest)

    for_each(pool, blocks(y, axis=2), like=x)
    return y


def backward(dy: Array, x: Array, y: Array, kernel_size: int, stride: int) -> Array:
    """dx[s i + a, s j + b] += dy[i, j] where (a, b) is the winner of window (i, j)."""
    xp = array_module(dy, x, y)
    dx = xp.zeros(x.shape, dtype=dy.dtype)

    def unpool(images: slice) -> None:
        undecided = xp.ones(y[:, :, images].shape, dtype=bool)
        x_windows = windows(x[:, :, images], (kernel_size, kernel_size), stride)
        dx_windows = windows(dx[:, :, images], (kernel_size, kernel_size), stride)
        for (_, _, x_ab), (_, _, dx_ab) in zip(x_windows, dx_windows, strict=True):
            wins = undecided & (x_ab.real == y[:, :, images].real)
            dx_ab += dy[:, :, images] * wins
            undecided &= ~wins

    for_each(unpool, blocks(y, axis=2), like=x)
    return dx
