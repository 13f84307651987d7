"""The grid of a convolution by spectra, and the numbers whose products are those of spectra.

F x F' of `dft.py` has, for each pair of rows u and each pair of columns v, four components: the sums with a cosine or a
sine along rows and with one along columns. They are two complex numbers c - i s:

    X[u, v] = (cc - ss) - i (sc + cs),      X[u, -v] = (cc + ss) - i (sc - cs).                 (1)

For a complex product, three real ones suffice: with X = c - i s and K = e + i g, their product XK = c" - i s" has

    c" = (c - s) e + s (e + g),      s" = -(c - s) e - c (g - e).                               (2)

So B makes three numbers of (c, s), E three of (e, g), and C makes (c", s") of their products; with (1) before B and E
and its inverse after C, they are six for four components. Where u or v is single, there is one complex number, and
where both are, one real number.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from scratchnet.backend import Array, array_module, for_each
from scratchnet.ops.fast.dft import Transform, components, from_components, good_size, matrix, transform
from scratchnet.ops.windows import Pair

T = np.array([[1, 0, 0, -1], [0, 1, 1, 0], [1, 0, 0, 1], [0, -1, 1, 0]])  # (cc, cs, sc, ss) to (c, s, c, s)  (1)
B = np.array([[1, -1], [1, 0], [0, 1]])
E = np.array([[1, 0], [-1, 1], [1, 1]])
C = np.array([[1, 0, 1], [-1, -1, 0]])  # (2)
PAD = 16  # numbers after each row of scratch memory: rows a power of two apart would compete for few lines of a cache
PAIRS = 4  # of rows, multiplied at a time

Matrices = dict[int, Array]  # B, E or C for 1, 2 and 4 components


class Grid(NamedTuple):
    """The transforms along rows and columns of maps and of a kernel, and B, E and C."""

    rows: Transform
    columns: Transform
    kernel_rows: Array  # F where the kernel is, (n, kh)
    kernel_columns: Array  # (n, kw)
    B: Matrices
    E: Matrices
    C: Matrices

    @classmethod
    def of(cls, x: Array, weight: Array, padding: Pair) -> "Grid":
        """The grid for x (H, W, N, C) and weight (kh, kw, C, O)."""
        return _grid(x.shape[:2], weight.shape[:2], padding, x.dtype.char)

    @property
    def column_frequencies(self) -> list[slice]:
        """The components v of each frequency along columns: one, or the two of a pair."""
        single, n = _single(self.columns), self.columns.n
        return [slice(v, v + 1) for v in range(single)] + [slice(v, v + 2) for v in range(single, n, 2)]

    @property
    def row_frequencies(self) -> list[tuple[slice, int]]:
        """The components u of some frequencies along rows at a time, and how many components each has."""
        single, n = _single(self.rows), self.rows.n
        return [(slice(0, single), 1)] + [(slice(u, min(u + 2 * PAIRS, n)), 2) for u in range(single, n, 2 * PAIRS)]

    def along_rows(self, columns: Array) -> Array:
        """F x for x (v, h, M), one frequency along columns: (n, v, M)."""
        out = scratch((self.rows.n, columns.shape[0], columns.shape[2]), like=columns)
        components(columns, self.rows, out=out.swapaxes(0, 1))
        return out

    def kernel_along_rows(self, columns: Array) -> Array:
        """F w for w (v, kh, C O), one frequency along columns: (n, v, C O)."""
        out = scratch((self.rows.n, columns.shape[0], columns.shape[2]), like=columns)
        array_module(columns).matmul(self.kernel_rows, columns, out=out.swapaxes(0, 1))
        return out


def combine(spectrum: Array, size: int, matrices: Matrices) -> Array:
    """B x for each `size` components (v, u) of a spectrum (u, v, M): (numbers, M)."""
    M = spectrum.shape[2]
    parts = spectrum.reshape(-1, size, M)
    out = scratch((len(parts), len(matrices[size]), M), like=spectrum)
    array_module(spectrum).matmul(matrices[size], parts, out=out)
    return out.reshape(-1, M)


def separate(numbers: Array, size: int, matrices: Matrices, out: Array) -> None:
    """out (u, v, M) <- C x for the numbers x that go with each `size` components: the adjoint of `combine`."""
    M = out.shape[2]
    array_module(out).matmul(
        matrices[size], numbers.reshape(-1, matrices[size].shape[1], M), out=out.reshape(-1, size, M)
    )


@lru_cache(maxsize=128)
def _grid(size: Pair, kernel_size: Pair, padding: Pair, dtype: str) -> Grid:
    least = [h + p + max(0, p - k + 1) for h, p, k in zip(size, padding, kernel_size, strict=True)]  # for x and y
    rows, columns = (transform(good_size(n), dtype) for n in least)
    kernel_rows, kernel_columns = (
        matrix(of.n, of.frequencies, np.arange(k) - p).astype(dtype)
        for of, k, p in zip((rows, columns), kernel_size, padding, strict=True)
    )
    both, count = np.eye(2), rows.n * columns.n
    # The factors of (1) in dft.py, for rows and columns, and of the inverse of T, which is T' / 2, go into E.
    B_of = {1: np.eye(1), 2: B, 4: np.kron(both, B) @ T}
    E_of = {1: np.eye(1) / count, 2: 2 / count * E, 4: 2 / count * np.kron(both, E) @ T}
    C_of = {1: np.eye(1), 2: C, 4: T.T @ np.kron(both, C)}
    forms = ({size: array.astype(dtype) for size, array in each.items()} for each in (B_of, E_of, C_of))
    return Grid(rows, columns, kernel_rows, kernel_columns, *forms)


def transposed(matrices: Matrices) -> Matrices:
    """B', E' or C'."""
    return {size: matrix.T for size, matrix in matrices.items()}


def along_columns(x: Array, of: Transform) -> Array:
    """x F' for maps x (H, w, N, C): (n, H, N C)."""
    H, w, N, C = x.shape
    maps, out = x.reshape(H, w, N * C), scratch((of.n, H, N * C), like=x)
    for_each(lambda row: components(maps[row], of, out=out[:, row]), range(H), like=x)
    return out


def back_along_columns(spectrum: Array, of: Transform, out: Array) -> None:
    """out (H, w, N, C) <- spectrum F, for a spectrum (n, H, N C): the adjoint of `along_columns`."""
    H, w, N, C = out.shape
    maps = out.reshape(H, w, N * C)
    for_each(lambda row: from_components(spectrum[:, row], of, out=maps[row]), range(H), like=out)


def _single(of: Transform) -> int:
    """How many components are a frequency of their own."""
    return 2 - of.n % 2


def scratch(shape: tuple[int, ...], like: Array) -> Array:
    """Memory for an array of any content, with PAD numbers after each row."""
    return array_module(like).empty((*shape[:-1], shape[-1] + PAD), dtype=like.dtype)[..., : shape[-1]]
