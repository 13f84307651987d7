"""Convolution as one product for each output pixel, on windows that share their memory.

"im2col" copies each pixel kh kw times, since windows overlap in both directions. Here each pixel is copied kh times
only. For output row i, the kh rows of x that it sees are written as a band, column by column and with the images last:

    band[q, a, c, n] = x[s i + a, q, n, c]                      (W, kh, C, N)

Window j is then the columns q = t j .. t j + kw - 1, which lie one behind the other: a (kw kh C, N) matrix without
copying, and the next window the same matrix further on in the same memory. So with `windows[j]` for it and
`matrix` (kw kh C, O) for the weight in that order, equations (1) and (2) of `ops/conv.py` are

    y[i, j]  = windows[j].T @ matrix                            (N, O)
    dmatrix += windows[j] @ dy[i, j]                            (kw kh C, O)

and equation (3) is a convolution as well: of dy, with s - 1 and t - 1 zeros between its pixels and kh - 1 and kw - 1
around them, by the kernel rotated by 180 degrees, its channels in and out exchanged.
"""

from scratchnet.backend import Array, array_module, for_each
from scratchnet.ops.conv import Saved
from scratchnet.ops.windows import Pair, output_size


def forward(x: Array, weight: Array, stride: Pair, padding: Pair, algorithm: str = "bands") -> tuple[Array, Saved]:
    """y (Ho, Wo, N, O), and x padded and with the images last (H, W, C, N), for backward to use again."""
    xp = array_module(x, weight)
    (kh, kw, C, O), (sh, sw) = weight.shape, stride
    images_last = _images_last(x, padding)
    Ho, Wo = output_size(images_last.shape[0], kh, sh), output_size(images_last.shape[1], kw, sw)
    matrix = xp.ascontiguousarray(weight.swapaxes(0, 1)).reshape(kw * kh * C, O)
    y = xp.empty((Ho, Wo, x.shape[2], O), dtype=x.dtype)

    def output_row(i: int) -> None:
        windows = _windows(images_last[sh * i : sh * i + kh], kw, sw)
        xp.matmul(windows.swapaxes(1, 2), matrix, out=y[i])  # (1)

    for_each(output_row, range(Ho), like=x)
    return y, Saved("bands", images_last)


def backward(
    dy: Array, x: Array, weight: Array, saved: Saved, stride: Pair, padding: Pair, needs_dx: bool
) -> tuple[Array | None, Array]:
    """dx (H, W, N, C) and dweight (kh, kw, C, O)."""
    xp = array_module(dy, x, weight)
    (kh, kw, C, O), (sh, sw), Ho = weight.shape, stride, dy.shape[0]
    products = xp.empty((Ho, kw * kh * C, O), dtype=x.dtype)

    def output_row(i: int) -> None:
        windows = _windows(saved.state[sh * i : sh * i + kh], kw, sw)
        products[i] = (windows @ dy[i]).sum(axis=0)  # (2)

    for_each(output_row, range(Ho), like=x)
    dweight = xp.ascontiguousarray(products.sum(axis=0).reshape(kw, kh, C, O).swapaxes(0, 1))
    if not needs_dx:
        return None, dweight
    turned = weight[::-1, ::-1].swapaxes(2, 3)  # (kh, kw, O, C)
    dx, _ = forward(_spread(dy, x.shape[:2], (kh, kw), stride, padding), turned, (1, 1), (0, 0))  # (3)
    return dx, dweight


def _images_last(x: Array, padding: Pair) -> Array:
    """(H, W, N, C) to (H, W, C, N), with rows and columns of zeros around it."""
    (H, W, N, C), (p, q) = x.shape, padding
    if C == 1 and not any(padding):
        return x.reshape(H, W, C, N)
    images_last = array_module(x).zeros((H + 2 * p, W + 2 * q, C, N), dtype=x.dtype)

    def row(i: int) -> None:
        images_last[p + i, q : q + W] = x[i].swapaxes(1, 2)

    for_each(row, range(H), like=x)
    return images_last


def _windows(rows: Array, kw: int, stride: int) -> Array:
    """The windows of kh rows (kh, W, C, N): (Wo, kw kh C, N), views of one band."""
    xp = array_module(rows)
    band = xp.ascontiguousarray(rows.swapaxes(0, 1))  # (W, kh, C, N)
    W, kh, C, N = band.shape
    column, _, channel, image = band.strides
    return xp.lib.stride_tricks.as_strided(
        band, (output_size(W, kw, stride), kw * kh * C, N), (stride * column, channel, image)
    )


def _spread(dy: Array, size: Pair, kernel_size: Pair, stride: Pair, padding: Pair) -> Array:
    """dy with stride - 1 zeros between its pixels, and enough around it for a kernel to fit at H x W places."""
    (Ho, Wo, N, O), (H, W), (kh, kw), (sh, sw), (p, q) = dy.shape, size, kernel_size, stride, padding
    spread = array_module(dy).zeros((H + 2 * p + kh - 1, W + 2 * q + kw - 1, N, O), dtype=dy.dtype)
    rows, columns = (Ho - 1) * sh + 1, (Wo - 1) * sw + 1
    spread[kh - 1 : kh - 1 + rows : sh, kw - 1 : kw - 1 + columns : sw] = dy
    return spread[p : p + H + kh - 1, q : q + W + kw - 1]  # the padding itself needs no dx
