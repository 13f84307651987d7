"""ReLU and the sigmoid, worked out by hand."""

import math

import numpy as np
from by_hand import assert_close, forward_and_backward

from scratchnet.layers import ReLU, Sigmoid


def test_relu_by_hand(device):
    x = [[-2, 0, 0.5], [3, -0.25, 8]]
    dy = [[1, 2, -3], [4, 5, 6]]
    y, (dx,), grads = forward_and_backward(ReLU(), {}, [x], dy, device)
    assert_close(y, [[0, 0, 0.5], [3, 0, 8]])
    assert_close(dx, [[0, 0, -3], [4, 0, 6]])  # nothing passes at 0
    assert grads == {}


def test_sigmoid_by_hand(device):
    # exp(-log 3) = 1/3, so y = 1 / (1 + 1/3) = 3/4 at log 3, and 1/4 at -log 3; y (1 - y) = 3/16 at both
    x = [[0, math.log(3)], [-math.log(3), 0]]
    dy = [[8, 16], [-32, -4]]
    y, (dx,), grads = forward_and_backward(Sigmoid(), {}, [x], dy, device)
    assert_close(y, [[1 / 2, 3 / 4], [1 / 4, 1 / 2]])
    assert_close(dx, [[2, 3], [-6, -1]])  # 8/4, 16 (3/16), -32 (3/16), -4/4
    assert grads == {}


def test_a_saturated_sigmoid_overflows_nowhere(device):
    y, (dx,), _ = forward_and_backward(Sigmoid(), {}, [[-1000, 1000]], [1, 1], device)
    assert y.tolist() == [0, 1]
    assert dx.tolist() == [0, 0]


def test_a_sigmoid_near_1_keeps_the_digits_of_its_gradient(device):
    _, (dx,), _ = forward_and_backward(Sigmoid(), {}, [[20, -20]], [1, 1], device)
    # e = exp(-20) = 2.06e-9 is lost in 1 - y = 1 - 1 / (1 + e) of float32; e / (1 + e)^2 is not
    np.testing.assert_allclose(dx, [math.exp(-20)] * 2, rtol=1e-6)
