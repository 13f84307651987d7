"""Convolution, pooling and ReLU in one layer: what the three give one after the other."""

from dataclasses import replace

import numpy as np
import pytest

from scratchnet.backend import to_host
from scratchnet.errors import ScratchnetError, ShapeError
from scratchnet.layers import Conv2d, ConvPoolReLU, MaxPool2d, ReLU, Sequential


@pytest.mark.parametrize("pooling", [MaxPool2d(2), MaxPool2d(3, stride=2), MaxPool2d(3, stride=1), MaxPool2d(16)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_gives_what_the_three_layers_give(pooling, dtype, device, rng):
    conv = Conv2d(2, 5, 3, padding=1)
    three = Sequential({"conv": conv, "pool": pooling, "relu": ReLU()})
    x = rng.standard_normal((17, 16, 3, 2)).astype(dtype)
    weight = rng.standard_normal(conv.weight_shape).astype(dtype)
    bias = -np.median(pooling.forward({}, conv.forward({"weight": weight, "bias": np.zeros(5, dtype)}, x)[0])[0])
    bias = (bias + rng.standard_normal(5)).astype(dtype)  # ReLU stops about half
    params, x = {"weight": device.upload(weight), "bias": device.upload(bias)}, device.upload(x)
    expected, cache = three.forward({f"conv.{name}": value for name, value in params.items()}, x)
    dy = device.upload(rng.standard_normal(expected.shape).astype(dtype))
    expected_dx, expected_grads = three.backward(dy, cache)

    layer = ConvPoolReLU(replace(conv, bias=False), pooling)
    y, cache = layer.forward(params, x)
    dx, grads = layer.backward(dy, cache)
    tolerance = 1e-4 if dtype == np.float32 else 1e-12
    for found, wanted in [(y, expected), (dx, expected_dx), *((grads[n], expected_grads[f"conv.{n}"]) for n in grads)]:
        np.testing.assert_allclose(to_host(found), to_host(wanted), rtol=tolerance, atol=tolerance)
    assert (to_host(y) == 0).any(), "ReLU was not tried"


def test_where_the_sum_is_zero_nothing_passes_back(device):
    layer, zero = ConvPoolReLU(Conv2d(1, 1, 1, bias=False), MaxPool2d(2)), np.zeros((2, 2, 1, 1))
    params = {"weight": device.upload(np.ones((1, 1, 1, 1))), "bias": device.upload(np.zeros(1))}
    y, cache = layer.forward(params, device.upload(zero))
    dx, grads = layer.backward(device.upload(np.ones((1, 1, 1, 1))), cache)
    assert not to_host(y).any()
    assert not to_host(dx).any()
    assert not to_host(grads["bias"]).any()


def test_a_map_smaller_than_the_window_is_refuse(rng):
    layer = ConvPoolReLU(Conv2d(1, 1, 3, bias=False), MaxPool2d(3))
    with pytest.raises(ShapeError, match=r"MaxPool2d: x is \(H=2, W=3\), smaller than the window"):
        layer.forward(layer.init(rng), np.zeros((4, 5, 1, 1), np.float32))


def test_the_convolution_inside_has_no_bias():
    with pytest.raises(ScratchnetError, match="give it Conv2d"):
        ConvPoolReLU(Conv2d(1, 1, 3), MaxPool2d(3))
