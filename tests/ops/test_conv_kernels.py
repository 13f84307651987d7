"""The kernels of im2col and of images of one channel: any shape, both precisions, as the definition in float64."""

import numpy as np
import pytest

from scratchnet.backend import to_host
from scratchnet.errors import BackendError
from scratchnet.ops import conv
from scratchnet.ops.accelerated import definition_of
from scratchnet.ops.conv import Saved
from scratchnet.ops.cuda import conv_im2col, conv_one_channel
from scratchnet.ops.cuda import im2col as cuda_im2col
from scratchnet.ops.fast import conv_im2col as fast_im2col
from scratchnet.ops.windows import output_size

with_kernels = pytest.mark.parametrize(
    "device", ["kernels", pytest.param("cuda", marks=pytest.mark.gpu)], indirect=True
)
both_precisions = pytest.mark.parametrize("dtype", [np.float32, np.float64])

SAVED, NO_PADDING = Saved("im2col"), (0, 0)


def forward(x, weight, stride):
    return conv_im2col.forward(x, weight, stride, NO_PADDING)[0]


def backward(dy, x, weight, stride, needs_dx=True):
    return conv_im2col.backward(dy, x, weight, SAVED, stride, NO_PADDING, needs_dx)


def definition_forward(x, weight, stride):
    return definition_of(conv.forward)(x, weight, stride, NO_PADDING, "offsets")[0]


def definition_backward(dy, x, weight, stride):
    return definition_of(conv.backward)(dy, x, weight, SAVED, stride, NO_PADDING, True)


# (rows and columns more than the kernel has, N, O, kh, kw, stride): at the edges of tiles, and off them at random
EDGES = [
    (0, 0, 1, 1, 1, 1, 1), (0, 0, 70, 70, 11, 11, 3), (0, 3, 32, 64, 4, 4, 1), (1, 1, 32, 65, 1, 16, 1),
    (2, 0, 43, 63, 17, 1, 2), (0, 7, 16, 1, 12, 11, 1), (3, 5, 2, 17, 1, 1, 2), (4, 4, 1, 16, 8, 16, 3),
]  # fmt: skip
draw = np.random.default_rng(3)
RANDOM = [
    (*draw.integers(0, 5, 2), *draw.integers(1, 71, 2), *draw.integers(1, 12, 2), draw.integers(1, 4))
    for _ in range(16)
]
every_shape = pytest.mark.parametrize("shape", [tuple(map(int, shape)) for shape in EDGES + RANDOM], ids=str)


def strides(shape):
    """Along rows and along columns, which is one less where that is possible."""
    return shape[-1], max(1, shape[-1] - 1)


def problem(shape, channels, dtype, rng):
    """(dy, x, weight) of a convolution."""
    rows, columns, N, O, kh, kw, *_ = shape
    H, W = kh + rows, kw + columns
    s, t = strides(shape)
    dy_shape = output_size(H, kh, s), output_size(W, kw, t), N, O
    shapes = dy_shape, (H, W, N, channels), (kh, kw, channels, O)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def assert_sums(found, expected, magnitude, summands):
    """Each number within what rounding can do to a sum of so many terms, whose absolute values add up to magnitude."""
    found = to_host(found)
    assert found.shape == expected.shape
    assert (np.abs(found - expected) <= summands * np.finfo(found.dtype).eps * magnitude).all()


def forward_and_magnitude(x, weight, stride):
    """y in float64, and the same of absolute values."""
    x, weight = x.astype(np.float64), weight.astype(np.float64)
    return definition_forward(x, weight, stride), definition_forward(np.abs(x), np.abs(weight), stride)


def backward_and_magnitude(dy, x, weight, stride):
    """(dx, dweight) in float64, and the same of absolute values."""
    wide = [array.astype(np.float64) for array in (dy, x, weight)]
    return definition_backward(*wide, stride), definition_backward(*map(np.abs, wide), stride)


@with_kernels
@both_precisions
@every_shape
def test_one_channel_forward_is_the_definition(device, dtype, shape, rng):
    _, x, weight = problem(shape, 1, dtype, rng)
    stride = strides(shape)
    y = forward(device.upload(x), device.upload(weight), stride)
    assert y.dtype == dtype
    assert_sums(y, *forward_and_magnitude(x, weight, stride), summands=weight[..., 0].size)


@with_kernels
@both_precisions
@every_shape
def test_one_channel_dweight_is_the_definition(device, dtype, shape, rng):
    dy, x, weight = problem(shape, 1, dtype, rng)
    stride = strides(shape)
    dx, dweight = backward(*map(device.upload, (dy, x, weight)), stride, needs_dx=False)
    assert dx is None
    assert dweight.dtype == dtype
    (_, expected), (_, magnitude) = backward_and_magnitude(dy, x, weight, stride)
    assert_sums(dweight, expected, magnitude, summands=dy[..., 0].size)


@with_kernels
@pytest.mark.parametrize("part", [7, 16, 50])
def test_dweight_does_not_depend_on_how_its_sums_are_split(device, part, monkeypatch, rng):
    monkeypatch.setattr(conv_one_channel, "PART", part)
    dy, x, weight = problem((0, 1, 37, 66, 12, 11, 1), 1, np.float64, rng)
    _, dweight = backward(*map(device.upload, (dy, x, weight)), (1, 1), needs_dx=False)
    np.testing.assert_allclose(to_host(dweight), definition_backward(dy, x, weight, (1, 1))[1], rtol=0, atol=1e-12)


