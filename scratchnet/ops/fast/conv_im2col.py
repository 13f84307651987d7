"""Convolution as one large product, on windows written side by side ("image to columns").

Each window of x becomes a row of kh kw C numbers, and the weight a matrix (kh kw C, O): all offsets (a, b) of the sums
in `ops/conv.py` in one product, at the price of copying each pixel kh kw times.
"""

from collections.abc import Iterator

from scratchnet.backend import Array, array_module, for_each, matmul, product
from scratchnet.ops import cuda
from scratchnet.ops.cuda import conv_one_channel
from scratchnet.ops.cuda import im2col as cuda_im2col
from scratchnet.ops.windows import output_size, windows

# The columns are made for a few output rows at a time: at 128 pairs of the paper's network the whole
# would be 5.7 GB for the second layer. 4 MB was the best of 4, 16 and 64 on a processor with 2 MB of cache a core.
COLUMN_BYTES = 4 * 2**20
COLUMN_BYTES_ON_GPU = 256 * 2**20  # which no cache would hold, and where products are the better the larger they are


def forward_im2col(x: Array, weight: Array, stride: int) -> Array:
    """Equation (1), one product for a block of output rows: y (Ho, Wo, N, O)."""
    xp = array_module(x, weight)
    if cuda.usable(x, weight) and weight.shape[2] == 1:
        return conv_one_channel.forward(x, weight, stride)
    kh, kw, _, out_channels = weight.shape
    n_rows, n_columns = output_size(x.shape[0], kh, stride), output_size(x.shape[1], kw, stride)
    y = xp.empty((n_rows, n_columns, x.shape[2], out_channels), dtype=xp.result_type(x.dtype, weight.dtype))
    matrix = weight.reshape(-1, out_channels)

    def compute(block: tuple[slice, slice]) -> None:
        rows, x_rows = block
        columns = _im2col(x[x_rows], (kh, kw), stride)
        matmul(columns, matrix, out=y[rows].reshape(-1, out_channels))  # (1)

    for_each(compute, _row_blocks(x, weight.shape, n_rows, stride), like=x)
    return y


def backward_im2col(
    dy: Array, x: Array, weight: Array, stride: int, needs_dx: bool = True
) -> tuple[Array | None, Array]:
    """Equations (2) and (3), two products for a block of output rows: dx (H, W, N, C), dweight (kh, kw, C, O)."""
    xp = array_module(dy, x, weight)
    if cuda.usable(dy, x, weight) and weight.shape[2] == 1 and not needs_dx:
        return None, conv_one_channel.dweight(dy, x, weight.shape[:2], stride)
    kh, kw, channels, out_channels = weight.shape
    blocks = list(_row_blocks(x, weight.shape, dy.shape[0], stride))
    products = xp.empty((len(blocks), kh * kw * channels, out_channels), dtype=xp.result_type(dy.dtype, x.dtype))

    def compute(block: int) -> None:
        rows, x_rows = blocks[block]
        columns = _im2col(x[x_rows], (kh, kw), stride)
        matmul(columns.T, dy[rows].reshape(-1, out_channels), out=products[block])  # (2)

    for_each(compute, range(len(blocks)), like=x)
    dweight = products.sum(axis=0).reshape(weight.shape)
    if not needs_dx:
        return None, dweight

    dx = xp.zeros(x.shape, dtype=xp.result_type(dy.dtype, weight.dtype))
    matrix = weight.reshape(-1, out_channels)
    for rows, x_rows in blocks:  # one after the other, since neighbours add to the same rows of dx
        dcolumns = product(dy[rows].reshape(-1, out_channels), matrix.T)
        _add_col2im(dcolumns, dx[x_rows], (kh, kw), stride)  # (3)
    return dx, dweight


def _im2col(x: Array, kernel_size: tuple[int, int], stride: int) -> Array:
    """The windows of x (H, W, N, C) as rows of a matrix: (Ho Wo N, kh kw C)."""
    if cuda.usable(x):
        return cuda_im2col.im2col(x, kernel_size, stride)
    xp = array_module(x)
    kh, kw = kernel_size
    size = output_size(x.shape[0], kh, stride), output_size(x.shape[1], kw, stride)
    columns = xp.empty((*size, x.shape[2], kh, kw, x.shape[3]), dtype=x.dtype)
    for a, b, x_ab in windows(x, kernel_size, stride):
        columns[:, :, :, a, b] = x_ab
    return columns.reshape(-1, kh * kw * x.shape[3])


def _add_col2im(columns: Array, dx: Array, kernel_size: tuple[int, int], stride: int) -> None:
    """Add each row of the matrix (Ho Wo N, kh kw C) to its window of dx (H, W, N, C)."""
    if cuda.usable(columns, dx):
        cuda_im2col.add_col2im(columns, dx, kernel_size, stride)
        return
    H, W, N, C = dx.shape
    kh, kw = kernel_size
    pixels = columns.reshape(output_size(H, kh, stride), output_size(W, kw, stride), N, kh, kw, C)
    for a, b, dx_ab in windows(dx, kernel_size, stride):
        dx_ab += pixels[:, :, :, a, b]


def _row_blocks(x: Array, weight_shape: tuple[int, ...], n_rows: int, stride: int) -> Iterator[tuple[slice, slice]]:
    """Blocks of output rows whose columns take about COLUMN_BYTES, each with the rows of x that it sees."""
    column_bytes = COLUMN_BYTES_ON_GPU if cuda.usable(x) else COLUMN_BYTES
    kh, kw, channels, _ = weight_shape
    row_bytes = output_size(x.shape[1], kw, stride) * x.shape[2] * kh * kw * channels * x.dtype.itemsize
    step = max(1, column_bytes // max(1, row_bytes))
    for start in range(0, n_rows, step):
        stop = min(start + step, n_rows)
        yield slice(start, stop), slice(start * stride, (stop - 1) * stride + kh)
