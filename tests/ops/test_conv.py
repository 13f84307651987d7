"""The convolution algorithms agree with the definition and with each other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchnet.backend import to_host
from scratchnet.errors import ScratchnetError
from scratchnet.layers import Conv2d
from scratchnet.ops import conv
from scratchnet.ops.windows import output_size

RELATIVE_ERROR = {np.float32: 2e-6, np.float64: 1e-12, np.complex128: 1e-12}


def definition(x: np.ndarray, weight: np.ndarray, stride: int) -> np.ndarray:
    """Equation (1), number by number, in double precision."""
    kh, kw, _, out_channels = weight.shape
    n_rows, n_columns = output_size(x.shape[0], kh, stride), output_size(x.shape[1], kw, stride)
    y = np.empty((n_rows, n_columns, x.shape[2], out_channels), np.result_type(x, weight, np.float64))
    for i in range(n_rows):
        for j in range(n_columns):
            y[i, j] = np.einsum("abnc,abco->no", x[i * stride : i * stride + kh, j * stride : j * stride + kw], weight)
    return y


@st.composite
def problems(draw):
    """(x, weight, dy, stride) of any small shape, float32 or float64."""
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    kh, kw, stride = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    height, width = kh + draw(st.integers(0, 6)), kw + draw(st.integers(0, 6))
    n, c, o = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = rng.standard_normal((height, width, n, c)).astype(dtype)
    weight = rng.standard_normal((kh, kw, c, o)).astype(dtype)
    dy_shape = output_size(height, kh, stride), output_size(width, kw, stride), n, o
    return x, weight, rng.standard_normal(dy_shape).astype(dtype), stride


def assert_close(found: np.ndarray, expected: np.ndarray, dtype: type) -> None:
    """Within the relative error of the dtype, measured over the whole tensor."""
    assert found.dtype == dtype
    assert np.linalg.norm(found - expected) <= RELATIVE_ERROR[dtype] * np.linalg.norm(expected)


@pytest.mark.parametrize("algorithm", conv.ALGORITHMS)
@given(problem=problems())
@settings(max_examples=60, deadline=None)
def test_every_algorithm_is_the_definition(algorithm, problem):
    x, weight, dy, stride = problem
    forward, backward = conv.ALGORITHMS[algorithm]
    wide = x.astype(np.float64), weight.astype(np.float64)
    y, kept = forward(x, weight, stride)
    assert_close(y, definition(*wide, stride), x.dtype.type)
    dx, dweight = backward(dy, x, weight, stride, kept, True)
    expected = conv.backward_offsets(dy.astype(np.float64), *wide, stride)
    assert_close(dx, expected[0], x.dtype.type)
    assert_close(dweight, expected[1], x.dtype.type)


@pytest.mark.parametrize("block_bytes", [1, 700, 10**9])
def test_im2col_does_not_depend_on_the_size_of_its_blocks(block_bytes, monkeypatch, rng):
    x, weight = rng.standard_normal((7, 6, 2, 3)), rng.standard_normal((3, 2, 3, 4))
    monkeypatch.setattr(conv, "COLUMN_BYTES", block_bytes)
    y = conv.forward_im2col(x, weight, 2)
    np.testing.assert_allclose(y, definition(x, weight, 2), rtol=1e-12)
    dy = rng.standard_normal(y.shape)
    for found, expected in zip(
        conv.backward_im2col(dy, x, weight, 2), conv.backward_offsets(dy, x, weight, 2), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("algorithm", conv.ALGORITHMS)
def test_the_algorithms_agree_on_every_device(algorithm, device, rng):
    x, weight = (rng.standard_normal(shape).astype(np.float32) for shape in [(6, 5, 2, 3), (3, 2, 3, 4)])
    dy = rng.standard_normal((4, 4, 2, 4)).astype(np.float32)
    forward, backward = conv.ALGORITHMS[algorithm]
    there = [device.upload(array) for array in (dy, x, weight)]
    y, kept = forward(*there[1:], 1)
    expected = [conv.forward_offsets(x, weight, 1), *conv.backward_offsets(dy, x, weight, 1)]
    for found, wanted in zip([y, *backward(*there, 1, kept, True)], expected, strict=True):
        np.testing.assert_allclose(to_host(found), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("algorithm", conv.ALGORITHMS)
@pytest.mark.parametrize("stride", [1, 2])
def test_the_algorithms_take_complex_numbers(algorithm, stride, rng):
    x, weight = (
        rng.standard_normal(shape) + 1j * rng.standard_normal(shape) for shape in [(6, 5, 2, 3), (3, 2, 3, 4)]
    )
    y, kept = conv.ALGORITHMS[algorithm].forward(x, weight, stride)
    assert_close(y, definition(x, weight, stride), np.complex128)
    dy = rng.standard_normal(y.shape) + 1j * rng.standard_normal(y.shape)
    found = conv.ALGORITHMS[algorithm].backward(dy, x, weight, stride, kept, True)
    for gradient, expected in zip(found, conv.backward_offsets(dy, x, weight, stride), strict=True):
        assert_close(gradient, expected, np.complex128)


def test_the_kernel_is_not_flipped():
    x = np.arange(4.0).reshape(2, 2, 1, 1)
    weight = np.array([[1.0, 10.0], [100.0, 1000.0]]).reshape(2, 2, 1, 1)
    assert conv.forward_offsets(x, weight, 1).item() == 3210.0


@pytest.mark.parametrize(
    ("x_shape", "weight_shape", "algorithm"),
    [
        ((12, 12, 64, 32), (1, 1, 32, 32), "offsets"),  # nothing to write side by side
        ((14, 14, 160, 32), (3, 3, 32, 64), "rows"),
        ((48, 48, 64, 64), (7, 7, 64, 128), "dft"),  # the second layer of the paper
    ],
)
def test_auto_takes_what_costs_least(x_shape, weight_shape, algorithm):
    assert conv.choose(x_shape, weight_shape, 1) == algorithm


def test_weights_go_to_pytorchs_order_and_back(rng):
    weight = rng.standard_normal((2, 3, 4, 5))
    assert conv.to_torch(weight).shape == (5, 4, 2, 3)
    np.testing.assert_array_equal(conv.from_torch(conv.to_torch(weight)), weight)


def test_an_unknown_algorithm_is_refused():
    with pytest.raises(ScratchnetError, match="algorithm 'winograd' is none of auto, offsets, im2col, rows, dft"):
        Conv2d(1, 1, 3, algorithm="winograd")


def test_padding_puts_zeros_around_the_image(rng):
    x = rng.standard_normal((2, 3, 1, 1))
    padded = conv.pad(x, 2)
    assert padded.shape == (6, 7, 1, 1)
    np.testing.assert_array_equal(conv.unpad(padded, 2), x)
    assert np.count_nonzero(padded) == x.size
