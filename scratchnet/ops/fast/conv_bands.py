"""Convolution as one product for each output pixel, on windows that share their memory.

"im2col" copies each pixel kh kw times, since windows overlap in both directions. Here each pixel is copied kh times
only. For output row i, the kh rows of x that it sees are written as a band, column by column and with the images last:

    band[q, a, c, n] = x[s i + a, q, n, c]                      (W, kh, C, N)

Window j is then the columns q = s j .. s j + kw - 1, which lie one behind the other: a (kw kh C, N) matrix without
copying, and the next window the same matrix further on in the same memory. So with `windows[j]` for it and
`matrix` (kw kh C, O) for the weight in that order, equations (1) and (2) of `ops/conv.py` are

    y[i, j]  = windows[j].T @ matrix                            (N, O)
    dmatrix += windows[j] @ dy[i, j]                            (kw kh C, O)

and equation (3) is a convolution, too: of dy, with zeros between its pixels (s - 1) and around them (kh - 1, kw - 1),
by the kernel turned by half a turn, its channels in and out exchanged.
"""

from scratchnet.backend import Array, array_module, for_each
from scratchnet.ops.windows import output_size


def forward_bands(x: Array, weight: Array, stride: int, padding: int) -> tuple[Array, Array]:
    """y (Ho, Wo, N, O), and x padded and with the images last (H, W, C, N), for backward to use again."""
    xp = array_module(x, weight)
    kh, kw, C, O = weight.shape
    images_last = _images_last(x, padding)
    Ho, Wo = (output_size(size, k, stride) for size, k in zip(images_last.shape, (kh, kw), strict=False))
    matrix = xp.ascontiguousarray(weight.swapaxes(0, 1)).reshape(kw * kh * C, O)
    y = xp.empty((Ho, Wo, x.shape[2], O), dtype=xp.result_type(x.dtype, weight.dtype))

    def output_row(i: int) -> None:
        windows = _windows(images_last[stride * i : stride * i + kh], kw, stride)
        xp.matmul(windows.swapaxes(1, 2), matrix, out=y[i])  # (1)

    for_each(output_row, range(Ho), like=x)
    return y, images_last


def backward_bands(
    dy: Array, x: Array, weight: Array, stride: int, padding: int, images_last: Array, needs_dx: bool = True
) -> tuple[Array | None, Array]:
    """dx (H, W, N, C) and dweight (kh, kw, C, O)."""
    xp = array_module(dy, x, weight)
    kh, kw, C, O = weight.shape
    Ho = dy.shape[0]
    products = xp.empty((Ho, kw * kh * C, O), dtype=xp.result_type(dy.dtype, x.dtype))

    def output_row(i: int) -> None:
        windows = _windows(images_last[stride * i : stride * i + kh], kw, stride)
        products[i] = (windows @ dy[i]).sum(axis=0)  # (2)

    for_each(output_row, range(Ho), like=x)
    dweight = xp.ascontiguousarray(products.sum(axis=0).reshape(kw, kh, C, O).swapaxes(0, 1))
    if not needs_dx:
        return None, dweight
    turned = weight[::-1, ::-1].swapaxes(2, 3)  # (kh, kw, O, C)
    dx, _ = forward_bands(_spread(dy, x.shape[:2], (kh, kw), stride, padding), turned, 1, 0)  # (3)
    return dx, dweight


def _images_last(x: Array, padding: int) -> Array:
    """(H, W, N, C) to (H, W, C, N), with rows and columns of zeros around it."""
    H, W, N, C = x.shape
    if C == 1 and padding == 0:
        return x.reshape(H, W, C, N)
    images_last = array_module(x).zeros((H + 2 * padding, W + 2 * padding, C, N), dtype=x.dtype)

    def row(p: int) -> None:
        images_last[padding + p, padding : padding + W] = x[p].swapaxes(1, 2)

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


def _spread(dy: Array, size: tuple[int, int], kernel_size: tuple[int, int], stride: int, padding: int) -> Array:
    """dy with stride - 1 zeros between its pixels, and so many around that a kernel fits on it at H x W places."""
    (Ho, Wo, N, O), (H, W), (kh, kw) = dy.shape, size, kernel_size
    spread = array_module(dy).zeros((H + 2 * padding + kh - 1, W + 2 * padding + kw - 1, N, O), dtype=dy.dtype)
    rows, columns = (Ho - 1) * stride + 1, (Wo - 1) * stride + 1
    spread[kh - 1 : kh - 1 + rows : stride, kw - 1 : kw - 1 + columns : stride] = dy
    return spread[padding : padding + H + kh - 1, padding : padding + W + kw - 1]  # the padding itself needs no dx
