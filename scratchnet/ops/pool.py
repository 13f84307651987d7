"""Max-pooling: each output is the largest pixel of its window.

Where several pixels of a window are equal, the first in row-major order wins and takes the whole gradient.
Complex numbers are compared by their real parts, so that the complex step sees the same winners. Forward notes the
winners in a byte for each output, which is all that backward needs: the map x, the largest of a network, is not kept.
"""

from scratchnet.backend import Array, array_module, blocks, for_each
from scratchnet.ops import cuda
from scratchnet.ops.cuda import pool as cuda_pool
from scratchnet.ops.windows import output_size, windows


def forward(x: Array, kernel_size: int, stride: int) -> tuple[Array, Array]:
    """y[i, j] = max over a, b of x[s i + a, s j + b], and the number kernel_size a + b of the winner.

    x (H, W, N, C); y and winners (Ho, Wo, N, C).
    """
    if cuda.usable(x) and none(kernel_size) < 256:
        return cuda_pool.forward(x, kernel_size, stride)
    xp = array_module(x)
    Ho, Wo = (output_size(size, kernel_size, stride) for size in x.shape[:2])
    y = xp.empty((Ho, Wo, *x.shape[2:]), dtype=x.dtype)
    winners = xp.zeros(y.shape, dtype="uint8" if none(kernel_size) < 256 else "uint32")

    def pool(rows: slice) -> None:
        largest, winner = y[rows], winners[rows]
        for a, b, x_ab in windows(x[_rows_seen(rows, kernel_size, stride)], (kernel_size, kernel_size), stride):
            if a == b == 0:
                largest[...] = x_ab
                continue
            larger = x_ab.real > largest.real
            xp.maximum(winner, xp.multiply(larger, kernel_size * a + b, dtype=winner.dtype), out=winner)
            if x.dtype.kind == "c":
                largest[...] = xp.where(larger, x_ab, largest)
            else:
                xp.maximum(largest, x_ab, out=largest)

    for_each(pool, blocks(y), like=x)
    return y, winners


def forward_bias_relu(x: Array, bias: Array, kernel_size: int, stride: int) -> tuple[Array, Array]:
    """y = max(0, pool(x) + bias) and the winners, with `none` where y is 0; bias (C,). `backward` does for it, too."""
    if cuda.usable(x, bias) and none(kernel_size) < 256:
        return cuda_pool.forward(x, kernel_size, stride, bias)
    xp = array_module(x, bias)
    y, winners = forward(x, kernel_size, stride)

    def add_bias_and_cut(rows: slice) -> None:
        y[rows] += bias
        nothing = y[rows].real <= 0
        y[rows] *= ~nothing
        nobody = xp.multiply(nothing, none(kernel_size), dtype=winners.dtype)
        xp.maximum(winners[rows], nobody, out=winners[rows])

    for_each(add_bias_and_cut, blocks(y), like=y)
    return y, winners


def none(kernel_size: int) -> int:
    """The number that stands for no winner."""
    return kernel_size * kernel_size


def backward(dy: Array, winners: Array, size: tuple[int, int], kernel_size: int, stride: int) -> Array:
    """dx[s i + a, s j + b] += dy[i, j] where (a, b) is the winner of window (i, j); dx has H, W = `size`."""
    if cuda.usable(dy) and none(kernel_size) < 256:
        return cuda_pool.backward(dy, winners, size, kernel_size, stride)
    xp = array_module(dy, winners)
    Ho, Wo, N, C = winners.shape
    overlap = stride < kernel_size
    each_pixel_in_one_window = stride == kernel_size and size == (stride * Ho, stride * Wo)
    dx = (xp.empty if each_pixel_in_one_window else xp.zeros)((*size, N, C), dtype=dy.dtype)

    def unpool(rows: slice) -> None:
        for a, b, dx_ab in windows(dx[_rows_seen(rows, kernel_size, stride)], (kernel_size, kernel_size), stride):
            wins = winners[rows] == kernel_size * a + b
            if overlap:
                dx_ab += dy[rows] * wins
            else:
                xp.multiply(dy[rows], wins, out=dx_ab)

    # Rows of windows that overlap add to the same pixels: one block after the other.
    for_each(unpool, [slice(0, Ho)] if overlap else blocks(dy), like=dy)
    return dx


def _rows_seen(rows: slice, kernel_size: int, stride: int) -> slice:
    """The rows of x that some rows of y see."""
    return slice(rows.start * stride, max(rows.start, rows.stop - 1) * stride + kernel_size)
