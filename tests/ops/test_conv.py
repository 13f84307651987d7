"""The convolution algorithms agree with the definition and with each other."""

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchnet.backend import to_host
from scratchnet.errors import ScratchnetError
from scratchnet.layers import Conv2d
from scratchnet.ops import conv
from scratchnet.ops.fast import conv_cost, conv_im2col
from scratchnet.ops.windows import output_size

RELATIVE_ERROR = {np.float32: 2e-6, np.float64: 1e-12, np.complex128: 1e-12}


def definition(x: np.ndarray, weight: np.ndarray, stride: int, padding: int = 0) -> np.ndarray:
    """Equation (1), number by number, in double precision."""
    x = np.pad(x, ((padding, padding), (padding, padding), (0, 0), (0, 0)))
    kh, kw, _, out_channels = weight.shape
    n_rows, n_columns = output_size(x.shape[0], kh, stride), output_size(x.shape[1], kw, stride)
    y = np.empty((n_rows, n_columns, x.shape[2], out_channels), np.result_type(x, weight, np.float64))
    for i in range(n_rows):
        for j in range(n_columns):
            y[i, j] = np.einsum("abnc,abco->no", x[i * stride : i * stride + kh, j * stride : j * stride + kw], weight)
    return y


@st.composite
def problems(draw):
    """(x, weight, dy, stride, padding) of any small shape, float32 or float64."""
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    kh, kw, stride = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    padding = draw(st.integers(0, min(kh, kw) - 1))
    height, width = (max(1, k - 2 * padding) + draw(st.integers(0, 6)) for k in (kh, kw))
    n, c, o = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = rng.standard_normal((height, width, n, c)).astype(dtype)
    weight = rng.standard_normal((kh, kw, c, o)).astype(dtype)
    dy_shape = *(output_size(size + 2 * padding, k, stride) for size, k in ((height, kh), (width, kw))), n, o
    return x, weight, rng.standard_normal(dy_shape).astype(dtype), stride, padding


def assert_close(found: np.ndarray, expected: np.ndarray, dtype: type, terms: np.ndarray | None = None) -> None:
    """Within the relative error of the dtype, measured over the whole tensor.

    terms: the sums of the absolute values of all products, where those of `expected` may cancel: their rounding stays.
    """
    assert found.dtype == dtype
    size = np.linalg.norm(expected if terms is None else terms)
    assert np.linalg.norm(found - expected) <= RELATIVE_ERROR[dtype] * size


@pytest.mark.parametrize("algorithm", conv.ALGORITHMS)
@given(problem=problems())
@settings(max_examples=60, deadline=None)
def test_every_algorithm_is_the_definition(algorithm, problem):
    x, weight, dy, stride, padding = problem
    forward, backward = conv.ALGORITHMS[algorithm]
    y, kept = forward(x, weight, stride, padding)
    dx, dweight = backward(dy, x, weight, stride, padding, kept, True)
    wide = [array.astype(np.float64) for array in (x, weight, dy)]
    expected = by_definition(*wide, stride, padding)
    terms = by_definition(*map(np.abs, wide), stride, padding)
    for found, wanted, size in zip((y, dx, dweight), expected, terms, strict=True):
        assert_close(found, wanted, x.dtype.type, size)


