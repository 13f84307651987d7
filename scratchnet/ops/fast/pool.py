"""Max-pooling in blocks of rows that stay in a processor's cache, on all threads."""

from scratchnet.backend import Array, array_module, blocks, for_each
from scratchnet.ops.pool import no_winner, winner_dtype
from scratchnet.ops.windows import output_size, windows


def forward(x: Array, kernel_size: int, stride: int) -> tuple[Array, Array]:
    """As `pool.forward`, comparing the pixels of a window one after the other."""
    xp = array_module(x)
    Ho, Wo = (output_size(size, kernel_size, stride) for size in x.shape[:2])
    y = xp.empty((Ho, Wo, *x.shape[2:]), dtype=x.dtype)
    winners = xp.zeros(y.shape, dtype=winner_dtype(kernel_size))

    def pool(rows: slice) -> None:
        largest, winner = y[rows], winners[rows]
        for a, b, x_ab in windows(x[_rows_seen(rows, kernel_size, stride)], (kernel_size,) * 2, (stride,) * 2):
            if a == b == 0:
                largest[...] = x_ab
                continue
            larger = x_ab > largest
            xp.maximum(winner, xp.multiply(larger, kernel_size * a + b, dtype=winner.dtype), out=winner)
            xp.maximum(largest, x_ab, out=largest)

    for_each(pool, blocks(y), like=x)
    return y, winners


def forward_bias_relu(x: Array, bias: Array, kernel_size: int, stride: int) -> tuple[Array, Array]:
    """As `pool.forward_bias_relu`."""
    xp = array_module(x, bias)
    y, winners = forward(x, kernel_size, stride)

    def add_bias_and_cut(rows: slice) -> None:
        y[rows] += bias
        stopped = y[rows] <= 0
        y[rows] *= ~stopped
        nobody = xp.multiply(stopped, no_winner(kernel_size), dtype=winners.dtype)
        xp.maximum(winners[rows], nobody, out=winners[rows])

    for_each(add_bias_and_cut, blocks(y), like=y)
    return y, winners


def backward(dy: Array, winners: Array, size: tuple[int, int], kernel_size: int, stride: int) -> Array:
    """As `pool.backward`; where windows do not overlap, every pixel is written once and nothing is added."""
    xp = array_module(dy, winners)
    Ho, Wo, N, C = winners.shape
    overlap = stride < kernel_size
    each_pixel_in_one_window = stride == kernel_size and size == (stride * Ho, stride * Wo)
    dx = (xp.empty if each_pixel_in_one_window else xp.zeros)((*size, N, C), dtype=dy.dtype)

    def unpool(rows: slice) -> None:
        for a, b, dx_ab in windows(dx[_rows_seen(rows, kernel_size, stride)], (kernel_size,) * 2, (stride,) * 2):
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
