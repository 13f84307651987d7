"""Max-pooling in blocks of windows that stay in a processor's cache, on all threads."""

from collections.abc import Callable
from typing import NamedTuple

from scratchnet.backend import Array, array_module, for_each
from scratchnet.ops.fast.pixels import each_image
from scratchnet.ops.pool import no_winner, winner_dtype
from scratchnet.ops.windows import output_size, windows

BLOCK_BYTES = 2**22  # of pixels; less, and threads wait for Python more than they gain by the cache


class Block(NamedTuple):
    """Some windows: their places in y, and the pixels of x that they see."""

    windows: tuple[slice, slice]
    pixels: tuple[slice, slice]


def forward(x: Array, kernel_size: int, stride: int) -> tuple[Array, Array]:
    """As `pool.forward`, comparing the pixels of a window one after the other."""
    return _pool(x, kernel_size, stride, lambda largest, winner: None)


def forward_bias_relu(x: Array, bias: Array, kernel_size: int, stride: int) -> tuple[Array, Array]:
    """As `pool.forward_bias_relu`."""
    xp, nobody = array_module(x, bias), no_winner(kernel_size)
    biases = each_image(bias, x.shape[2])
    zeros = xp.zeros_like(biases)  # NumPy compares with an array four times as fast as with a number

    def add_bias_and_cut(largest: Array, winner: Array) -> None:
        largest += biases
        xp.maximum(winner, xp.multiply(largest <= 0, nobody, dtype=winner.dtype), out=winner)
        xp.maximum(largest, zeros, out=largest)

    return _pool(x, kernel_size, stride, add_bias_and_cut)


def _pool(x: Array, kernel_size: int, stride: int, finish: Callable[[Array, Array], None]) -> tuple[Array, Array]:
    """The largest pixels and the winners of all windows, each block (.., .., N C) finished while it is in the cache."""
    xp, (H, W, N, C) = array_module(x), x.shape
    Ho, Wo = (output_size(size, kernel_size, stride) for size in (H, W))
    x = x.reshape(H, W, N * C)
    y = xp.empty((Ho, Wo, N * C), dtype=x.dtype)
    winners = xp.empty(y.shape, dtype=winner_dtype(kernel_size))

    def pool(block: Block) -> None:
        largest, winner = y[block.windows], winners[block.windows]
        for a, b, x_ab in windows(x[block.pixels], (kernel_size,) * 2, (stride,) * 2):
            if a == b == 0:
                largest[...] = x_ab
                winner[...] = 0
                continue
            larger = x_ab > largest
            xp.maximum(winner, xp.multiply(larger, kernel_size * a + b, dtype=winner.dtype), out=winner)
            xp.maximum(largest, x_ab, out=largest)
        finish(largest, winner)

    for_each(pool, _blocks(y, kernel_size, stride), like=x)
    return y.reshape(Ho, Wo, N, C), winners.reshape(Ho, Wo, N, C)


def backward(dy: Array, winners: Array, size: tuple[int, int], kernel_size: int, stride: int) -> Array:
    """As `pool.backward`; where windows do not overlap, every pixel is written once and nothing is added."""
    xp = array_module(dy, winners)
    Ho, Wo, N, C = winners.shape
    overlap = stride < kernel_size
    each_pixel_in_one_window = stride == kernel_size and size == (stride * Ho, stride * Wo)
    dx = (xp.empty if each_pixel_in_one_window else xp.zeros)((*size, N, C), dtype=dy.dtype)

    def unpool(block: Block) -> None:
        for a, b, dx_ab in windows(dx[block.pixels], (kernel_size,) * 2, (stride,) * 2):
            wins = winners[block.windows] == kernel_size * a + b
            if overlap:
                dx_ab += dy[block.windows] * wins
            else:
                xp.multiply(dy[block.windows], wins, out=dx_ab)

    everything = Block((slice(0, Ho), slice(0, Wo)), (slice(0, size[0]), slice(0, size[1])))
    # Windows that overlap add to the same pixels: one after the other.
    for_each(unpool, [everything] if overlap else _blocks(dy, kernel_size, stride), like=dy)
    return dx


def _blocks(y: Array, kernel_size: int, stride: int) -> list[Block]:
    """Rows of windows whose pixels fit in the cache together, or parts of a row if those of a row do not."""
    Ho, Wo = y.shape[:2]
    together = max(1, BLOCK_BYTES * Ho * Wo // max(1, y.nbytes * stride * stride))
    rows, columns = max(1, together // max(1, Wo)), min(together, max(1, Wo))
    parts = [(i, j) for i in _cut(Ho, rows) for j in _cut(Wo, columns)]
    return [Block((i, j), (_seen(i, kernel_size, stride), _seen(j, kernel_size, stride))) for i, j in parts]


def _cut(length: int, step: int) -> list[slice]:
    return [slice(start, min(start + step, length)) for start in range(0, length, step)]


def _seen(some: slice, kernel_size: int, stride: int) -> slice:
    """Along one axis, the pixels of x that some windows see."""
    return slice(some.start * stride, (some.stop - 1) * stride + kernel_size)
