"""The passes of batch normalisation on every device, within the rounding errors that their arithmetic can make."""

import numpy as np
import pytest

from scratchnet.backend import to_device, to_host
from scratchnet.layers import BatchNorm2d
from scratchnet.ops import norm

TINY = [(1, 2, 1, 1), (1, 2, 1, 33), (3, 1, 1, 3), (3, 1, 1, 32)]
# 299 channels are more than a block has threads, and odd: of two blocks side by side one has a thread too many.
MIDDLING = [(1, 1, 257, 1), (1, 1, 257, 3), (1, 257, 1, 32), (257, 1, 1, 33), (1, 1, 257, 299)]
LARGE = [(10, 25, 20, 1), (10, 25, 20, 3), (10, 25, 20, 32), (10, 25, 20, 33)]

every_map = pytest.mark.parametrize("shape", TINY + MIDDLING + LARGE, ids=str)
every_precision = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def gamma(summands: int, dtype: type) -> float:
    """What a sum may be off by in any order, relative to that of the absolute summands (Higham 2002, section 3.1)."""
    share = summands * np.finfo(dtype).eps / 2
    return float(share / (1 - share))


def wide(*arrays):
    """In double precision, or what NumPy has beyond it."""
    return [array.astype(np.longdouble) for array in arrays]


def assert_within(found, expected, bound):
    found = to_host(found)
    assert found.shape == expected.shape
    assert (abs(found - expected) <= bound).all()


@every_map
@every_precision
def test_mean_and_variance(shape, dtype, device, rng):
    x = (0.3 + rng.standard_normal(shape)).astype(dtype)
    mean, variance = norm.statistics(to_device(x, device))
    M, (exact,) = x.size // shape[3], wide(x)
    expected = exact.mean(axis=(0, 1, 2))
    expected_variance = ((exact - expected) ** 2).mean(axis=(0, 1, 2))
    error = 2 * gamma(M + 4, dtype) * abs(exact).max(axis=(0, 1, 2))
    assert mean.dtype == variance.dtype == dtype
    assert_within(mean, expected, error)
    assert_within(variance, expected_variance, 4 * gamma(M + 4, dtype) * expected_variance + error**2)


@every_map
@every_precision
def test_sums_of_backward(shape, dtype, device, rng):
    dy, x, mean = ((0.3 + rng.standard_normal(size)).astype(dtype) for size in (shape, shape, shape[3:]))
    found = norm.backward_sums(*(to_device(array, device) for array in (dy, x, mean)))
    M = x.size // shape[3]
    dy, x, mean = wide(dy, x, mean)
    for sums, terms in zip(found, (dy, dy * (x - mean)), strict=True):
        assert sums.dtype == dtype
        assert_within(sums, terms.sum(axis=(0, 1, 2)), gamma(M + 3, dtype) * abs(terms).sum(axis=(0, 1, 2)))


@every_map
@every_precision
def test_what_pixels_become(shape, dtype, device, rng):
    dy, x = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    mean, scale, bias, mean_dy, slope = vectors = rng.standard_normal((5, *shape[3:])).astype(dtype)
    placed_dy, placed_x = to_device(dy, device), to_device(x, device)
    p_mean, p_scale, p_bias, p_mean_dy, p_slope = (to_device(vector, device) for vector in vectors)
    y = norm.normalise(placed_x, p_mean, p_scale, p_bias)
    dx = norm.input_gradient(placed_dy, placed_x, p_mean, p_scale, p_mean_dy, p_slope)
    dx_of_constants = norm.rescale(placed_dy, p_scale)
    assert y.dtype == dx.dtype == dx_of_constants.dtype == dtype

    dy, x, mean, scale, bias, mean_dy, slope = wide(dy, x, mean, scale, bias, mean_dy, slope)
    scaled = (x - mean) * scale
    moved = abs(dy) + abs((x - mean) * slope) + abs(mean_dy)
    assert_within(y, scaled + bias, gamma(3, dtype) * (abs(scaled) + abs(bias)))
    assert_within(dx, (dy - (x - mean) * slope - mean_dy) * scale, gamma(5, dtype) * moved * abs(scale))
    assert_within(dx_of_constants, dy * scale, gamma(1, dtype) * abs(dy * scale))


