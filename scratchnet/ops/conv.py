"""Convolution in four algorithms that agree.

What the field calls convolution is a cross-correlation: the kernel is not flipped. With x (H, W, N, C),
weight (kh, kw, C, O), stride s, and x padded already, the output y (Ho, Wo, N, O) and the gradients are

    y[i, j]               = sum over a, b of   x[s i + a, s j + b] @ weight[a, b]           (1)
    dweight[a, b]         = sum over i, j of   x[s i + a, s j + b].T @ dy[i, j]             (2)
    dx[s i + a, s j + b] += dy[i, j] @ weight[a, b].T                                       (3)

`x[i, j]` is an (N, C) matrix and `weight[a, b]` a (C, O) matrix, so this is the dense layer summed over
offsets (a, b). "offsets" is these three lines, one product for each offset. "im2col" writes the pixels of a
window side by side, which makes one large product of all offsets at the price of copying each pixel kh kw times.
"rows" writes side by side only the kw pixels of a window that lie in one row of x, and adds up kh products: it
copies kh times less, and each row is written once for all the output rows that see it (Cho and Brand 2017). "dft"
multiplies spectra, which costs the same for kernels of any size; `ops/conv_dft.py` shows why it is the same sum.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from scratchnet.backend import Array, array_module, for_each
from scratchnet.ops.conv_dft import backward_dft, forward_dft
from scratchnet.ops.windows import output_size, windows

# The columns of im2col are made for a few output rows at a time: at 128 pairs of the paper's network the whole
# would be 5.7 GB for the second layer. 4 MB was the best of 4, 16 and 64 on a processor with 2 MB of cache a core.
COLUMN_BYTES = 4 * 2**20


def pad(x: Array, padding: int) -> Array:
    """x with `padding` rows and columns of zeros on each side."""
    if padding == 0:
        return x
    xp = array_module(x)
    return xp.pad(x, ((padding, padding), (padding, padding), (0, 0), (0, 0)))


def unpad(dx: Array, padding: int) -> Array:
    """The backward of `pad`: the gradient of what was padded, without the zeros around it."""
    if padding == 0:
        return dx
    return dx[padding:-padding, padding:-padding]


def forward_offsets(x: Array, weight: Array, stride: int) -> Array:
    """Equation (1), one product for each offset: y (Ho, Wo, N, O)."""
    terms = (x_ab @ weight[a, b] for a, b, x_ab in windows(x, weight.shape[:2], stride))
    y = next(terms)
    for term in terms:
        y += term
    return y


def backward_offsets(
    dy: Array, x: Array, weight: Array, stride: int, needs_dx: bool = True
) -> tuple[Array | None, Array]:
    """Equations (2) and (3), one product for each offset: dx (H, W, N, C), dweight (kh, kw, C, O)."""
    xp = array_module(dy, x, weight)
    dx = xp.zeros(x.shape, dtype=xp.result_type(dy.dtype, weight.dtype))
    dweight = xp.empty(weight.shape, dtype=xp.result_type(dy.dtype, x.dtype))
    dx_windows = windows(dx, weight.shape[:2], stride)
    for (a, b, x_ab), (_, _, dx_ab) in zip(windows(x, weight.shape[:2], stride), dx_windows, strict=True):
        dweight[a, b] = xp.tensordot(x_ab, dy, axes=((0, 1, 2), (0, 1, 2)))      # (2)
        if needs_dx:
            dx_ab += dy @ weight[a, b].T                                        # (3)
    return dx if needs_dx else None, dweight


def forward_im2col(x: Array, weight: Array, stride: int) -> Array:
    """Equation (1), one product for a block of output rows: y (Ho, Wo, N, O)."""
    xp = array_module(x, weight)
    kh, kw, _, out_channels = weight.shape
    n_rows, n_columns = output_size(x.shape[0], kh, stride), output_size(x.shape[1], kw, stride)
    y = xp.empty((n_rows, n_columns, x.shape[2], out_channels), dtype=xp.result_type(x.dtype, weight.dtype))
    matrix = weight.reshape(-1, out_channels)

    def compute(block: tuple[slice, slice]) -> None:
        rows, x_rows = block
        columns = _im2col(x[x_rows], (kh, kw), stride)
        y[rows] = (columns @ matrix).reshape(y[rows].shape)                      # (1)

    for_each(compute, _row_blocks(x, weight.shape, n_rows, stride), like=x)
    return y


def backward_im2col(
    dy: Array, x: Array, weight: Array, stride: int, needs_dx: bool = True
) -> tuple[Array | None, Array]:
    """Equations (2) and (3), two products for a block of output rows: dx (H, W, N, C), dweight (kh, kw, C, O)."""
    xp = array_module(dy, x, weight)
    kh, kw, channels, out_channels = weight.shape
    blocks = list(_row_blocks(x, weight.shape, dy.shape[0], stride))
    products = xp.empty((len(blocks), kh * kw * channels, out_channels), dtype=xp.result_type(dy.dtype, x.dtype))

    def compute(block: int) -> None:
        rows, x_rows = blocks[block]
        columns = _im2col(x[x_rows], (kh, kw), stride)
        products[block] = columns.T @ dy[rows].reshape(-1, out_channels)        # (2)

    for_each(compute, range(len(blocks)), like=x)
    dweight = products.sum(axis=0).reshape(weight.shape)
    if not needs_dx:
        return None, dweight

    dx = xp.zeros(x.shape, dtype=xp.result_type(dy.dtype, weight.dtype))
    matrix = weight.reshape(-1, out_channels)
    for rows, x_rows in blocks:  # one after the other, since neighbours add to the same rows of dx
        dcolumns = (dy[rows].reshape(-1, out_channels) @ matrix.T).reshape(*dy[rows].shape[:3], *weight.shape[:3])
        for a, b, dx_ab in windows(dx[x_rows], (kh, kw), stride):
            dx_ab += dcolumns[:, :, :, a, b]                                    # (3)
    return dx, dweight


def forward_rows(x: Array, weight: Array, stride: int) -> Array:
    """Equation (1), one product for a row of x and a row of the output that sees it: y (Ho, Wo, N, O)."""
    xp = array_module(x, weight)
    kh, kw, channels, out_channels = weight.shape
    n_rows, n_columns = output_size(x.shape[0], kh, stride), output_size(x.shape[1], kw, stride)
    y = xp.zeros((n_rows, n_columns * x.shape[2], out_channels), dtype=xp.result_type(x.dtype, weight.dtype))
    matrices = weight.reshape(kh, kw * channels, out_channels)
    for row, seen_by in _rows_seen(x.shape[0], kh, stride):
        columns = _im2col(x[row : row + 1], (1, kw), stride)                    # (Wo N, kw C)
        for i, a in seen_by:
            y[i] += columns @ matrices[a]                                       # (1)
    return y.reshape(n_rows, n_columns, x.shape[2], out_channels)


def backward_rows(
    dy: Array, x: Array, weight: Array, stride: int, needs_dx: bool = True
) -> tuple[Array | None, Array]:
    """Equations (2) and (3), row by row like `forward_rows`: dx (H, W, N, C), dweight (kh, kw, C, O)."""
    xp = array_module(dy, x, weight)
    kh, kw, channels, out_channels = weight.shape
    n_rows, n_columns, n, _ = dy.shape
    dx = xp.zeros(x.shape, dtype=xp.result_type(dy.dtype, weight.dtype))
    dmatrices = xp.zeros((kh, kw * channels, out_channels), dtype=xp.result_type(dy.dtype, x.dtype))
    matrices = weight.reshape(kh, kw * channels, out_channels)
    dy_rows = dy.reshape(n_rows, n_columns * n, out_channels)
    for row, seen_by in _rows_seen(x.shape[0], kh, stride):
        columns = _im2col(x[row : row + 1], (1, kw), stride)
        for i, a in seen_by:
            dmatrices[a] += columns.T @ dy_rows[i]                              # (2)
        if not needs_dx:
            continue
        dcolumns = xp.zeros(columns.shape, dtype=dx.dtype)
        for i, a in seen_by:
            dcolumns += dy_rows[i] @ matrices[a].T                              # (3), before it is put in place
        dcolumns = dcolumns.reshape(n_columns, n, kw, channels)
        for _, b, dx_b in windows(dx[row : row + 1], (1, kw), stride):
            dx_b += dcolumns[None, :, :, b]
    return dx if needs_dx else None, dmatrices.reshape(weight.shape)


def _rows_seen(height: int, kh: int, stride: int) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Each row s i + a of x with the pairs (i, a): the output rows that see it, and as which row of the kernel."""
    n_rows = output_size(height, kh, stride)
    for row in range(height):
        seen_by = [((row - a) // stride, a) for a in range(kh) if (row - a) % stride == 0]
        seen_by = [(i, a) for i, a in seen_by if 0 <= i < n_rows]
        if seen_by:
            yield row, seen_by


def _im2col(x: Array, kernel_size: tuple[int, int], stride: int) -> Array:
    """The windows of x (H, W, N, C) as rows of a matrix: (Ho Wo N, kh kw C)."""
    xp = array_module(x)
    kh, kw = kernel_size
    size = output_size(x.shape[0], kh, stride), output_size(x.shape[1], kw, stride)
    columns = xp.empty((*size, x.shape[2], kh, kw, x.shape[3]), dtype=x.dtype)
    for a, b, x_ab in windows(x, kernel_size, stride):
        columns[:, :, :, a, b] = x_ab
    return columns.reshape(-1, kh * kw * x.shape[3])


def _row_blocks(
    x: Array, weight_shape: tuple[int, ...], n_rows: int, stride: int
) -> Iterator[tuple[slice, slice]]:
    """Blocks of output rows whose columns take about COLUMN_BYTES, each with the rows of x that it sees."""
    kh, kw, channels, _ = weight_shape
    row_bytes = output_size(x.shape[1], kw, stride) * x.shape[2] * kh * kw * channels * x.dtype.itemsize
    step = max(1, COLUMN_BYTES // max(1, row_bytes))
    for start in range(0, n_rows, step):
        stop = min(start + step, n_rows)
        yield slice(start, stop), slice(start * stride, (stop - 1) * stride + kh)


class Algorithm(NamedTuple):
    """forward(x, weight, stride) -> (y, kept), and backward(dy, x, weight, stride, kept, needs_dx) -> (dx, dweight).

    Without needs_dx, which the first layer of a network has no use for, dx is None.
    """

    forward: Callable[[Array, Array, int], tuple[Array, Any]]
    backward: Callable[[Array, Array, Array, int, Any, bool], tuple[Array | None, Array]]


def _keeping_nothing(forward: Any, backward: Any) -> Algorithm:
    """An algorithm whose backward has no use for anything that its forward computed."""
    return Algorithm(
        lambda x, weight, stride: (forward(x, weight, stride), None),
        lambda dy, x, weight, stride, kept, needs_dx: backward(dy, x, weight, stride, needs_dx),
    )


ALGORITHMS = {
    "offsets": _keeping_nothing(forward_offsets, backward_offsets),
    "im2col": _keeping_nothing(forward_im2col, backward_im2col),
    "rows": _keeping_nothing(forward_rows, backward_rows),
    "dft": Algorithm(forward_dft, backward_dft),
}


# What moving one number costs, in multiply-adds: products run near the peak of the processor, copies and sums at the
# speed of its memory. Fitted to the step times of ten layers on two cores with AVX-512; benchmarks/conv.py measures it.
MOVE = 60


def costs(x_shape: tuple[int, ...], weight_shape: tuple[int, ...], stride: int) -> dict[str, float]:
    """About how long forward and backward take with each algorithm, in multiply-adds.

    Counts the products of matrices, and the numbers that are copied or added up besides (MOVE each).
    """
    H, W, N, C = x_shape
    kh, kw, _, O = weight_shape
    Ho, Wo = output_size(H, kh, stride), output_size(W, kw, stride)
    pixels, window = Ho * Wo * N, kh * kw * C
    direct = 3 * pixels * window * O
    row = min(H, kh * Ho) * Wo * N * kw * C  # all rows, written side by side
    return {
        "offsets": direct + MOVE * kh * kw * pixels * (O + 2 * C),
        "im2col": direct + MOVE * 6 * pixels * window,
        "rows": direct + MOVE * (3 * row + kh * pixels * O + kh * row),
        "dft": _cost_of_dft(H, W, N, C, O, kh, kw),
    }


def _cost_of_dft(H: int, W: int, N: int, C: int, O: int, kh: int, kw: int) -> float:
    """As in `ops/conv_dft.py`: X, K and Y in forward, G, dK and dX in backward. Strides save it nothing."""
    U, V, Ho, Wo = H // 2 + 1, W, H - kh + 1, W - kw + 1

    def transform(h: int, w: int, numbers: int) -> int:
        return 2 * U * w * numbers * (h + 2 * V)

    products = 3 * 4 * U * V * N * C * O
    transforms = 2 * (transform(H, W, N * C) + transform(Ho, Wo, N * O) + transform(kh, kw, C * O))
    moved = 16 * U * V * (N * C + N * O + C * O)
    return products + transforms + MOVE * moved


def choose(x_shape: tuple[int, ...], weight_shape: tuple[int, ...], stride: int) -> str:
    """The algorithm that "auto" stands for: the one with the least cost."""
    found = costs(x_shape, weight_shape, stride)
    return min(found, key=found.__getitem__)


def to_torch(weight: Array) -> Array:
    """(kh, kw, C, O) in PyTorch's order (O, C, kh, kw)."""
    return weight.transpose(3, 2, 0, 1)


def from_torch(weight: Array) -> Array:
    """PyTorch's (O, C, kh, kw) in our order (kh, kw, C, O)."""
    return weight.transpose(2, 3, 1, 0)
