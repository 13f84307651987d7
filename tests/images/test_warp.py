"""Each image goes through its own map and shifts, by bilinear interpolation, and outside it there is paper."""

import numpy as np
import pytest
from PIL import Image

from scratchnet.backend import to_device, to_host
from scratchnet.errors import BackendError
from scratchnet.images.warp import warp

IDENTITY = np.array([[1.0, 0, 0], [0, 1, 0]])
H, W = 11, 17


def random_maps(rng: np.random.Generator, count: int) -> np.ndarray:
    """Maps that bend and move an image much, yet leave most of it in view."""
    return IDENTITY + rng.normal(0, [0.2, 0.2, 2.0], (count, 2, 3))


def shift_by(x: float, y: float) -> np.ndarray:
    """The map of one image that moves x pixels to the right and y down: it is read from the left and above."""
    return IDENTITY[None] - np.array([[0, 0, x], [0, 0, y]])


def by_pillow(image: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """The same by Pillow, which counts pixels from the corner of the first one and not from its centre."""
    coefficients = inverse.copy()
    coefficients[:, 2] += 0.5 - inverse[:, :2].sum(axis=1) / 2
    picture = Image.fromarray(image.astype(np.float32))
    affine, bilinear = Image.Transform.AFFINE, Image.Resampling.BILINEAR
    return np.asarray(picture.transform(picture.size, affine, coefficients.ravel().tolist(), bilinear))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_identity_returns_the_input_exactly(device, dtype, rng):
    images = rng.random((3, H, W)).astype(dtype)
    warped = to_host(warp(to_device(images, device), np.stack([IDENTITY] * 3)))
    assert warped.dtype == dtype
    np.testing.assert_array_equal(warped, images)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-5), ("float64", 1e-6)])
def test_random_maps_agree_with_pillow(dtype, tolerance, rng):
    images = np.pad(rng.random((30, H - 2, W - 2)), ((0, 0), (1, 1), (1, 1)))  # in the border Pillow does not fade
    maps = random_maps(rng, 30)
    expected = np.stack([by_pillow(image, inverse) for image, inverse in zip(images, maps, strict=True)])
    np.testing.assert_allclose(warp(images.astype(dtype), maps), expected, rtol=0, atol=tolerance)


def test_every_image_goes_through_its_own_map_whatever_else_is_in_the_batch(rng):
    images, maps = rng.random((4, H, W)), random_maps(rng, 4)
    together = warp(images, maps)
    for n in range(4):
        np.testing.assert_array_equal(warp(images[n : n + 1], maps[n : n + 1])[0], together[n])


@pytest.mark.parametrize(("x", "y"), [(3, 0), (-2, 1), (0, -4), (1, 2)])
def test_a_shift_by_whole_pixels_leaves_paper_behind(x, y, rng):
    image = 1 + rng.random((1, H, W))
    expected = np.zeros_like(image)
    rows, columns = slice(max(y, 0), H + min(y, 0)), slice(max(x, 0), W + min(x, 0))
    expected[0, rows, columns] = image[0, slice(max(-y, 0), H - max(y, 0)), slice(max(-x, 0), W - max(x, 0))]
    np.testing.assert_array_equal(warp(image, shift_by(x, y)), expected)


def test_half_a_pixel_is_the_mean_of_two_neighbours_and_the_border_fades_into_paper(rng):
    image = rng.random((1, H, W))
    left_neighbour = np.pad(image, ((0, 0), (0, 0), (1, 0)))[:, :, :-1]
    np.testing.assert_allclose(warp(image, shift_by(0.5, 0)), (image + left_neighbour) / 2, rtol=1e-12)


@pytest.mark.parametrize(("x", "y"), [(W, 0), (-W, 0), (0, H), (0, -H), (1e3, -1e3), (-1e9, 1e9), (1e30, -np.inf)])
def test_an_image_shifted_out_of_sight_leaves_nothing(device, x, y, rng):
    ink = to_device(1 + rng.random((1, H, W), np.float32), device)
    assert not to_host(warp(ink, shift_by(x, y))).any()


def test_warping_is_linear_in_the_image(rng):
    one, other, maps = rng.random((5, H, W)), rng.random((5, H, W)), random_maps(rng, 5)
    np.testing.assert_allclose(
        warp(2 * one - 3 * other, maps), 2 * warp(one, maps) - 3 * warp(other, maps), rtol=0, atol=1e-12
    )


