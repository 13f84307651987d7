"""Max-pooling, worked out by hand."""

import numpy as np
import pytest
from by_hand import assert_close, forward_and_backward, image

from scratchnet.errors import ScratchnetError
from scratchnet.layers import MaxPool2d

# Two by two windows; the last column fills none. The lower left window has three winners, the lower right one is
# negative throughout.
X = image(
    [1, 5, 2, 0, 9],
    [4, 3, 8, 7, 9],
    [6, 6, -1, -2, 9],
    [6, 0, -3, -4, 9],
)  # fmt: skip


def test_forward_and_backward_by_hand(device):
    y, (dx,), grads = forward_and_backward(MaxPool2d(2), {}, [X], image([1, 2], [3, 4]), device)
    assert_close(y, image([5, 8], [6, -1]))
    # each gradient goes to the first winner of its window, in row-major order
    assert_close(dx, image([0, 1, 0, 0, 0], [0, 0, 2, 0, 0], [3, 0, 4, 0, 0], [0, 0, 0, 0, 0]))
    assert grads == {}


def test_a_pixel_that_wins_two_windows_gets_both_gradients(device):
    x = image([0, 1, 0, 2], [0, 9, 0, 0], [3, 0, 0, 0])
    y, (dx,), _ = forward_and_backward(MaxPool2d(3, stride=1), {}, [x], image([2, 5]), device)
    assert_close(y, image([9, 9]))
    assert_close(dx, image([0, 0, 0, 0], [0, 2 + 5, 0, 0], [0, 0, 0, 0]))


def test_pixels_between_windows_count_for_nothing(device):
    x = image([1, 2, 9, 4, 3], [0, 0, 9, 0, 0], [9, 9, 9, 9, 9], [5, 0, 9, 0, 0], [0, 6, 9, 8, 7])
    y, (dx,), _ = forward_and_backward(MaxPool2d(2, stride=3), {}, [x], image([1, 2], [3, 4]), device)
    assert_close(y, image([2, 4], [6, 8]))
    assert_close(dx, image([0, 1, 0, 2, 0], [0] * 5, [0] * 5, [0] * 5, [0, 3, 0, 4, 0]))


def test_images_and_channels_are_pooled_apart(device):
    # one window of two pixels a row; x[i, j, n, c]: each image and channel has its winner elsewhere or another value
    x = np.zeros((2, 2, 2, 2))
    x[0, 0, 0, 0], x[0, 1, 0, 1], x[1, 0, 1, 0], x[1, 1, 1, 1] = 1, 2, 3, 4
    y, (dx,), _ = forward_and_backward(MaxPool2d(2), {}, [x], [[[[5, 6], [7, 8]]]], device)
    assert_close(y, [[[[1, 2], [3, 4]]]])
    expected = np.zeros((2, 2, 2, 2))
    expected[0, 0, 0, 0], expected[0, 1, 0, 1], expected[1, 0, 1, 0], expected[1, 1, 1, 1] = 5, 6, 7, 8
    assert_close(dx, expected)


@pytest.mark.parametrize("kernel_size", [(2, 2), 0, 2.5, "2"])
def test_a_window_is_one_whole_number(kernel_size):
    with pytest.raises(ScratchnetError, match="whole numbers, at least 1"):
        MaxPool2d(kernel_size)


def test_an_integer_of_numpy_is_a_whole_number():
    y, _ = MaxPool2d(np.int64(2), stride=np.int64(1)).forward({}, image([1, 5, 2], [4, 3, 8], [0, 0, 9]))
    assert_close(y, image([5, 8], [4, 9]))
