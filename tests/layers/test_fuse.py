"""Layers in a row as one: the same network, in fewer passes."""

from dataclasses import replace

import numpy as np
import pytest

from scratchnet.backend import to_device, to_host
from scratchnet.layers import BatchNorm2d, Conv2d, ConvPoolReLU, MaxPool2d, ReLU, Sequential
from scratchnet.layers.fuse import fuse
from scratchnet.layers.norm_relu import NormReLU
from scratchnet.losses import PairCrossEntropy
from scratchnet.models.networks import compact, koch2015
from scratchnet.train.gradients import gradients

CONV, POOL, NORM = Conv2d(2, 5, 3, padding=1), MaxPool2d(2), BatchNorm2d(5)


@pytest.mark.parametrize(
    ("layers", "fused"),
    [
        (
            {"conv": CONV, "pool": POOL, "relu": ReLU(), "conv2": Conv2d(5, 5, 3)},
            {"conv": ConvPoolReLU(replace(CONV, bias=False), POOL), "conv2": Conv2d(5, 5, 3)},
        ),
        ({"conv": CONV, "norm": NORM, "relu": ReLU()}, {"conv": CONV, "norm": NormReLU(NORM)}),
        ({"conv": CONV, "relu": ReLU(), "norm": NORM}, {"conv": CONV, "relu": ReLU(), "norm": NORM}),
        ({"conv": replace(CONV, bias=False), "pool": POOL, "relu": ReLU()}, None),
    ],
)
def test_rows_that_one_layer_computes_become_one(layers, fused):
    assert list(fuse(Sequential(layers)).layers.items()) == list((fused or layers).items())


def test_what_is_no_sequential_stays_as_it_is():
    assert fuse(ReLU()) == ReLU()


@pytest.mark.parametrize("make", [koch2015, compact])
def test_a_network_computes_what_its_layers_compute_one_by_one(make, rng):
    options = {"image_size": 65, "channels": (2, 3, 2, 3)} if make is koch2015 else {"image_size": 16, "width": 2}
    net = make(features=4, device="cpu", **options)
    net.params = {name: value.astype(np.float64) for name, value in net.params.items()}
    a, b = rng.random((2, 5, net.image_size, net.image_size))
    labels = rng.integers(0, 2, 5).astype(np.float64)
    found = gradients(net, PairCrossEntropy(), a, b, labels)
    logits, cache = net.network.forward(net.params, a, b, training=True)
    loss, loss_cache = PairCrossEntropy().forward(logits, labels)
    _, expected = net.network.backward(PairCrossEntropy().backward(1.0, loss_cache), cache)
    np.testing.assert_allclose(found.loss, loss, rtol=1e-12)
    assert found.params.keys() == expected.keys()
    for name, gradient in expected.items():
        np.testing.assert_allclose(found.params[name], gradient, rtol=1e-9, atol=1e-12, err_msg=name)


def test_a_network_on_a_device_with_kernels_computes_the_same(kernels, rng):
    net = koch2015(image_size=65, channels=(2, 3, 2, 3), features=4, device="cpu")
    there = net.to_device(kernels)
    a, b = rng.random((2, 3, 65, 65)).astype(np.float32)
    found = there.similarity(to_device(a, kernels), to_device(b, kernels))
    np.testing.assert_allclose(to_host(found), net.similarity(a, b), rtol=1e-5)