def test_every_device_warps_alike_and_leaves_the_images_as_they_were(device, rng):
    images, maps = rng.random((6, H, W), np.float32), random_maps(rng, 6)
    placed = to_device(images, device)
    np.testing.assert_allclose(to_host(warp(placed, maps)), warp(images, maps), rtol=0, atol=1e-6)
    np.testing.assert_array_equal(to_host(placed), images)


def test_no_images_give_no_images(device):
    nothing = to_device(np.zeros((0, H, W), np.float32), device)
    assert warp(nothing, np.zeros((0, 2, 3))).shape == (0, H, W)


def looked_up(image: np.ndarray, x: float, y: float) -> float:
    """The value of one image between its pixels, from the definition of bilinear interpolation."""
    value = 0.0
    for row in (int(np.floor(y)), int(np.floor(y)) + 1):
        for column in (int(np.floor(x)), int(np.floor(x)) + 1):
            if 0 <= row < H and 0 <= column < W:
                value += image[row, column] * (1 - abs(x - column)) * (1 - abs(y - row))
    return value


def test_a_displacement_is_added_to_where_each_pixel_is_looked_up(rng):
    images, maps, shifts = rng.random((2, H, W)), random_maps(rng, 2), rng.normal(0, 2, (2, 2, H, W))
    warped = warp(images, maps, displacement=shifts)
    for n, i, j in np.ndindex(2, H, W):
        x, y = maps[n] @ [j, i, 1] + shifts[n, :, i, j]
        assert warped[n, i, j] == pytest.approx(looked_up(images[n], x, y), abs=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_displacement_of_zero_changes_no_bit(device, dtype, rng):
    images, maps = to_device(rng.random((3, H, W)).astype(dtype), device), random_maps(rng, 3)
    nowhere = to_device(np.zeros((3, 2, H, W), dtype), device)
    np.testing.assert_array_equal(to_host(warp(images, maps, displacement=nowhere)), to_host(warp(images, maps)))


def test_every_device_displaces_alike(device, rng):
    images, maps = rng.random((4, H, W), np.float32), random_maps(rng, 4)
    shifts = rng.normal(0, 2, (4, 2, H, W)).astype(np.float32)
    placed = warp(to_device(images, device), maps, displacement=to_device(shifts, device))
    # Compilers that contract a * b + c round the place that is read otherwise: each of its four terms up to four times,
    # on either device. The pixels differ by less than 1.
    reach = np.abs(maps) @ [W, H, 1] + np.abs(shifts).max(axis=(2, 3))
    rounding = 4 * np.finfo(np.float32).eps * reach.sum(axis=1).max()
    np.testing.assert_allclose(to_host(placed), warp(images, maps, displacement=shifts), rtol=0, atol=rounding)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("displaced", [False, True])
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 1, 9), (2, 8, 1), (5, 7, 13), (1, 33, 31)])
def test_images_of_any_shape_are_warped_as_on_the_host(device, shape, displaced, dtype, rng):
    N, H, W = shape
    images, maps = rng.standard_normal(shape).astype(dtype), random_maps(rng, N)
    shifts = rng.normal(0, 2, (N, 2, H, W)).astype(dtype) if displaced else None
    found = warp(to_device(images, device), maps, displacement=to_device(shifts, device) if displaced else None)
    assert found.dtype == dtype
    rounding = 20 * max(H, W) * np.finfo(dtype).eps  # of a place in the image, and pixels differ by a few
    np.testing.assert_allclose(to_host(found), warp(images, maps, displacement=shifts), rtol=0, atol=rounding)


@pytest.mark.parametrize("device", ["kernels", pytest.param("cuda", marks=pytest.mark.gpu)], indirect=True)
def test_a_kernel_reads_nothing_where_a_displacement_is_nan_and_shows_it(device, rng):
    images, shifts = rng.random((2, H, W)), np.zeros((2, 2, H, W))
    shifts[1, 0, 3, 4] = shifts[1, 1, 5, 6] = np.nan
    expected = images.copy()
    expected[1, [3, 5], [4, 6]] = np.nan
    warped = warp(to_device(images, device), np.stack([IDENTITY] * 2), displacement=to_device(shifts, device))
    np.testing.assert_array_equal(to_host(warped), expected)


@pytest.mark.parametrize("device", ["strict"], indirect=True)
def test_a_displacement_on_another_device_is_refused(device, rng):
    with pytest.raises(BackendError, match="live on different devices"):
        warp(to_device(rng.random((1, H, W)), device), IDENTITY[None], displacement=np.zeros((1, 2, H, W)))
