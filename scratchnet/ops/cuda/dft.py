"""The discrete Fourier transform of a feature map, as matrix products.

The map x (h, w, N, C) stands on a grid of H x W pixels, zero elsewhere, with its corner at pixel (start, start).
Its spectrum is

    X[u, v] = sum over p, q of x[p, q] exp(sign 2 pi i (u (start + p) / H + v (start + q) / W)),      sign -1 or +1,

one (N, C) matrix a frequency. A real map has X[-u, -v] = conj X[u, v], so the frequencies u = 0 .. H // 2 suffice. Real
and imaginary parts are separate, along an axis of two: a spectrum is (U, V, 2, N, C) with U = H // 2 + 1 and V = W, its
frequencies first, as matrix products need them. Summing over p is a product from the left with a matrix of cosines and
sines, and so is summing over q, so BLAS does both: for the sizes of images, that is faster than a fast Fourier
transform, and nothing is transposed.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from scratchnet.backend import Array, Device, device_of, matmul, product


def along_rows(x: Array, height: int, sign: int, start: int = 0) -> Array:
    """The sum over p: x (h, w, N, C) real to (U, 2, w, N, C), the real and the imaginary part."""
    h, *rest = x.shape
    matrix = _on(device_of(x), _rows_matrix, height, start, h, sign, x.dtype.name)  # (U 2, h)
    return product(matrix, x.reshape(h, -1)).reshape(height // 2 + 1, 2, *rest)


def along_columns(x: Array, width: int, sign: int, out: Array, start: int = 0) -> Array:
    """The sum over q, for some u: (u, 2, w, N, C) complex to `out` (u, V, 2, N, C)."""
    u, _, w = x.shape[:3]
    matrix = _on(device_of(x), _columns_matrix, width, start, w, sign, x.dtype.name)  # (V 2, 2 w)
    matmul(matrix, x.reshape(u, 2 * w, -1), out=out.reshape(u, 2 * width, -1))
    return out


def back_along_columns(spectrum: Array, w: int, sign: int, out: Array, start: int = 0) -> Array:
    """The inverse of `along_columns`, of which w columns are kept: (u, V, 2, N, C) to `out` (u, 2, w, N, C)."""
    u, width = spectrum.shape[:2]
    matrix = _on(device_of(spectrum), _columns_inverse, width, start, w, sign, spectrum.dtype.name)  # (2 w, V 2)
    matmul(matrix, spectrum.reshape(u, 2 * width, -1), out=out.reshape(u, 2 * w, -1))
    return out


def back_along_rows(x: Array, height: int, h: int, sign: int, start: int = 0) -> Array:
    """The inverse of `along_rows`, of which h rows are kept: (U, 2, w, N, C) to (h, w, N, C) real."""
    rest = x.shape[2:]
    matrix = _on(device_of(x), _rows_inverse, height, start, h, sign, x.dtype.name)  # (h, U 2)
    return product(matrix, x.reshape(matrix.shape[1], -1)).reshape(h, *rest)


@lru_cache(maxsize=128)
def _on(device: Device, matrix: Callable[..., np.ndarray], *arguments: int | str) -> Array:
    """A matrix in the memory of `device`, where it stays: a few are needed again and again."""
    return device.upload(matrix(*arguments))


def _waves(size: int, frequencies: int, start: int, kept: int, sign: int) -> np.ndarray:
    """exp(sign 2 pi i u (start + p) / size), (frequencies, kept) complex128."""
    turns = np.outer(np.arange(frequencies), np.arange(start, start + kept)) % size / size
    return np.exp(sign * 2j * np.pi * turns)


def _rows_matrix(height: int, start: int, h: int, sign: int, dtype: str) -> np.ndarray:
    waves = _waves(height, height // 2 + 1, start, h, sign)  # (U, h)
    return np.stack([waves.real, waves.imag], axis=1).reshape(-1, h).astype(dtype)


def _columns_matrix(width: int, start: int, w: int, sign: int, dtype: str) -> np.ndarray:
    return _as_real(_waves(width, width, start, w, sign)).reshape(2 * width, 2 * w).astype(dtype)


def _columns_inverse(width: int, start: int, w: int, sign: int, dtype: str) -> np.ndarray:
    inverse = _as_real(_waves(width, width, start, w, -sign).T / width)  # (w, 2, 2, V)
    return inverse.transpose(1, 0, 3, 2).reshape(2 * w, 2 * width).astype(dtype)


def _rows_inverse(height: int, start: int, h: int, sign: int, dtype: str) -> np.ndarray:
    waves = _waves(height, height // 2 + 1, start, h, -sign).T / height  # (h, U)
    # Each frequency but the first, and the last of an even size, also represents its conjugate.
    both = np.full(height // 2 + 1, 2.0)
    both[0] = 1
    if height % 2 == 0:
        both[-1] = 1
    waves = waves * both
    return np.stack([waves.real, -waves.imag], axis=2).reshape(h, -1).astype(dtype)  # the real part of a product


def _as_real(matrix: np.ndarray) -> np.ndarray:
    """A complex matrix (A, B) as one that maps real and imaginary parts to real and imaginary parts: (A, 2, 2, B)."""
    real_row = np.stack([matrix.real, -matrix.imag], axis=1)
    imaginary_row = np.stack([matrix.imag, matrix.real], axis=1)
    return np.stack([real_row, imaginary_row], axis=1)
