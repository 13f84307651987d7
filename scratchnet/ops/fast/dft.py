"""The discrete Fourier transform of real numbers, in real numbers, as two steps of small matrix products.

The n components of x (n,) are its products with the rows of a real matrix F. For u = 0, and for u = n/2 if n is even,
there is one row, cos(2 pi u p / n) at p = 0 .. n - 1; for each other u below n/2 a pair, that cosine and the sine. The
rows are orthogonal, and the squares of their entries add up to n for a single row and to n/2 for one of a pair:

    x = F' D F x / n,     D = 1 for a single row, 2 for one of a pair.                         (1)

A product with F takes n multiply-adds for each component. Let n = N1 N2 and p = N2 b + a, as Cooley and Tukey do:

    sum over p of x[p] exp(-2 pi i u p / n)
        = sum over a of exp(-2 pi i u a / n)  sum over b of x[N2 b + a] exp(-2 pi i u b / N1)  (2)

The inner sum depends on u only through k = u modulo N1. So the first step is the transform of N1 numbers for each a,
and the second a small matrix for each k: N2 x N2 for k = 0 and N1/2, whose inner sums are real, and 2 N2 x 2 N2 for
each pair k, -k. For n = 48 = 8 x 6, that is 8 and then 10.5 multiply-adds. Components come in the order of k, but the
single ones first, which is why N2 must be even if n is: both belong to k = 0 then.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from scratchnet.backend import Array, array_module

COLUMNS = 1280  # of a product with a small matrix: with more, its operands leave the fastest cache
DEPTH = 64  # multiply-adds that each component costs in what is done with it: what a larger grid costs


class Transform(NamedTuple):
    """F of n = N1 N2 numbers, as its two steps."""

    first: np.ndarray  # (N1, N1)
    single: np.ndarray  # (1 or 2, N2, N2), the second step for k = 0 and N1/2
    paired: np.ndarray  # (pairs, 2 N2, 2 N2), the second step for the pairs k, -k
    frequencies: tuple[int, ...]  # u of each single row, then of each pair

    @property
    def step(self) -> int:
        """N2."""
        return self.single.shape[1]

    @property
    def n(self) -> int:
        """The numbers that are transformed, as many as their components."""
        return len(self.first) * self.step


@lru_cache(maxsize=128)
def transform(n: int, dtype: str) -> Transform:
    """The two steps of F for n numbers, in the precision of `dtype`."""
    N1, N2 = _factors(n)
    ks = [*_single(N1), *range(1, (N1 + 1) // 2)]
    pairs = [sorted({min(u, n - u) for u in range(k, n, N1)} - {*_single(n)}) for k in ks]
    frequencies = (*_single(n), *(u for k in pairs for u in k))
    first, F = matrix(N1, ks, np.arange(N1)), matrix(n, frequencies, np.arange(n))
    back = first.T * rows_of_each(N1) / N1  # (1)
    second = np.einsum("uba,bk->uka", F.reshape(n, N1, N2), back).reshape(n, n)  # (2)
    end = len(_single(N1)) * N2
    single, paired = _blocks(second[:end, :end], N2), _blocks(second[end:, end:], 2 * N2)
    return Transform(first.astype(dtype), single.astype(dtype), paired.astype(dtype), frequencies)


def matrix(n: int, frequencies: Sequence[int], positions: np.ndarray) -> np.ndarray:
    """The rows of F for some frequencies, single ones first, at some positions: (components, positions) float64."""
    angles = 2 * np.pi / n * (np.outer(frequencies, positions) % n)
    single = sum(u in _single(n) for u in frequencies)
    pairs = np.stack([np.cos(angles[single:]), np.sin(angles[single:])], axis=1)
    return np.concatenate([np.cos(angles[:single]), pairs.reshape(-1, len(positions))])


def rows_of_each(n: int) -> np.ndarray:
    """D (n,): of each component, whether its frequency has one or two."""
    single = len(_single(n))
    return np.array([1] * single + [2] * (n - single))


def components(x: Array, of: Transform, out: Array) -> None:
    """out (..., n, M) <- F @ x, for the first h of n rows x (..., h, M); the others are zero."""
    xp = array_module(x)
    x, out = _in_columns(x), _in_columns(out)
    inner = xp.empty(out.shape, dtype=out.dtype)  # (..., N1 N2, M): row k N2 + a
    for a, rows in _residues(x, of.step):
        xp.matmul(of.first[:, : rows.shape[-2]], rows, out=_split(inner, of.step).swapaxes(-3, -2)[..., a, :, :])
    for matrices, k in _second_step(of):
        xp.matmul(matrices, _split(inner[..., k, :], matrices.shape[1]), out=_split(out[..., k, :], matrices.shape[1]))


def from_components(spectrum: Array, of: Transform, out: Array) -> None:
    """out (..., h, M) <- the first h rows of F' @ spectrum, for (..., n, M): the adjoint of `components`."""
    xp = array_module(spectrum)
    spectrum, out = _in_columns(spectrum), _in_columns(out)
    inner = xp.empty(spectrum.shape, dtype=spectrum.dtype)
    for matrices, k in _second_step(of):
        size = matrices.shape[1]
        xp.matmul(matrices.swapaxes(1, 2), _split(spectrum[..., k, :], size), out=_split(inner[..., k, :], size))
    for a, rows in _residues(out, of.step):
        xp.matmul(of.first[:, : rows.shape[-2]].T, _split(inner, of.step).swapaxes(-3, -2)[..., a, :, :], out=rows)


