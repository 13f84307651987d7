"""The real transform in two steps, and the numbers whose products are those of spectra."""

import numpy as np
import pytest

from scratchnet.ops.fast import dft, spectra

SIZES = [1, 2, 3, 4, 5, 6, 7, 9, 12, 14, 16, 21, 27, 30, 45, 48]


def components_of(x, transform):
    out = np.empty((*x.shape[:-2], transform.n, x.shape[-1]))
    dft.components(x, transform, out=out)
    return out


@pytest.mark.parametrize("n", SIZES)
def test_the_components_are_sums_with_cosines_and_sines(n, rng):
    transform = dft.transform(n, "float64")
    x = rng.standard_normal((2, n, 3))
    found, expected = components_of(x, transform), np.fft.fft(x, axis=1)
    single = 1 if n % 2 else 2
    u = list(transform.frequencies)
    assert sorted(u) == list(range(n // 2 + 1))
    np.testing.assert_allclose(found[:, :single], expected[:, u[:single]].real, atol=1e-12)
    np.testing.assert_allclose(found[:, single::2], expected[:, u[single:]].real, atol=1e-12)
    np.testing.assert_allclose(found[:, single + 1 :: 2], -expected[:, u[single:]].imag, atol=1e-12)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("left_out", [0, 1, 3])
def test_rows_that_are_not_there_are_zero(n, left_out, rng):
    transform, h = dft.transform(n, "float64"), max(1, n - left_out)
    x = rng.standard_normal((h, 2, 3)).swapaxes(0, 1)  # of any memory layout
    padded = np.zeros((2, n, 3))
    padded[:, :h] = x
    np.testing.assert_allclose(components_of(x, transform), components_of(padded, transform), atol=1e-12)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("left_out", [0, 1, 3])
def test_from_components_is_the_adjoint(n, left_out, rng):
    transform, h = dft.transform(n, "float64"), max(1, n - left_out)
    x, spectrum, back = rng.standard_normal((h, 2)), rng.standard_normal((n, 2)), np.empty((h, 2))
    dft.from_components(spectrum, transform, out=back)
    np.testing.assert_allclose(np.vdot(back, x), np.vdot(spectrum, components_of(x, transform)), atol=1e-11)


@pytest.mark.parametrize("n", SIZES)
def test_the_inverse_counts_the_components_of_a_pair_twice(n, rng):
    transform, x, back = dft.transform(n, "float64"), rng.standard_normal((n, 2)), np.empty((n, 2))
    weighted = dft.rows_of_each(n)[:, None] * components_of(x, transform) / n
    dft.from_components(weighted, transform, out=back)
    np.testing.assert_allclose(back, x, atol=1e-12)


def test_many_columns_are_transformed_in_parts(rng):
    transform, x = dft.transform(12, "float64"), rng.standard_normal((12, 3 * dft.COLUMNS))
    np.testing.assert_allclose(components_of(x, transform)[:, 7:9], components_of(x[:, 7:9], transform), atol=1e-12)


def test_a_grid_avoids_prime_numbers():
    assert [dft.good_size(n) for n in (47, 37, 21, 13)] == [48, 39, 21, 13]


def complex_numbers(components):
    """c - i s of components (c, s), or the two of (cc, cs, sc, ss)."""
    if len(components) == 1:
        return components
    if len(components) == 2:
        return components[:1] - 1j * components[1:]
    cc, cs, sc, ss = components
    return np.array([(cc - ss) - 1j * (sc + cs), (cc + ss) - 1j * (sc - cs)])


@pytest.mark.parametrize(("count", "size"), [(1, 1), (3, 2), (6, 4)])
def test_three_products_are_one_of_complex_numbers(count, size, rng):
    x, k = rng.standard_normal((2, size))
    grid = spectra.Grid.of(np.empty((5, 4, 1, 1)), np.empty((2, 3, 1, 1)), (0, 0))
    products = (grid.B[size] @ x) * (grid.E[size] @ k)
    assert products.shape == (count,)
    y = grid.C[size] @ products * 5 * 4 / (1 if size == 1 else 2) / max(1, size // 2)
    np.testing.assert_allclose(complex_numbers(y), complex_numbers(x) * complex_numbers(k).conj(), atol=1e-12)