@with_kernels
def test_dweight_adds_up_few_windows_at_a_time_to_be_accurate_in_float32(device, monkeypatch):
    """Added up one after the other, these equal numbers would be off by 15 millionths."""
    monkeypatch.setattr(conv_one_channel, "PART", 32)
    x, dy = np.full((32, 32, 2, 1), 0.1, np.float32), np.ones((32, 32, 2, 1), np.float32)
    weight = np.ones((1, 1, 1, 1), np.float32)
    _, dweight = backward(*map(device.upload, (dy, x, weight)), (1, 1), needs_dx=False)
    assert to_host(dweight).item() == pytest.approx(2048 * np.float64(np.float32(0.1)), rel=2e-6)


@with_kernels
@both_precisions
@every_shape
def test_several_channels_are_the_definition(device, dtype, shape, rng):
    *size, N, O, kh, kw, last = shape
    stride = strides(shape)
    dy, x, weight = problem((*size, N % 5 + 1, O % 7 + 1, kh, kw, last), N % 4 + 2, dtype, rng)
    there = [device.upload(array) for array in (dy, x, weight)]
    y = forward(*there[1:], stride)
    assert_sums(y, *forward_and_magnitude(x, weight, stride), summands=weight[..., 0].size)
    dx, dweight = backward(*there, stride)
    expected, magnitude = backward_and_magnitude(dy, x, weight, stride)
    assert_sums(dx, expected[0], magnitude[0], summands=weight[:, :, 0].size)
    assert_sums(dweight, expected[1], magnitude[1], summands=dy[..., 0].size)


@with_kernels
@both_precisions
@every_shape
def test_columns_and_their_way_back_have_the_bits_of_numpy(device, dtype, shape, rng):
    *size, N, O, kh, kw, last = shape
    stride = strides(shape)
    _, x, _ = problem((*size, N % 5 + 1, O, kh, kw, last), N % 4 + 1, dtype, rng)
    columns = fast_im2col.im2col(x, (kh, kw), stride)
    np.testing.assert_array_equal(to_host(cuda_im2col.im2col(device.upload(x), (kh, kw), stride)), columns)
    columns = rng.standard_normal(columns.shape).astype(dtype)
    there = device.upload(x)
    cuda_im2col.add_col2im(device.upload(columns), there, (kh, kw), stride)
    fast_im2col.add_col2im(columns, x, (kh, kw), stride)
    np.testing.assert_array_equal(to_host(there), x)


@with_kernels
def test_one_channel_writes_no_columns(device, monkeypatch, rng):
    monkeypatch.setattr(conv_im2col, "im2col", lambda *args: pytest.fail("columns were written"))
    dy, x, weight = map(device.upload, problem((3, 4, 2, 5, 3, 2, 1), 1, np.float32, rng))
    forward(x, weight, (1, 1))
    backward(dy, x, weight, (1, 1), needs_dx=False)


@with_kernels
@pytest.mark.parametrize("channels", [1, 3])
def test_one_channel_or_several_may_need_dx(device, channels, rng):
    dy, x, weight = problem((3, 4, 2, 5, 3, 2, 2), channels, np.float64, rng)
    found = backward(*map(device.upload, (dy, x, weight)), (2, 1))
    for gradient, expected in zip(found, definition_backward(dy, x, weight, (2, 1)), strict=True):
        np.testing.assert_allclose(to_host(gradient), expected, rtol=0, atol=1e-12)


@with_kernels
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("needs_dx", [False, True])
def test_no_images_give_no_maps_and_gradients_of_zero(device, channels, needs_dx, rng):
    dy, x, weight = map(device.upload, problem((3, 4, 0, 5, 3, 2, 1), channels, np.float32, rng))
    assert forward(x, weight, (1, 1)).shape == (4, 5, 0, 5)
    dx, dweight = backward(dy, x, weight, (1, 1), needs_dx)
    assert (dx.shape if needs_dx else dx) == (x.shape if needs_dx else None)
    np.testing.assert_array_equal(to_host(dweight), np.zeros((3, 2, channels, 5)))


@with_kernels
def test_arrays_in_any_memory_order_are_taken(device, rng):
    dy, x, weight = problem((3, 4, 6, 5, 3, 2, 1), 1, np.float64, rng)
    there = [device.upload(np.ascontiguousarray(array.T)).T for array in (dy, x, weight)]
    y = forward(*there[1:], (1, 1))
    np.testing.assert_allclose(to_host(y), definition_forward(x, weight, (1, 1)), rtol=0, atol=1e-12)
    _, dweight = backward(*there, (1, 1), needs_dx=False)
    np.testing.assert_allclose(to_host(dweight), definition_backward(dy, x, weight, (1, 1))[1], rtol=0, atol=1e-12)


@with_kernels
def test_arrays_on_different_devices_are_refused(device, rng):
    dy, x, weight = problem((3, 4, 2, 5, 3, 2, 1), 1, np.float32, rng)
    with pytest.raises(BackendError, match="live on different devices"):
        forward(device.upload(x), weight, (1, 1))
    with pytest.raises(BackendError, match="live on different devices"):
        backward(device.upload(dy), device.upload(x), weight, (1, 1), needs_dx=False)
