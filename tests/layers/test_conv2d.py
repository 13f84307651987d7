"""Convolution, worked out by hand. The kernel is not flipped: y[i, j] = sum of x[s i + a, s j + b] weight[a, b]."""

import numpy as np
import pytest
from by_hand import assert_close, forward_and_backward, image

from scratchnet.errors import ScratchnetError
from scratchnet.layers import Conv2d

X = image([1, 2, 3], [4, 5, 6], [7, 8, 9])


def test_forward_and_backward_by_hand(device):
    params = {"weight": image([1, 0], [2, -1]), "bias": [10]}
    y, (dx,), grads = forward_and_backward(Conv2d(1, 1, 2), params, [X], image([1, 2], [0, -1]), device)
    # 1 + 2 * 4 - 5 = 4, 2 + 2 * 5 - 6 = 6, 4 + 2 * 7 - 8 = 10, 5 + 2 * 8 - 9 = 12
    assert_close(y, image([14, 16], [20, 22]))
    # 1, 2 and -1 times the kernel, laid over the pixels that it was laid over: the one in the middle gets -1 + 4 - 1
    assert_close(dx, image([1, 2, 0], [2, 2, -2], [0, -2, 1]))
    # dweight[a, b] = x[a, b] + 2 x[a, b + 1] - x[a + 1, b + 1]: 1 + 4 - 5, 2 + 6 - 6, 4 + 10 - 8, 5 + 12 - 9
    assert_close(grads["weight"], image([0, 2], [6, 8]))
    assert_close(grads["bias"], [2])


def test_stride_and_padding_by_hand(device):
    layer = Conv2d(1, 1, 3, stride=2, padding=1)  # its four windows have the corners of X in their middle
    params = {"weight": image([0, 1, 0], [2, 3, 4], [0, 5, 0]), "bias": [0]}
    y, (dx,), grads = forward_and_backward(layer, params, [X], image([1, 2], [3, 4]), device)
    # 3 * 1 + 4 * 2 + 5 * 4, 2 * 2 + 3 * 3 + 5 * 6, 1 * 4 + 3 * 7 + 4 * 8, 1 * 6 + 2 * 8 + 3 * 9
    assert_close(y, image([31, 43], [57, 49]))
    # 3 dy at the corners; what lies between two of them gets from both: 4 * 1 + 2 * 2, 5 * 1 + 1 * 3, ...
    assert_close(dx, image([3, 8, 6], [8, 0, 14], [9, 20, 12]))
    # dweight[1, 1] = 1 * 1 + 2 * 3 + 3 * 7 + 4 * 9; dweight[0, 0] = 4 * 5: the other windows have padding there
    assert_close(grads["weight"], image([20, 36, 15], [36, 64, 26], [10, 16, 5]))
    assert_close(grads["bias"], [10])


def test_pixels_that_no_window_reaches_get_no_gradient(device):
    params = {"weight": np.ones((2, 2, 1, 1)), "bias": [0]}
    y, (dx,), grads = forward_and_backward(Conv2d(1, 1, 2, stride=2), params, [X], image([3]), device)
    assert_close(y, image([1 + 2 + 4 + 5]))
    assert_close(dx, image([3, 3, 0], [3, 3, 0], [0, 0, 0]))
    assert_close(grads["weight"], image([3, 6], [12, 15]))


def test_a_kernel_need_not_be_square(device):
    params = {"weight": image([-1], [1]), "bias": [0]}  # each row minus the one above
    x = image([1, 2], [4, 8], [9, 1])
    y, (dx,), grads = forward_and_backward(Conv2d(1, 1, (2, 1)), params, [x], image([1, 2], [3, 4]), device)
    assert_close(y, image([3, 6], [5, -7]))
    assert_close(dx, image([-1, -2], [1 - 3, 2 - 4], [3, 4]))
    # 1 + 2 * 2 + 3 * 4 + 4 * 8 and 4 + 2 * 8 + 3 * 9 + 4 * 1
    assert_close(grads["weight"], image([49], [51]))


def test_stride_and_padding_may_differ_along_rows_and_columns(device):
    layer = Conv2d(1, 1, 1, stride=(2, 1), padding=(0, 1))  # every second row, with a column of zeros at both ends
    params = {"weight": image([2]), "bias": [1]}
    dy = image([1, 2, 3, 4, 5], [6, 7, 8, 9, 10])
    y, (dx,), grads = forward_and_backward(layer, params, [X], dy, device)
    assert_close(y, image([1, 3, 5, 7, 1], [1, 15, 17, 19, 1]))
    assert_close(dx, image([4, 6, 8], [0, 0, 0], [14, 16, 18]))
    # 2 * 1 + 3 * 2 + 4 * 3 + 7 * 7 + 8 * 8 + 9 * 9
    assert_close(grads["weight"], image([214]))
    assert_close(grads["bias"], [55])


def test_without_bias_there_is_none_to_add_and_none_to_train(device):
    layer = Conv2d(1, 1, 1, bias=False)
    y, _, grads = forward_and_backward(layer, {"weight": image([2])}, [X], X, device)
    assert_close(y, image([2, 4, 6], [8, 10, 12], [14, 16, 18]))
    assert list(grads) == list(layer.init(np.random.default_rng(0))) == ["weight"]


def test_channels_are_mixed_by_a_matrix_and_images_are_not_mixed(device):
    params = {"weight": [[[[1, 10], [100, 1000]]]], "bias": [0, 5]}  # (kh, kw, C, O) = (1, 1, 2, 2)
    x, dy = [[[[1, 2], [3, 4]]]], [[[[1, 0], [0, 1]]]]  # one pixel, two images
    y, (dx,), grads = forward_and_backward(Conv2d(2, 2, 1), params, [x], dy, device)
    # (1, 2) becomes (1 + 200, 10 + 2000), and (3, 4) becomes (3 + 400, 30 + 4000)
    assert_close(y, [[[[201, 2015], [403, 4035]]]])
    assert_close(dx, [[[[1, 100], [10, 1000]]]])  # a column of the matrix for each image
    assert_close(grads["weight"], [[[[1, 3], [2, 4]]]])  # channel c in, o out: x[c] of the image whose dy[o] is 1
    assert_close(grads["bias"], [1, 1])


def test_he_initialisation():
    params = Conv2d(8, 64, (5, 10)).init(np.random.default_rng(0))
    assert params["weight"].shape == (5, 10, 8, 64)
    np.testing.assert_allclose(params["weight"].var(), 2 / (5 * 10 * 8), rtol=0.04)  # of 25,600 draws
    assert not params["bias"].any()


@pytest.mark.parametrize(
    "sizes",
    [
        {"kernel_size": (3, 3, 3)},
        {"kernel_size": 3, "stride": (1, 1, 1)},
        {"kernel_size": "3"},
        {"kernel_size": 3, "stride": 1.5},
        {"kernel_size": 3, "padding": "same"},
    ],
)
def test_sizes_are_numbers_or_pairs(sizes):
    with pytest.raises(ScratchnetError, match="a whole number or a pair of them"):
        Conv2d(1, 2, **sizes)


def test_integers_of_numpy_are_numbers():
    assert Conv2d(1, 2, np.int64(3)).weight_shape == (3, 3, 1, 2)