def by_definition(
    x: np.ndarray, weight: np.ndarray, dy: np.ndarray, stride: int, padding: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """y, dx and dweight, without a fast algorithm."""
    dx, dweight = conv.backward_offsets(dy, conv.pad(x, padding), weight, stride)
    return definition(x, weight, stride, padding), conv.unpad(dx, padding), dweight


@pytest.mark.parametrize("algorithm", conv.ALGORITHMS)
@pytest.mark.parametrize("padding", [3, 7])
@pytest.mark.parametrize("stride", [1, 2])
def test_padding_may_be_wider_than_the_kernel(algorithm, padding, stride, rng):
    x, weight = rng.standard_normal((4, 3, 2, 3)), rng.standard_normal((3, 2, 3, 4))
    y, kept = conv.ALGORITHMS[algorithm].forward(x, weight, stride, padding)
    np.testing.assert_allclose(y, definition(x, weight, stride, padding), atol=1e-12)
    dy = rng.standard_normal(y.shape)
    dx, dweight = conv.ALGORITHMS[algorithm].backward(dy, x, weight, stride, padding, kept, True)
    expected = conv.backward_offsets(dy, conv.pad(x, padding), weight, stride)
    np.testing.assert_allclose(dx, conv.unpad(expected[0], padding), atol=1e-12)
    np.testing.assert_allclose(dweight, expected[1], atol=1e-12)


@pytest.mark.parametrize("block_bytes", [1, 700, 10**9])
def test_im2col_does_not_depend_on_the_size_of_its_blocks(device, block_bytes, monkeypatch, rng):
    x, weight = rng.standard_normal((7, 6, 2, 3)), rng.standard_normal((3, 2, 3, 4))
    for name in ("COLUMN_BYTES", "COLUMN_BYTES_ON_GPU"):
        monkeypatch.setattr(conv_im2col, name, block_bytes)
    there = [device.upload(x), device.upload(weight)]
    y = to_host(conv_im2col.forward_im2col(*there, 2))
    np.testing.assert_allclose(y, definition(x, weight, 2), rtol=1e-12)
    dy = rng.standard_normal(y.shape)
    for found, expected in zip(
        conv_im2col.backward_im2col(device.upload(dy), *there, 2), conv.backward_offsets(dy, x, weight, 2), strict=True
    ):
        np.testing.assert_allclose(to_host(found), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("algorithm", conv.ALGORITHMS)
def test_the_algorithms_agree_on_every_device(algorithm, device, rng):
    x, weight = (rng.standard_normal(shape).astype(np.float32) for shape in [(6, 5, 2, 3), (3, 2, 3, 4)])
    dy = rng.standard_normal((4, 4, 2, 4)).astype(np.float32)
    forward, backward = conv.ALGORITHMS[algorithm]
    there = [device.upload(array) for array in (dy, x, weight)]
    y, kept = forward(*there[1:], 1, 0)
    expected = [conv.forward_offsets(x, weight, 1), *conv.backward_offsets(dy, x, weight, 1)]
    for found, wanted in zip([y, *backward(*there, 1, 0, kept, True)], expected, strict=True):
        np.testing.assert_allclose(to_host(found), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("algorithm", conv.ALGORITHMS)
@pytest.mark.parametrize("stride", [1, 2])
def test_the_algorithms_take_complex_numbers(algorithm, stride, rng):
    x, weight = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape) for shape in [(6, 5, 2, 3), (3, 2, 3, 4)])
    y, kept = conv.ALGORITHMS[algorithm].forward(x, weight, stride, 0)
    assert_close(y, definition(x, weight, stride), np.complex128)
    dy = rng.standard_normal(y.shape) + 1j * rng.standard_normal(y.shape)
    found = conv.ALGORITHMS[algorithm].backward(dy, x, weight, stride, 0, kept, True)
    for gradient, expected in zip(found, conv.backward_offsets(dy, x, weight, stride), strict=True):
        assert_close(gradient, expected, np.complex128)


def test_the_kernel_is_not_flipped():
    x = np.arange(4.0).reshape(2, 2, 1, 1)
    weight = np.array([[1.0, 10.0], [100.0, 1000.0]]).reshape(2, 2, 1, 1)
    assert conv.forward_offsets(x, weight, 1).item() == 3210.0


@pytest.mark.parametrize(
    ("x_shape", "weight_shape", "algorithm"),
    [
        ((14, 14, 1, 32), (3, 3, 32, 64), "im2col"),  # one image: small products would be all overhead
        ((105, 105, 64, 1), (10, 10, 1, 64), "bands"),  # the first layer of the paper: nothing for dft to save
        ((48, 48, 64, 64), (7, 7, 64, 128), "dft"),  # its second
    ],
)
def test_auto_takes_what_costs_least(x_shape, weight_shape, algorithm):
    assert conv_cost.choose(x_shape, weight_shape, 1, 0) == algorithm


@pytest.mark.parametrize(
    ("x_shape", "weight_shape", "algorithm"),
    [
        ((105, 105, 256, 1), (10, 10, 1, 64), "im2col"),  # whose columns are never written for one channel
        ((48, 48, 256, 64), (7, 7, 64, 128), "dft"),
        ((24, 24, 160, 32), (3, 3, 32, 64), "im2col"),
        ((9, 9, 256, 128), (4, 4, 128, 256), "im2col"),  # too small to keep a GPU busy while more calls are queued
    ],
)
def test_auto_on_a_gpu_takes_one_of_the_two_that_suit_it(x_shape, weight_shape, algorithm):
    assert conv_cost.choose(x_shape, weight_shape, 1, 0, on_gpu=True) == algorithm
    assert conv_cost.costs_on_gpu(x_shape, weight_shape, 1, 0).keys() <= conv.ALGORITHMS.keys()


def test_a_layer_asks_for_the_device_that_its_input_is_on(kernels, launched, rng):
    layer = Conv2d(1, 2, 3)
    params = {name: kernels.upload(value) for name, value in layer.init(rng).items()}
    layer.forward(params, kernels.upload(rng.random((105, 105, 2, 1)).astype(np.float32)))
    assert launched == ["one_channel_forward"]


BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "conv.py"


@pytest.mark.skipif(not BENCHMARK.exists(), reason="the benchmarks are not here, as in an installed package")
def test_auto_is_near_the_best_of_what_was_measured(monkeypatch):
    spec = importlib.util.spec_from_file_location("benchmark_conv", BENCHMARK)
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    record = json.loads(BENCHMARK.with_suffix(".json").read_text())
    assert record["algorithms"] == benchmark.digest(), "the algorithms changed since: run python benchmarks/conv.py"
    monkeypatch.setattr(conv_cost, "thread_count", lambda: record["threads"])

    lost = {}  # milliseconds to the best, by whether that is near
    for row in record["rows"]:
        H, N, C, O, k, stride, padding, milliseconds = row.values()
        chosen = conv_cost.choose((H, H, N, C), (k, k, C, O), stride, padding)
        best = min(milliseconds.values())
        lost.setdefault(milliseconds[chosen] <= 1.15 * best, []).append(milliseconds[chosen] - best)
    assert len(record["rows"]) >= 48
    assert len(lost[True]) >= 40
    assert max(lost[False], default=0) <= 5


ON_GPU = BENCHMARK.with_name("gpu.json")


@pytest.mark.skipif(not ON_GPU.exists(), reason="the benchmarks are not here, as in an installed package")
def test_auto_on_a_gpu_is_near_the_best_of_what_was_measured():
    record = json.loads(ON_GPU.read_text())
    if (name := record["machine"]["gpu"]["name"]) != "NVIDIA H200":
        pytest.skip(f"the model is of an NVIDIA H200, and benchmarks/gpu.json of {name}")
    measured = {}  # milliseconds of both algorithms for each precision and shape
    for row in record["measurements"]["convolutions"]["rows"]:
        way, shape = row["what"].split(": ")
        numbers = tuple(int(number) for number in re.findall(r"\d+", shape))
        measured.setdefault((way.split(", ")[0], numbers), {})[row["algorithm"]] = row["sum_ms"]
    far = []  # from the best
    for (precision, numbers), milliseconds in measured.items():
        H, W, N, C, kh, kw, O, stride, padding = numbers
        chosen = conv_cost.choose((H, W, N, C), (kh, kw, C, O), stride, padding, on_gpu=True)
        if milliseconds[chosen] > 1.1 * min(milliseconds.values()):
            far.append((precision, numbers, milliseconds))
    assert len(measured) >= 24
    assert len(far) <= 1, far  # the model does not know of TF32


def test_weights_go_to_pytorchs_order_and_back(rng):
    weight = rng.standard_normal((2, 3, 4, 5))
    assert conv.to_torch(weight).shape == (5, 4, 2, 3)
    np.testing.assert_array_equal(conv.from_torch(conv.to_torch(weight)), weight)


def test_an_unknown_algorithm_is_refused():
    with pytest.raises(ScratchnetError, match="algorithm 'winograd' is none of auto, offsets, im2col, bands, dft"):
        Conv2d(1, 1, 3, algorithm="winograd")


def test_padding_puts_zeros_around_the_image(rng):
    x = rng.standard_normal((2, 3, 1, 1))
    padded = conv.pad(x, 2)
    assert padded.shape == (6, 7, 1, 1)
    np.testing.assert_array_equal(conv.unpad(padded, 2), x)
    assert np.count_nonzero(padded) == x.size
