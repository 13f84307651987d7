"""Resizing is Pillow's bilinear with antialiasing, as two matrix products."""

import numpy as np
import pytest
from PIL import Image

from scratchnet.backend import to_device, to_host
from scratchnet.images.resize import resize, resize_matrix

RESIZES = [  # (H, W) and the size wanted
    ((105, 105), 48),
    ((105, 105), 35),
    ((28, 28), 35),
    ((35, 35), 105),
    ((20, 31), 24),
    ((5, 7), 1),
    ((1, 1), 4),
    ((9, 2), 9),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("shape", "size"), RESIZES, ids=str)
def test_up_and_down_agree_with_pillow(device, shape, size, dtype, rng):
    images = rng.random((3, *shape)).astype(dtype)
    pictures = [Image.fromarray(image.astype(np.float32)) for image in images]
    expected = [np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR)) for picture in pictures]
    resized = to_host(resize(to_device(images, device), size))
    assert resized.dtype == dtype
    np.testing.assert_allclose(resized, np.stack(expected), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("size_in", "size_out"), [(105, 48), (105, 1), (28, 35), (35, 105), (1, 6), (7, 7), (3, 100)])
def test_every_output_pixel_is_a_weighted_mean_of_input_pixels(size_in, size_out):
    weights = resize_matrix(size_in, size_out)
    assert weights.shape == (size_out, size_in)
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-12)


def test_images_of_the_right_size_are_returned_as_they_are(device, rng):
    images = to_device(rng.random((2, 9, 9), np.float32), device)
    assert resize(images, 9) is images


def test_only_square_images_of_the_right_size_are_left_alone(rng):
    assert resize(rng.random((2, 9, 8)), 9).shape == (2, 9, 9)


def test_no_images_give_no_images(device):
    assert resize(to_device(np.zeros((0, 5, 7), np.float32), device), 4).shape == (0, 4, 4)
