"""Convolution: the definition number by number, the algorithms on every device, and the choice between them."""

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchnet.backend import CPU, to_host
from scratchnet.errors import ScratchnetError
from scratchnet.layers import Conv2d
from scratchnet.ops import choose, conv
from scratchnet.ops.accelerated import definition_of
from scratchnet.ops.cuda import conv_cost as cuda_conv_cost
from scratchnet.ops.cuda import conv_im2col as cuda_conv_im2col
from scratchnet.ops.fast import conv_cost, conv_im2col
from scratchnet.ops.fast.conv_cost import Problem
from scratchnet.ops.windows import output_size


def number_by_number(x, weight, stride, padding):
    """Equation (1) as it is printed, in double precision."""
    (s, t), (p, q), (kh, kw, _, O) = stride, padding, weight.shape
    x = np.pad(x, ((p, p), (q, q), (0, 0), (0, 0)))
    Ho, Wo = output_size(x.shape[0], kh, s), output_size(x.shape[1], kw, t)
    y = np.empty((Ho, Wo, x.shape[2], O), np.result_type(x, weight, np.float64))
    for i, j in np.ndindex(Ho, Wo):
        y[i, j] = np.einsum("abnc,abco->no", x[i * s : i * s + kh, j * t : j * t + kw], weight)
    return y


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_forward_is_the_sum_number_by_number(seed):
    rng = np.random.default_rng(seed)
    (kh, kw, s, t), (p, q) = rng.integers(1, 4, 4).tolist(), rng.integers(0, 4, 2).tolist()
    H, W = (max(1, k - 2 * pad) + int(rng.integers(0, 6)) for k, pad in ((kh, p), (kw, q)))
    N, C, O = rng.integers(1, 4, 3).tolist()
    x, weight = rng.standard_normal((H, W, N, C)), rng.standard_normal((kh, kw, C, O))
    y, _ = definition_of(conv.forward)(x, weight, (s, t), (p, q), "offsets")
    np.testing.assert_allclose(y, number_by_number(x, weight, (s, t), (p, q)), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("block_bytes", [1, 700, 10**9])
def test_im2col_does_not_depend_on_the_size_of_its_blocks(device, block_bytes, monkeypatch, rng):
    x, weight, geometry = rng.standard_normal((7, 6, 2, 3)), rng.standard_normal((3, 2, 3, 4)), ((2, 1), (0, 0))
    for module in (conv_im2col, cuda_conv_im2col):
        monkeypatch.setattr(module, "COLUMN_BYTES", block_bytes)
    y, saved = conv.forward(device.upload(x), device.upload(weight), *geometry, "im2col")
    np.testing.assert_allclose(to_host(y), number_by_number(x, weight, *geometry), rtol=1e-12, atol=1e-12)
    dy = rng.standard_normal(y.shape)
    found = conv.backward(*map(device.upload, (dy, x, weight)), saved, *geometry, True)
    expected = definition_of(conv.backward)(dy, x, weight, saved, *geometry, True)
    for gradient, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(to_host(gradient), wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("algorithm", choose.CONVOLUTIONS)
def test_the_algorithms_agree_on_every_device(algorithm, device, rng):
    x, weight = (rng.standard_normal(shape).astype(np.float32) for shape in [(6, 5, 2, 3), (3, 2, 3, 4)])
    dy, geometry = rng.standard_normal((4, 4, 2, 4)).astype(np.float32), ((1, 1), (0, 0))
    y, saved = conv.forward(device.upload(x), device.upload(weight), *geometry, algorithm)
    found = [y, *conv.backward(*map(device.upload, (dy, x, weight)), saved, *geometry, True)]
    expected = definition_of(conv.backward)(dy, x, weight, saved, *geometry, True)
    for array, wanted in zip(found, [number_by_number(x, weight, *geometry), *expected], strict=True):
        np.testing.assert_allclose(to_host(array), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("algorithm", choose.CONVOLUTIONS)
def test_complex_numbers_take_the_definition(algorithm, rng):
    x, weight = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape) for shape in [(6, 5, 2, 3), (3, 2, 3, 4)])
    y, saved = conv.forward(x, weight, (1, 2), (0, 1), algorithm)
    assert saved.algorithm == "offsets"
    np.testing.assert_allclose(y, number_by_number(x, weight, (1, 2), (0, 1)), rtol=1e-12)


def test_the_kernel_is_not_flipped():
    x = np.arange(4.0).reshape(2, 2, 1, 1)
    weight = np.array([[1.0, 10.0], [100.0, 1000.0]]).reshape(2, 2, 1, 1)
    assert conv.forward(x, weight, (1, 1), (0, 0), "auto")[0].item() == 3210.0


@pytest.mark.parametrize(
    ("x_shape", "weight_shape", "algorithm"),
    [
        ((14, 14, 1, 32), (3, 3, 32, 64), "im2col"),  # one image: small products would be all overhead
        ((105, 105, 64, 1), (10, 10, 1, 64), "bands"),  # the first layer of the paper: nothing for dft to save
        ((48, 48, 64, 64), (7, 7, 64, 128), "dft"),  # its second
    ],
)
def test_auto_takes_what_costs_least(x_shape, weight_shape, algorithm):
    assert choose.choose_convolution(CPU, Problem.of(x_shape, weight_shape, (1, 1), (0, 0))) == algorithm


@pytest.mark.parametrize(
    ("x_shape", "weight_shape", "algorithm"),
    [
        ((105, 105, 256, 1), (10, 10, 1, 64), "im2col"),  # whose columns are never written for one channel
        ((48, 48, 256, 64), (7, 7, 64, 128), "dft"),
        ((24, 24, 160, 32), (3, 3, 32, 64), "im2col"),
        ((9, 9, 256, 128), (4, 4, 128, 256), "im2col"),  # too small to keep a GPU busy while more calls are queued
    ],
)
def test_auto_on_a_gpu_takes_one_of_the_two_that_suit_it(x_shape, weight_shape, algorithm, kernels):
    problem = Problem.of(x_shape, weight_shape, (1, 1), (0, 0))
    assert choose.choose_convolution(kernels, problem) == algorithm
    assert cuda_conv_cost.costs(problem).keys() <= choose.CONVOLUTIONS.keys()


def test_a_layer_asks_for_the_device_that_its_input_is_on(kernels, launched, rng):
    layer = Conv2d(1, 2, 3)
    params = {name: kernels.upload(value) for name, value in layer.init(rng).items()}
    layer.forward(params, kernels.upload(rng.random((105, 105, 2, 1)).astype(np.float32)))
    assert launched == ["one_channel_forward"]


BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "conv.py"


@pytest.mark.skipif(not BENCHMARK.exists(), reason="the benchmarks are not here, as in an installed package")
def test_auto_is_near_the_best_of_what_was_measured():
    spec = importlib.util.spec_from_file_location("benchmark_conv", BENCHMARK)
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    record = json.loads(BENCHMARK.with_suffix(".json").read_text())
    assert record["algorithms"] == benchmark.digest(), "the algorithms changed since: run python benchmarks/conv.py"

    chosen, best = {}, {}  # milliseconds, by the number of threads
    for row in record["rows"]:
        costs = conv_cost.costs(benchmark.problem_of(*row["shape"]), row["threads"])
        chosen.setdefault(row["threads"], []).append(row["milliseconds"][min(costs, key=costs.__getitem__)])
        best.setdefault(row["threads"], []).append(min(row["milliseconds"].values()))
    near = {threads: np.array(chosen[threads]) <= 1.1 * np.array(best[threads]) for threads in (1, 2)}
    assert len(near[1]) == len(near[2]) == len(benchmark.shapes()) >= 200
    assert near[1].sum() >= 205
    assert near[2].sum() >= 185
    assert sum(chosen[1]) <= 1.05 * sum(best[1])
    assert sum(chosen[2]) <= 1.11 * sum(best[2])


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
        costs = cuda_conv_cost.costs(Problem.of((H, W, N, C), (kh, kw, C, O), (stride, stride), (padding, padding)))
        chosen = min(costs, key=costs.__getitem__)
        if milliseconds[chosen] > 1.1 * min(milliseconds.values()):
            far.append((precision, numbers, milliseconds))
    assert len(measured) >= 24
    assert len(far) <= 1, far  # the model does not know of TF32


def test_an_unknown_algorithm_is_refused():
    with pytest.raises(
        ScratchnetError, match="algorithm 'fft' is not one of auto, offsets, im2col, bands, dft, winograd"
    ):
        Conv2d(1, 1, 3, algorithm="fft")


def test_padding_puts_zeros_around_the_image(rng):
    x = rng.standard_normal((2, 3, 1, 1))
    padded = conv.pad(x, (2, 1))
    assert padded.shape == (6, 5, 1, 1)
    np.testing.assert_array_equal(conv.unpad(padded, (2, 1)), x)
    assert np.count_nonzero(padded) == x.size
