"""Convolution as one large product on a GPU: columns by a kernel, or, of one channel, never written."""

from scratchnet.backend import Array, array_module, matmul, product
from scratchnet.ops.conv import Saved, pad, unpad
from scratchnet.ops.cuda import conv_one_channel
from scratchnet.ops.cuda.im2col import add_col2im, im2col
from scratchnet.ops.fast.conv_im2col import row_blocks
from scratchnet.ops.windows import Pair, output_size

COLUMN_BYTES = 256 * 2**20  # more than any cache holds; products are the faster the larger they are


def forward(x: Array, weight: Array, stride: Pair, padding: Pair, algorithm: str = "im2col") -> tuple[Array, Saved]:
    """Equation (1), one product for a block of output rows: y (Ho, Wo, N, O)."""
    xp, x = array_module(x, weight), pad(x, padding)
    kh, kw, C, O = weight.shape
    if C == 1:
        return conv_one_channel.forward(x, weight, stride), Saved("im2col")
    Ho, Wo = output_size(x.shape[0], kh, stride[0]), output_size(x.shape[1], kw, stride[1])
    y = xp.empty((Ho, Wo, x.shape[2], O), dtype=x.dtype)
    for rows, x_rows in row_blocks(x, weight.shape, Ho, stride, COLUMN_BYTES):
        matmul(im2col(x[x_rows], (kh, kw), stride), weight.reshape(-1, O), out=y[rows].reshape(-1, O))  # (1)
    return y, Saved("im2col")


def backward(
    dy: Array, x: Array, weight: Array, saved: Saved, stride: Pair, padding: Pair, needs_dx: bool
) -> tuple[Array | None, Array]:
    """Equations (2) and (3), two products for a block of output rows: dx (H, W, N, C), dweight (kh, kw, C, O)."""
    xp, x = array_module(dy, x, weight), pad(x, padding)
    kh, kw, C, O = weight.shape
    if C == 1 and not needs_dx:
        return None, conv_one_channel.dweight(dy, x, (kh, kw), stride)
    blocks = list(row_blocks(x, weight.shape, dy.shape[0], stride, COLUMN_BYTES))
    products = xp.empty((len(blocks), kh * kw * C, O), dtype=x.dtype)
    for number, (rows, x_rows) in enumerate(blocks):
        matmul(im2col(x[x_rows], (kh, kw), stride).T, dy[rows].reshape(-1, O), out=products[number])  # (2)
    dweight = products.sum(axis=0).reshape(weight.shape)
    if not needs_dx:
        return None, dweight
    dx = xp.zeros(x.shape, dtype=x.dtype)
    for rows, x_rows in blocks:
        add_col2im(product(dy[rows].reshape(-1, O), weight.reshape(-1, O).T), dx[x_rows], (kh, kw), stride)  # (3)
    return unpad(dx, padding), dweight
