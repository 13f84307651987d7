"""Backward answers the forward that was made, whatever has become of the process in between."""

import numpy as np
import pytest

from scratchnet.backend import set_precision
from scratchnet.layers import Conv2d
from scratchnet.ops import choose
from scratchnet.planted import cases as gradcases

CASES = gradcases.CASES


def threads(monkeypatch, count):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    monkeypatch.setenv("SCRATCHNET_THREADS", str(count))


def tensors(answer):
    """The arrays of (dx or (dx1, dx2), grads)."""
    dx, grads = answer
    return [*(dx if isinstance(dx, tuple) else (dx,)), *grads.values()]


@pytest.mark.parametrize("forward_choice", choose.CONVOLUTIONS)
@pytest.mark.parametrize("backward_choice", choose.CONVOLUTIONS)
def test_conv2d_goes_back_by_the_algorithm_it_came_by(forward_choice, backward_choice, monkeypatch, rng):
    layer, x = Conv2d(3, 4, 3, stride=2, padding=1), rng.standard_normal((9, 8, 2, 3))
    params = layer.init(rng, np.float64)
    monkeypatch.setattr(choose, "choose_convolution", lambda *_: forward_choice)
    y, cache = layer.forward(params, x)
    dy = rng.standard_normal(y.shape)
    expected = layer.backward(dy, cache)
    monkeypatch.setattr(choose, "choose_convolution", lambda *_: backward_choice)
    for found, wanted in zip(tensors(layer.backward(dy, cache)), tensors(expected), strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("shape", [(12, 12, 2, 4, 16, 7, 2), (16, 12, 1, 8, 8, 5, 1), (20, 20, 8, 1, 8, 3, 1)])
@pytest.mark.parametrize("counts", [(1, 2), (2, 1), (8, 1)])
def test_another_number_of_threads_in_backward_gives_the_same_gradients(shape, counts, monkeypatch, rng):
    H, W, N, C, O, k, stride = shape
    layer, x = Conv2d(C, O, k, stride=stride), rng.standard_normal((H, W, N, C))
    params = layer.init(rng, np.float64)
    threads(monkeypatch, counts[0])
    y, cache = layer.forward(params, x)
    dy = rng.standard_normal(y.shape)
    expected = layer.backward(dy, cache)
    threads(monkeypatch, counts[1])
    for found, wanted in zip(tensors(layer.backward(dy, cache)), tensors(expected), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_no_layer_minds_what_the_process_becomes_between_forward_and_backward(name, monkeypatch, rng):
    case = CASES[name]
    params, inputs = case.draw(rng)
    threads(monkeypatch, 1)
    y, cache = case.layer.forward(params, *inputs, **case.options)
    dy = np.asarray(rng.standard_normal(y.shape), y.dtype)
    expected = case.layer.backward(dy, cache)
    threads(monkeypatch, 3)
    set_precision("tf32")
    monkeypatch.setenv("SCRATCHNET_DEVICE", "cuda")
    for found, wanted in zip(tensors(case.layer.backward(dy, cache)), tensors(expected), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)
