"""Convolution as a product of spectra.

Let x (H, W, N, C), with its padding, stand on a grid of pixels whose DFT wraps around, and the kernel on another; write
X for the spectrum of x with sign -1 and K for that of the kernel with sign +1 (`dft.py` defines both). For each
frequency

    X[u, v] @ K[u, v] = sum over p, q, a, b of  x[p, q] @ weight[a, b]  exp(-2 pi i (u (p - a) / H + v (q - b) / W)),

which is the spectrum, with sign -1, of   sum over a, b of x[i + a, j + b] @ weight[a, b]:   equation (1) of
`ops/conv.py`, with i + a and j + b taken modulo H and W. For the rows i = 0 .. H - kh and the columns j = 0 .. W - kw
of the output nothing wraps around, so the two are equal, and only those are transformed back. (The grid needs the zeros
on one side of x only: wrapping around, it finds the same ones.) With G for the spectrum of dy with sign +1, likewise

    X[u, v].T @ G[u, v]    is the spectrum of dweight, with sign -1,     (2)
    G[u, v] @ K[u, v].T    is the spectrum of dx, with sign +1.          (3)

The direct sum costs kh kw matrix products for each pixel of y. Here it is four for half of the H W frequencies, about
two a pixel, whatever the size of the kernel. Backward finds X and K in the cache and computes only G.
"""

from typing import NamedTuple

from scratchnet.backend import CPU, Array, add_product, array_module, blocks, device_of, for_each, matmul
from scratchnet.ops.conv import Saved
from scratchnet.ops.cuda.dft import along_columns, along_rows, back_along_columns, back_along_rows
from scratchnet.ops.windows import Pair


class Spectra(NamedTuple):
    """What backward can use again: (U, V, 2, N, C) of x, with sign -1, and (U, V, 2, C, O) of the weight, with +1."""

    x: Array
    weight: Array


def forward(x: Array, weight: Array, stride: Pair, padding: Pair, algorithm: str = "dft") -> tuple[Array, Saved]:
    """y (Ho, Wo, N, O) and the spectra."""
    xp = array_module(x, weight)
    height, width, Ho, Wo = _grid(x, weight, padding)
    _, _, N, C = x.shape
    O = weight.shape[3]
    x_rows = along_rows(x, height, -1, start=padding[0])  # (U, 2, W, N, C)
    weight_rows = along_rows(weight, height, +1)  # (U, 2, kw, C, O)
    U = x_rows.shape[0]
    spectra = Spectra(xp.empty((U, width, 2, N, C), dtype=x.dtype), xp.empty((U, width, 2, C, O), dtype=x.dtype))
    back = xp.empty((U, 2, Wo, N, O), dtype=x.dtype)

    def frequencies(u: slice) -> None:
        along_columns(x_rows[u], width, -1, start=padding[1], out=spectra.x[u])
        along_columns(weight_rows[u], width, +1, out=spectra.weight[u])
        back_along_columns(_multiply(spectra.x[u], spectra.weight[u]), Wo, -1, out=back[u])  # (1)

    for_each(frequencies, _some_at_a_time(U, like=x), like=x)
    y = back_along_rows(back, height, Ho, -1)
    sh, sw = stride
    return (y if sh == sw == 1 else xp.ascontiguousarray(y[::sh, ::sw])), Saved("dft", spectra)


def backward(
    dy: Array, x: Array, weight: Array, saved: Saved, stride: Pair, padding: Pair, needs_dx: bool
) -> tuple[Array | None, Array]:
    """dx (H, W, N, C) and dweight (kh, kw, C, O)."""
    spectra: Spectra = saved.state
    xp = array_module(dy, x, weight)
    height, width, Ho, Wo = _grid(x, weight, padding)
    (H, W, N, C), (kh, kw, _, O), (sh, sw) = x.shape, weight.shape, stride
    if stride != (1, 1):
        sparse = dy
        dy = xp.zeros((Ho, Wo, N, O), dtype=dy.dtype)
        dy[::sh, ::sw] = sparse
    dy_rows = along_rows(dy, height, +1)  # (U, 2, Wo, N, O)
    U = dy_rows.shape[0]
    dx_back = xp.empty((U if needs_dx else 0, 2, W, N, C), dtype=dy.dtype)
    dweight_back = xp.empty((U, 2, kw, C, O), dtype=dy.dtype)

    def frequencies(u: slice) -> None:
        gradient = xp.empty((u.stop - u.start, width, 2, N, O), dtype=dy.dtype)
        along_columns(dy_rows[u], width, +1, out=gradient)
        back_along_columns(_multiply(spectra.x[u].swapaxes(-1, -2), gradient), kw, -1, out=dweight_back[u])  # (2)
        if needs_dx:
            product_x = _multiply(gradient, spectra.weight[u].swapaxes(-1, -2))
            back_along_columns(product_x, W, +1, start=padding[1], out=dx_back[u])  # (3)

    for_each(frequencies, _some_at_a_time(U, like=dy), like=dy)
    dx = back_along_rows(dx_back, height, H, +1, start=padding[0]) if needs_dx else None
    return dx, back_along_rows(dweight_back, height, kh, -1)


def _grid(x: Array, weight: Array, padding: Pair) -> tuple[int, int, int, int]:
    """The rows and columns of the grid, and of the output at stride 1."""
    (H, W), (kh, kw), (p, q) = x.shape[:2], weight.shape[:2], padding
    return H + p, W + q, H + 2 * p - kh + 1, W + 2 * q - kw + 1


def _some_at_a_time(U: int, like: Array) -> list[slice]:
    """The frequencies u one by one on the CPU, to stay in the cache; all at once on a GPU."""
    return [slice(u, u + 1) for u in range(U)] if device_of(like) is CPU else [slice(0, U)]


def _multiply(a: Array, b: Array) -> Array:
    """The complex products of (u, V, 2, N, C) and (u, V, 2, C, O), real and imaginary parts apart: (u, V, 2, N, O)."""
    xp = array_module(a, b)
    y = xp.empty((*a.shape[:-1], b.shape[-1]), dtype=a.dtype)
    if device_of(a).gemm is None:
        _multiply_in_blocks(a, b, y)
        return y
    (a_real, a_imag), (b_real, b_imag), (real, imag) = ((x[:, :, 0], x[:, :, 1]) for x in (a, b, y))
    matmul(a_real, b_real, out=real)
    add_product(a_imag, b_imag, out=real, sign=-1.0)
    matmul(a_real, b_imag, out=imag)
    add_product(a_imag, b_real, out=imag)
    return y


def _multiply_in_blocks(a: Array, b: Array, y: Array) -> None:
    """The same where a product cannot be added to an array: all four, then their sums while they are in the cache."""
    xp = array_module(a, b)
    a, b, y = (x.reshape(-1, *x.shape[2:]) for x in (a, b, y))  # (u V, 2, ...)
    for some in blocks(y):
        parts = xp.matmul(a[some, :, None], b[some, None])  # (v, 2, 2, N, O)
        xp.subtract(parts[:, 0, 0], parts[:, 1, 1], out=y[some, 0])
        xp.add(parts[:, 0, 1], parts[:, 1, 0], out=y[some, 1])
