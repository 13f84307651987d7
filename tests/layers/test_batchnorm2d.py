"""Batch normalisation, worked out by hand; epsilon is too small to show."""

import numpy as np
import pytest
from by_hand import assert_close, forward_and_backward

from scratchnet.errors import ShapeError
from scratchnet.layers import BatchNorm2d

# Five pixels of two channels. Mean 2 and variance (4 (-1)^2 + 4^2) / 5 = 4 in the first; 0 and (4 (-2)^2 + 8^2) / 5
# = 16 in the second. So z = (x - mean) / sd = (-1/2, -1/2, -1/2, -1/2, 2) in both.
X = np.array([[1, -2], [1, -2], [1, -2], [1, -2], [6, 8]], np.float32)
DY = [[2, 5], [0, 0], [0, 0], [0, 0], [3, 0]]
PARAMS = {"weight": [3, -1], "bias": [10, 0], "running_mean": [12, 0], "running_var": [15, 5]}


@pytest.mark.parametrize("shape", [(5, 1, 1, 2), (1, 5, 1, 2), (1, 1, 5, 2)], ids=["rows", "columns", "images"])
def test_training_by_hand(shape, device):
    x, dy = X.reshape(shape), np.reshape(DY, shape)
    y, (dx,), grads = forward_and_backward(BatchNorm2d(2), PARAMS, [x], dy, device, training=True)
    # y = 3 z + 10 and -z
    assert_close(y.reshape(5, 2), [[8.5, 0.5], [8.5, 0.5], [8.5, 0.5], [8.5, 0.5], [16, -2]])
    assert_close(grads["bias"], [2 + 3, 5])
    assert_close(grads["weight"], [-2 / 2 + 3 * 2, -5 / 2])  # the sums of dy z
    # dx = weight / sd (dy - dbias / 5 - z dweight / 5):
    # 3/2 (dy - 1 - z) is 3/2 (2 - 1 + 1/2), 3/2 (0 - 1 + 1/2), 3/2 (3 - 1 - 2); -1/4 (dy - 1 + z/2) likewise
    first, second = [9 / 4, -3 / 4, -3 / 4, -3 / 4, 0], [-15 / 16, 5 / 16, 5 / 16, 5 / 16, 0]
    assert_close(dx.reshape(5, 2), np.transpose([first, second]))


def test_the_running_statistics_move_a_tenth_of_the_way_to_those_of_the_batch():
    params = {name: np.array(value, np.float32) for name, value in PARAMS.items()}
    _, cache = BatchNorm2d(2).forward(params, X.reshape(5, 1, 1, 2), training=True)
    # 0.9 (12, 0) + 0.1 (2, 0); the variance is the unbiased one, 5/4 (4, 16): 0.9 (15, 5) + 0.1 (5, 20)
    assert_close(cache.running_statistics["running_mean"], [11, 0])
    assert_close(cache.running_statistics["running_var"], [14, 6.5])


def test_evaluation_by_hand(device):
    params = {"weight": [3], "bias": [10], "running_mean": [1], "running_var": [4]}
    x, dy = np.reshape([1, 3, -1, 5], (2, 2, 1, 1)), np.reshape([1, 2, 0, 4], (2, 2, 1, 1))
    y, (dx,), grads = forward_and_backward(BatchNorm2d(1), params, [x], dy, device)
    # z = (x - 1) / 2 = (0, 1, -1, 2); y = 3 z + 10; mean and variance are constants, so dx = 3/2 dy
    assert_close(y.ravel(), [10, 13, 7, 16])
    assert_close(dx.ravel(), [1.5, 3, 0, 6])
    assert_close(grads["weight"], [2 * 1 + 4 * 2])
    assert_close(grads["bias"], [7])


def test_evaluation_measures_no_running_statistics():
    layer = BatchNorm2d(2)
    _, cache = layer.forward(layer.init(np.random.default_rng(0)), X.reshape(5, 1, 1, 2))
    assert not cache.running_statistics


def test_a_new_layer_changes_nothing_in_evaluation():
    layer = BatchNorm2d(2)
    y, _ = layer.forward(layer.init(np.random.default_rng(0)), X.reshape(5, 1, 1, 2))
    assert_close(y.reshape(5, 2), X)


@pytest.mark.parametrize("pixels", [0, 1])
def test_training_on_less_than_two_pixels_is_refused(pixels):
    """The unbiased variance divides by one less than their number."""
    layer, x = BatchNorm2d(2), np.ones((1, 1, pixels, 2), np.float32)
    params = layer.init(np.random.default_rng(0))
    with pytest.raises(ShapeError, match="BatchNorm2d: x"):
        layer.forward(params, x, training=True)
    assert layer.forward(params, x)[0].shape == x.shape
