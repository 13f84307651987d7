"""Flattening, worked out by hand."""

import numpy as np
from by_hand import assert_close, forward_and_backward

from scratchnet.layers import Flatten


def test_every_pixel_goes_to_its_place_and_its_gradient_back(device):
    # The digits of each value are its indices: x[i, j, n, c] = "ijnc", with (H, W, N, C) = (2, 3, 2, 2)
    i, j, n, c = np.indices((2, 3, 2, 2))
    x = 1000 * i + 100 * j + 10 * n + c
    first = [0, 1, 100, 101, 200, 201, 1000, 1001, 1100, 1101, 1200, 1201]  # row by row, channels last
    second = [10, 11, 110, 111, 210, 211, 1010, 1011, 1110, 1111, 1210, 1211]
    y, (dx,), grads = forward_and_backward(Flatten(), {}, [x], [first, second], device)
    assert_close(y, [first, second])
    assert_close(dx, x)  # with y for dy, each gradient comes back to the pixel that it belongs to
    assert grads == {}