def test_blank_paper_is_not_forgotten(device):
    blank = np.full((10, 10, 100, 130), 0.1, np.float32)  # one thread of a block to a channel
    x, dy, zero = (to_device(array, device) for array in (blank, blank, np.zeros(130, np.float32)))
    mean, variance = norm.statistics(x)
    dbias, _ = norm.backward_sums(dy, x, zero)
    error = gamma(50, np.float32)  # of the short sums that the long one is made of, one within the other
    np.testing.assert_allclose(to_host(mean), blank[0, 0, 0], rtol=error)
    np.testing.assert_allclose(to_host(variance), 0, atol=1e-12)
    np.testing.assert_allclose(to_host(dbias), blank[0, 0, 0].astype(np.float64) * 10_000, rtol=error)


@pytest.mark.parametrize("C", [3, 33])
def test_a_small_variance_about_a_large_mean_does_not_cancel(C, device, rng):
    x = (1e3 + 0.1 * rng.standard_normal((10, 25, 20, C))).astype(np.float32)
    mean, variance = norm.statistics(to_device(x, device))
    np.testing.assert_allclose(to_host(mean), x.mean(axis=(0, 1, 2), dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(to_host(variance), x.var(axis=(0, 1, 2), dtype=np.float64), rtol=1e-4)


def test_equal_numbers_vary_by_nothing(kernels):
    x = np.full((7, 9, 83, 5), 0.1, np.float32) * np.float32([1, -3, 1e3, 1e-3, 0])
    mean, variance = norm.statistics(to_device(x, kernels))
    np.testing.assert_array_equal(to_host(mean), x[0, 0, 0])
    np.testing.assert_array_equal(to_host(variance), np.zeros(5))


def test_the_layout_in_memory_does_not_matter(device, rng):
    dy, x = rng.standard_normal((2, 5, 4, 3, 7))
    params = BatchNorm2d(7).init(rng, np.float64)
    results = []
    for relaid in (np.ascontiguousarray, np.asfortranarray):
        placed = {name: to_device(relaid(value), device) for name, value in params.items()}
        y, cache = BatchNorm2d(7).forward(placed, to_device(relaid(x), device), training=True)
        dx, grads = BatchNorm2d(7).backward(to_device(relaid(dy), device), cache)
        results.append([to_host(array) for array in (y, dx, *grads.values())])
    for found, expected in zip(*results, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


def test_a_batch_of_none_sums_to_zero(device):
    x, mean = to_device(np.zeros((4, 5, 0, 3), np.float32), device), to_device(np.ones(3, np.float32), device)
    assert norm.normalise(x, mean, mean, mean).shape == (4, 5, 0, 3)
    for sums in norm.backward_sums(x, x, mean):
        np.testing.assert_array_equal(to_host(sums), np.zeros(3))


@pytest.mark.parametrize(
    ("training", "forward", "backward"),
    [
        (True, ["moments", "merge_moments", "normalise"], ["sums", "merge_sums", "input_gradient"]),
        (False, ["normalise"], ["sums", "merge_sums"]),
    ],
)
def test_a_gpu_reads_a_map_once_to_sum_and_once_to_change_it(training, forward, backward, launched, rng):
    layer, (x, dy) = BatchNorm2d(4), rng.standard_normal((2, 3, 5, 2, 4)).astype(np.float32)
    params = {name: to_device(value, "kernels") for name, value in layer.init(rng).items()}
    _, cache = layer.forward(params, to_device(x, "kernels"), training)
    assert launched == [f"batchnorm_{name}" for name in forward]
    launched.clear()
    layer.backward(to_device(dy, "kernels"), cache)
    assert launched == [f"batchnorm_{name}" for name in backward]


def test_complex_numbers_stay_with_array_operations(launched, rng):
    x = to_device(rng.standard_normal((3, 5, 2, 4)) + 1e-30j, "kernels")
    mean, variance = norm.statistics(x)
    y = norm.normalise(x, mean, variance, mean)
    norm.backward_sums(y, x, mean)
    norm.input_gradient(y, x, mean, variance, mean, mean)
    assert launched == []
