"""Convolution as one large product, on windows written side by side ("image to columns").

Each window of x becomes a row of kh kw C numbers, and the weight a matrix (kh kw C, O): all offsets (a, b) of the sums
in `ops/conv.py` become one product, at the price of copying each pixel kh kw times.
"""

from collections.abc import Iterator

from scratchnet.backend import Array, array_module, for_each, matmul, product
from scratchnet.ops.conv import Saved, pad, unpad
from scratchnet.ops.windows import Pair, output_size, windows

# Columns are made for a few output rows at a time: for 128 pairs, those of the paper's second layer would take 5.7 GB.
# 4 MB was the best of 4, 16 and 64 on a processor with 2 MB of cache per core.
COLUMN_BYTES = 4 * 2**20


def forward(x: Array, weight: Array, stride: Pair, padding: Pair, algorithm: str = "im2col") -> tuple[Array, Saved]:
    """Equation (1), one product for a block of output rows: y (Ho, Wo, N, O)."""
    x = pad(x, padding)
    xp = array_module(x, weight)
    kh, kw, _, O = weight.shape
    Ho, Wo = output_size(x.shape[0], kh, stride[0]), output_size(x.shape[1], kw, stride[1])
    y = xp.empty((Ho, Wo, x.shape[2], O), dtype=x.dtype)
    matrix = weight.reshape(-1, O)

    def compute(block: tuple[slice, slice]) -> None:
        rows, x_rows = block
        columns = im2col(x[x_rows], (kh, kw), stride)
        matmul(columns, matrix, out=y[rows].reshape(-1, O))  # (1)

    for_each(compute, row_blocks(x, weight.shape, Ho, stride, COLUMN_BYTES), like=x)
    return y, Saved("im2col")


def backward(
    dy: Array, x: Array, weight: Array, saved: Saved, stride: Pair, padding: Pair, needs_dx: bool
) -> tuple[Array | None, Array]:
    """Equations (2) and (3), two products for a block of output rows: dx (H, W, N, C), dweight (kh, kw, C, O)."""
    x = pad(x, padding)
    xp = array_module(dy, x, weight)
    kh, kw, C, O = weight.shape
    blocks = list(row_blocks(x, weight.shape, dy.shape[0], stride, COLUMN_BYTES))
    products = xp.empty((len(blocks), kh * kw * C, O), dtype=x.dtype)

    def compute(block: int) -> None:
        rows, x_rows = blocks[block]
        columns = im2col(x[x_rows], (kh, kw), stride)
        matmul(columns.T, dy[rows].reshape(-1, O), out=products[block])  # (2)

    for_each(compute, range(len(blocks)), like=x)
    dweight = products.sum(axis=0).reshape(weight.shape)
    if not needs_dx:
        return None, dweight
    dx, matrix = xp.zeros(x.shape, dtype=x.dtype), weight.reshape(-1, O)
    for rows, x_rows in blocks:  # in sequence, since neighbours add to the same rows of dx
        dcolumns = product(dy[rows].reshape(-1, O), matrix.T)
        add_col2im(dcolumns, dx[x_rows], (kh, kw), stride)  # (3)
    return unpad(dx, padding), dweight


def im2col(x: Array, kernel_size: Pair, stride: Pair) -> Array:
    """The windows of x (H, W, N, C) as rows of a matrix: (Ho Wo N, kh kw C)."""
    (H, W, N, C), (kh, kw) = x.shape, kernel_size
    size = output_size(H, kh, stride[0]), output_size(W, kw, stride[1])
    columns = array_module(x).empty((*size, N, kh, kw, C), dtype=x.dtype)
    for a, b, x_ab in windows(x, kernel_size, stride):
        columns[:, :, :, a, b] = x_ab
    return columns.reshape(-1, kh * kw * C)


def add_col2im(columns: Array, dx: Array, kernel_size: Pair, stride: Pair) -> None:
    """Add each row of the matrix (Ho Wo N, kh kw C) to its window of dx (H, W, N, C)."""
    (H, W, N, C), (kh, kw) = dx.shape, kernel_size
    size = output_size(H, kh, stride[0]), output_size(W, kw, stride[1])
    pixels = columns.reshape(*size, N, kh, kw, C)
    for a, b, dx_ab in windows(dx, kernel_size, stride):
        dx_ab += pixels[:, :, :, a, b]


def row_blocks(
    x: Array, weight_shape: tuple[int, ...], Ho: int, stride: Pair, column_bytes: int
) -> Iterator[tuple[slice, slice]]:
    """Blocks of output rows whose columns take about `column_bytes`, each with the rows of x that it sees."""
    (kh, kw, C, _), (sh, sw) = weight_shape, stride
    row_bytes = output_size(x.shape[1], kw, sw) * x.shape[2] * kh * kw * C * x.dtype.itemsize
    step = max(1, column_bytes // max(1, row_bytes))
    for start in range(0, Ho, step):
        stop = min(start + step, Ho)
        yield slice(start, stop), slice(start * sh, (stop - 1) * sh + kh)