def good_size(least: int) -> int:
    """The size of a grid of `least` pixels or a few more: transforms of a prime number would be slow."""
    return min(range(least, least + 4), key=lambda n: n * (DEPTH + multiply_adds(n)))


def _single(n: int) -> tuple[int, ...]:
    """The frequencies with one row."""
    return (0,) if n % 2 else (0, n // 2)


@lru_cache(maxsize=128)
def _factors(n: int) -> tuple[int, int]:
    """N1 and N2 with the fewest multiply-adds."""
    pairs = [(n // N2, N2) for N2 in range(1, n + 1) if n % N2 == 0 and n % 2 >= N2 % 2]
    return min(pairs, key=lambda pair: _of_both_steps(*pair))


def multiply_adds(n: int) -> float:
    """Of both steps, for one component."""
    return _of_both_steps(*_factors(n))


def _of_both_steps(N1: int, N2: int) -> float:
    single = len(_single(N1))
    return N1 + (single * N2**2 + (N1 - single) // 2 * (2 * N2) ** 2) / (N1 * N2)


def _blocks(matrix: np.ndarray, size: int) -> np.ndarray:
    """The blocks on the diagonal of a matrix: (count, size, size)."""
    return np.array([matrix[i : i + size, i : i + size] for i in range(0, len(matrix), size)]).reshape(-1, size, size)


def _second_step(of: Transform) -> Iterator[tuple[np.ndarray, slice]]:
    """The matrices of the second step, and the rows that they take and give."""
    end = len(of.single) * of.step
    for matrices, rows in ((of.single, slice(0, end)), (of.paired, slice(end, of.n))):
        if len(matrices):
            yield matrices, rows


def _in_columns(x: Array) -> Array:
    """(..., rows, M) as (..., parts, rows, M / parts), for products with at most COLUMNS columns: a view."""
    *lead, rows, M = x.shape
    least = max(1, -(-M // COLUMNS))
    parts = next((parts for parts in range(least, 4 * least) if M % parts == 0), 1)
    return x.reshape(*lead, rows, parts, M // parts).swapaxes(-3, -2)


def _split(x: Array, size: int) -> Array:
    """(..., count size, M) as (..., count, size, M): a view."""
    return x.reshape(*x.shape[:-2], -1, size, x.shape[-1])


def _residues(x: Array, step: int) -> Iterator[tuple[slice, Array]]:
    """Rows step b + a of x (..., h, M) as (..., a, b, M): for the a that have one row more, then for the others."""
    *lead, h, M = x.shape
    *strides, row, number = x.strides
    full, more = divmod(h, step)
    for a, b in ((slice(0, more), full + 1), (slice(more, step), full)):
        if a.start < a.stop:
            shape = (*lead, a.stop - a.start, b, M)
            view = array_module(x).lib.stride_tricks.as_strided
            yield a, view(x[..., a.start if b else 0 :, :], shape, (*strides, row, step * row, number))
