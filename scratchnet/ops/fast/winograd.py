"""The matrices of Winograd's tiles, by Toom and Cook's method, and how an axis is cut into tiles."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from scratchnet.backend import Array, Device, device_of

TILES = (4, 3, 2)  # outputs of a tile; the first of those that need the fewest products
MOST = 6  # pixels that a tile sees: with seven, rounding errors are three times as large
POINTS = {  # where polynomials are evaluated besides infinity, by their number: found by search, for least rounding
    1: (0.0,),
    2: (0.0, 1.0),
    3: (0.0, 1.0, -1.0),
    4: (0.0, 0.75, -0.75, 2.0),
    5: (0.0, 0.625, -0.625, 1.5, -1.5),
}


class Axis(NamedTuple):
    """How an axis of x, `size` pixels with `padding` zeros on each side, is cut for a kernel of r pixels."""

    size: int
    padding: int
    r: int
    m: int  # outputs of a tile
    tiles: int

    @property
    def n(self) -> int:
        """Pixels that a tile sees, and products that it takes."""
        return self.m + self.r - 1

    @property
    def outputs(self) -> int:
        """Outputs at stride 1."""
        return self.size + 2 * self.padding - self.r + 1

    @classmethod
    def cut(cls, size: int, padding: int, r: int) -> "Axis":
        """The tiles that need the fewest products."""
        outputs = size + 2 * padding - r + 1
        fitting = (m for m in TILES if r - 1 <= m <= MOST - r + 1)
        m = min(fitting, key=lambda m: -(-outputs // m) * (m + r - 1))
        return cls(size, padding, r, m, -(-outputs // m))


class Matrices(NamedTuple):
    """A (n, m), B (n, n) and G (n, r)."""

    A: Array
    B: Array
    G: Array


def matrices(array: Array, axis: Axis) -> Matrices:
    """The matrices of an axis, of the array's precision and on its device."""
    return _matrices_on(device_of(array), axis.m, axis.r, array.dtype.char)


@lru_cache(maxsize=32)
def _matrices_on(device: Device, m: int, r: int, dtype: str) -> Matrices:
    return Matrices(*(device.upload(np.ascontiguousarray(matrix, dtype)) for matrix in _matrices(m, r)))


def between(array: Array, axis: Axis, shift: int) -> tuple[int, Array]:
    """The matrix (m, w) that gives m pixels of a sum of overlapping tiles, and where its w numbers begin.

    These are spectra of the tile, of the one before and of the one after, counted from the first of the tile before.
    Pixel shift + a of a tile is pixel m + shift + a of the tile before, and pixel shift + a - m of the tile after.
    Columns of zeros at both ends are left out; for 3 x 3 kernels, w is n + 2.
    """
    return _between_on(device_of(array), axis.m, axis.r, shift, array.dtype.char)


@lru_cache(maxsize=32)
def _between_on(device: Device, m: int, r: int, shift: int, dtype: str) -> tuple[int, Array]:
    start, matrix = _between(m, r, shift)
    return start, device.upload(np.ascontiguousarray(matrix, dtype))


def _matrices(m: int, r: int) -> Matrices:
    """The matrices of Toom and Cook for m outputs and r weights.

    A polynomial of degree n - 1 is known by its values at n - 1 points and its leading coefficient, its value at
    infinity. A and G evaluate polynomials with m and r coefficients, B is the transpose of interpolation, with the
    factors of each point divided between B and G so that the entries of B are about 1.
    """
    n = m + r - 1
    points = np.array(POINTS.get(n - 1, ()))
    A, B, G = np.zeros((n, m)), np.zeros((n, n)), np.zeros((n, r))
    for k, point in enumerate(points):
        others = np.delete(points, k)
        polynomial = _polynomial(others)
        scale = _power_of_two(polynomial)
        A[k] = point ** np.arange(m)
        B[: n - 1, k] = polynomial / scale
        G[k] = point ** np.arange(r) / np.prod(point - others) * scale
    scale = _power_of_two(_polynomial(points))
    A[n - 1, m - 1], G[n - 1, r - 1] = 1, scale
    B[:, n - 1] = _polynomial(points) / scale
    return Matrices(A, B, G)


def _polynomial(roots: np.ndarray) -> np.ndarray:
    """The coefficients of the polynomial with these roots, from the constant to the leading one, which is 1."""
    return np.atleast_1d(np.poly(roots))[::-1]


def _power_of_two(coefficients: np.ndarray) -> float:
    """About half the norm, rounded to a power of two, by which division is exact."""
    return float(2.0 ** np.round(np.log2(np.linalg.norm(coefficients) / 2)))


def _between(m: int, r: int, shift: int) -> tuple[int, np.ndarray]:
    n = m + r - 1
    B = _matrices(m, r).B
    pixels = np.arange(shift, shift + m)
    parts = []
    for offset in (m, 0, -m):
        part = np.zeros((m, n))
        inside = (pixels + offset >= 0) & (pixels + offset < n)
        part[inside] = B[pixels[inside] + offset]
        parts.append(part)
    matrix = np.hstack(parts)
    (used,) = np.nonzero(matrix.any(axis=0))
    return int(used[0]), matrix[:, used[0] : used[-1] + 1]
