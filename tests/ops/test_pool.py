"""Max-pooling: the largest pixel of a window, and what happens at a tie."""

import numpy as np
import pytest

from scratchnet.layers import MaxPool2d
from scratchnet.ops import pool


def test_the_largest_pixel_of_each_window_is_kept():
    x = np.array([[1.0, 5.0, 2.0], [4.0, 3.0, 9.0]]).reshape(2, 3, 1, 1)
    assert pool.forward(x, 2, 1)[0].ravel().tolist() == [5.0, 9.0]


@pytest.mark.parametrize(("kernel_size", "stride"), [(2, 2), (3, 1), (2, 3), (3, 2)])
def test_forward_is_the_maximum_of_every_window(kernel_size, stride, rng):
    x = rng.standard_normal((7, 6, 2, 3))
    y, _ = MaxPool2d(kernel_size, stride=stride).forward({}, x)
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            rows, columns = slice(i * stride, i * stride + kernel_size), slice(j * stride, j * stride + kernel_size)
            np.testing.assert_array_equal(y[i, j], x[rows, columns].max(axis=(0, 1)))


def test_at_a_tie_the_first_pixel_takes_the_whole_gradient():
    x = np.array([[1.0, 7.0], [7.0, 7.0]]).reshape(2, 2, 1, 1)
    _, winners = pool.forward(x, 2, 2)
    dx = pool.backward(np.array(3.0).reshape(1, 1, 1, 1), winners, (2, 2), 2, 2)
    assert dx.ravel().tolist() == [0.0, 3.0, 0.0, 0.0]


def test_a_pixel_that_wins_several_windows_gets_the_sum_of_their_gradients():
    x = np.array([[0.0, 1.0, 0.0]]).reshape(1, 3, 1, 1).repeat(2, axis=0) * np.array([1.0, 2.0]).reshape(2, 1, 1, 1)
    _, winners = pool.forward(x, 2, 1)
    dx = pool.backward(np.array([[3.0, 5.0]]).reshape(1, 2, 1, 1), winners, (2, 3), 2, 1)
    assert dx[1].ravel().tolist() == [0.0, 8.0, 0.0]
    assert not dx[0].any()


def test_pixels_that_fill_no_window_get_no_gradient(rng):
    x = rng.standard_normal((5, 5, 1, 1))
    y, cache = MaxPool2d(2).forward({}, x)
    dx, _ = MaxPool2d(2).backward(rng.standard_normal(y.shape), cache)
    assert y.shape == (2, 2, 1, 1)
    assert not dx[4].any()
    assert not dx[:, 4].any()
    assert np.count_nonzero(dx) == 4


def test_a_complex_step_sees_the_winners_of_the_real_parts(rng):
    x = rng.standard_normal((4, 4, 2, 2))
    moved = x + 1e-30j * rng.standard_normal(x.shape)
    np.testing.assert_array_equal(pool.forward(moved, 2, 2)[0].real, pool.forward(x, 2, 2)[0])
