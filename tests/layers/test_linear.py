"""The dense layer, worked out by hand."""

import numpy as np
from by_hand import assert_close, forward_and_backward

from scratchnet.layers import Linear


def test_forward_and_backward_by_hand(device):
    weight = [[1, 0, 2], [-1, 3, 1]]
    x = [[1, 2], [3, -1]]
    dy = [[1, 0, -1], [2, 1, 0]]
    params = {"weight": weight, "bias": [10, 20, 30]}
    y, (dx,), grads = forward_and_backward(Linear(2, 3), params, [x], dy, device)
    # y[0] = 1 (1, 0, 2) + 2 (-1, 3, 1) + bias = (-1, 6, 4) + bias; y[1] = 3 (1, 0, 2) - (-1, 3, 1) + bias
    assert_close(y, [[9, 26, 34], [14, 17, 35]])
    # dx[n] = dy[n] times each row of weight: dx[0] = (1 - 2, -1 - 1), dx[1] = (2 + 0, -2 + 3)
    assert_close(dx, [[-1, -2], [2, 1]])
    # dweight[c] = x[0, c] dy[0] + x[1, c] dy[1]: 1 (1, 0, -1) + 3 (2, 1, 0) and 2 (1, 0, -1) - (2, 1, 0)
    assert_close(grads["weight"], [[7, 3, -1], [0, -1, -2]])
    assert_close(grads["bias"], [3, 1, -1])


def test_glorot_initialisation():
    params = Linear(300, 200).init(np.random.default_rng(0))
    assert params["weight"].shape == (300, 200)
    np.testing.assert_allclose(params["weight"].var(), 2 / (300 + 200), rtol=0.03)  # of 60,000 draws
    assert not params["bias"].any()
