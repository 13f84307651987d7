"""Convolution as a product of spectra.

Take the kernel to the grid of x (H, W, N, C), whose DFT wraps around, and write X for the spectrum of x with sign -1
and K for that of the kernel with sign +1 (`ops/dft.py` defines both). For each frequency

    X[u, v] @ K[u, v] = sum over p, q, a, b of  x[p, q] @ weight[a, b]  exp(-2 pi i (u (p - a) / H + v (q - b) / W)),

which is the spectrum, with sign -1, of   sum over a, b of x[i + a, j + b] @ weight[a, b]:   equation (1) of
`ops/conv.py`, with i + a and j + b taken modulo H and W. For the rows i = 0 .. H - kh and the columns j = 0 .. W - kw
of the output nothing wraps around, so the two are equal, and only those are transformed back. With G for the spectrum
of dy with sign +1, and in the same way,

    X[u, v].T @ G[u, v]    is the spectrum of dweight, with sign -1,     (2)
    G[u, v] @ K[u, v].T    is the spectrum of dx, with sign +1.          (3)

The direct sum costs kh kw products of matrices for each pixel of y. Here it is four for each of half of the H W
frequencies, about two a pixel, whatever the size of the kernel. Backward finds X and K in the cache and adds only G.
"""

from itertools import product
from typing import Any, NamedTuple

from scratchnet.backend import Array, array_module, blocks, for_each
from scratchnet.ops.dft import along_columns, along_rows, back_along_columns, back_along_rows


class Spectra(NamedTuple):
    """What backward can use again: (U, V, 2, N, C) of x, with sign -1, and (U, V, 2, C, O) of the weight, with +1."""

    x: Array
    weight: Array


def forward_dft(x: Array, weight: Array, stride: int) -> tuple[Array, Spectra | None]:
    """y (Ho, Wo, N, O) and the spectra."""
    if x.dtype.kind == "c":  # only to be differentiated: convolution is linear in the parts
        return sum(1j ** (p + q) * forward_dft(x_p, w_q, stride)[0]
                   for (p, x_p), (q, w_q) in product(_parts(x), _parts(weight))), None
    xp = array_module(x, weight)
    H, W, N, C = x.shape
    kh, kw, _, O = weight.shape
    rows = along_rows(x, H, -1)                                                 # (U, 2, W, N, C)
    U = rows.shape[0]
    spectra = Spectra(xp.empty((U, W, 2, N, C), dtype=x.dtype), along_columns(along_rows(weight, H, +1), W, +1))
    back = xp.empty((U, 2, W - kw + 1, N, O), dtype=x.dtype)

    def frequencies(u: int) -> None:
        spectra.x[u] = along_columns(rows[u], W, -1)
        back[u] = back_along_columns(_multiply(spectra.x[u], spectra.weight[u]), W - kw + 1, -1)     # (1)

    for_each(frequencies, range(U), like=x)
    y = back_along_rows(back, H, H - kh + 1, -1)
    return (xp.ascontiguousarray(y[::stride, ::stride]) if stride > 1 else y), spectra


def backward_dft(
    dy: Array, x: Array, weight: Array, stride: int, spectra: Spectra | None, needs_dx: bool = True
) -> tuple[Array | None, Array]:
    """dx (H, W, N, C) and dweight (kh, kw, C, O)."""
    if spectra is None:  # complex: linear in the parts
        terms = [
            (1j ** (p + q), backward_dft(dy_p, x_q, w_q, stride, forward_dft(x_q, w_q, stride)[1]))
            for (p, dy_p), ((q, x_q), (_, w_q)) in product(_parts(dy), zip(_parts(x), _parts(weight), strict=True))
        ]
        return sum(unit * dx for unit, (dx, _) in terms), sum(unit * dweight for unit, (_, dweight) in terms)
    xp = array_module(dy, x, weight)
    H, W, N, C = x.shape
    kh, kw, _, O = weight.shape
    if stride > 1:
        sparse = dy
        dy = xp.zeros((H - kh + 1, W - kw + 1, N, O), dtype=dy.dtype)
        dy[::stride, ::stride] = sparse
    rows = along_rows(dy, H, +1)                                                # (U, 2, Wo, N, O)
    U = rows.shape[0]
    dx_back = xp.empty((U if needs_dx else 0, 2, W, N, C), dtype=dy.dtype)
    dweight_back = xp.empty((U, 2, kw, C, O), dtype=dy.dtype)

    def frequencies(u: int) -> None:
        gradient = along_columns(rows[u], W, +1)                                # (V, 2, N, O)
        dweight_back[u] = back_along_columns(_multiply(spectra.x[u].swapaxes(-1, -2), gradient), kw, -1)     # (2)
        if needs_dx:
            dx_back[u] = back_along_columns(_multiply(gradient, spectra.weight[u].swapaxes(-1, -2)), W, +1)  # (3)

    for_each(frequencies, range(U), like=dy)
    dx = back_along_rows(dx_back, H, H, +1) if needs_dx else None
    return dx, back_along_rows(dweight_back, H, kh, -1)


def _multiply(a: Array, b: Array) -> Array:
    """The complex products of (V, 2, N, C) and (V, 2, C, O), real and imaginary parts apart: (V, 2, N, O)."""
    xp = array_module(a, b)
    y = xp.empty((*a.shape[:-1], b.shape[-1]), dtype=a.dtype)
    for some in blocks(y):
        parts = xp.matmul(a[some, :, None], b[some, None])                      # (v, 2, 2, N, O)
        xp.subtract(parts[:, 0, 0], parts[:, 1, 1], out=y[some, 0])
        xp.add(parts[:, 0, 1], parts[:, 1, 0], out=y[some, 1])
    return y


def _parts(array: Array) -> list[tuple[int, Any]]:
    """The real part as number 0 and the imaginary part as number 1."""
    return [(0, array.real.copy()), (1, array.imag.copy())]
