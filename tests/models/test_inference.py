"""Embeddings are those of a forward in evaluation, whatever happens to the weights between two calls."""

import os
from dataclasses import replace

import numpy as np
import pytest
from siamese_nets import SIZE, batch, images

from scratchnet import checkpoint, ops
from scratchnet.backend import Array
from scratchnet.layers import BatchNorm2d, Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential, WeightedL1
from scratchnet.models import compact, koch2015
from scratchnet.models.inference import FEWEST_IMAGES, FoldedConv, Inference, OneLayer
from scratchnet.models.siamese import SiameseNet
from scratchnet.optim.sgd import SGD
from scratchnet.train import train_step


def forward(net: SiameseNet, x: np.ndarray) -> Array:
    """The embeddings (N, D) by the layers one by one, in evaluation."""
    return net.network.encode(net.params, x)[0]


def assert_embeds(net: SiameseNet, x: np.ndarray) -> None:
    np.testing.assert_allclose(net.embed(x), forward(net, x), rtol=0, atol=2e-6)


def disturbed(net: SiameseNet, rng: np.random.Generator) -> SiameseNet:
    """No bias, no statistic and no scale at its initial value; every third scale is negative."""

    def moved(name: str, value: np.ndarray) -> np.ndarray:
        if value.ndim > 1:
            return value
        value = value * rng.uniform(0.5, 2, value.shape) + rng.uniform(0, 0.2, value.shape)
        if ".norm" in name and name.endswith("weight"):
            value[::3] *= -1
        return value.astype(net.dtype)

    return replace(net, params={name: moved(name, value) for name, value in net.params.items()})


NETWORKS = {
    "compact": lambda: compact(image_size=SIZE, width=8, features=16),
    "compact without norm": lambda: compact(image_size=SIZE, width=8, features=16, norm=False),
    "koch2015": lambda: koch2015(image_size=40, channels=(4, 6, 6, 8), features=16, kernels=(5, 4, 3, 2)),
    "koch2015 with norm": lambda: koch2015(
        image_size=40, channels=(4, 6, 6, 8), features=16, kernels=(7, 4, 3, 2), norm=True
    ),
}


@pytest.mark.parametrize("threads", ["1", "3"])
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("N", [0, 1, 5, 3 * FEWEST_IMAGES + 1])
def test_embeddings_are_those_of_the_layers_one_by_one(name, N, threads, rng, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(4)), raising=False)
    monkeypatch.setenv("SCRATCHNET_THREADS", threads)
    net = disturbed(NETWORKS[name](), rng)
    x = rng.random((N, net.image_size, net.image_size), np.float32)
    assert_embeds(net, x)
    with ops.definitions():
        assert_embeds(net, x)


def test_in_float64_to_the_last_digits(rng):
    net = disturbed(NETWORKS["compact"](), rng)
    net = replace(net, params={name: value.astype(np.float64) for name, value in net.params.items()})
    x = rng.random((9, SIZE, SIZE))
    assert net.embed(x).dtype == np.float64
    np.testing.assert_allclose(net.embed(x), forward(net, x), rtol=1e-11)


def test_norms_become_part_of_the_convolutions(rng):
    net = NETWORKS["compact"]()
    steps = Inference(net.encoder, {name.removeprefix("encoder."): value for name, value in net.params.items()})._steps
    assert [type(step) for step in steps] == [FoldedConv] * 6 + [OneLayer] * 3  # flatten, linear, sigmoid


@pytest.mark.parametrize(
    "layers",
    [
        {"conv": Conv2d(1, 3, 3, stride=2, bias=False), "norm": BatchNorm2d(3), "relu": ReLU()},
        {"conv": Conv2d(1, 3, (1, 4)), "pool": MaxPool2d(3, stride=2), "norm": BatchNorm2d(3), "relu": ReLU()},
        {"conv": Conv2d(1, 3, 3), "norm": BatchNorm2d(3), "again": BatchNorm2d(3), "relu": ReLU()},
        {"conv": Conv2d(1, 3, 3), "pool": MaxPool2d(2)},
        {"norm": BatchNorm2d(1), "relu": ReLU(), "conv": Conv2d(1, 3, 3)},
        {"part": Sequential({"conv": Conv2d(1, 3, 3, padding=1), "relu": ReLU()}), "pool": MaxPool2d(2)},
    ],
    ids=lambda layers: "-".join(layers),
)
def test_any_order_of_layers(layers, rng):
    params = Sequential(layers).init(rng)
    y, _ = Sequential(layers).forward(params, np.zeros((SIZE, SIZE, 1, 1), np.float32))
    encoder = Sequential({**layers, "flatten": Flatten(), "linear": Linear(y.size, 5)})
    net = SiameseNet(encoder, WeightedL1(5), SIZE)
    net = disturbed(replace(net, params=net.init(rng)), rng)
    assert_embeds(net, images(rng, 4))


# Weights that change


def test_embeddings_follow_the_weights_through_training_and_writing_and_loading(net, rng, tmp_path):
    x = images(rng, 6)
    optimiser = SGD(lr=0.1, momentum=0.9)
    for _ in range(3):
        a, b, labels, loss = batch(rng, "pairs")
        before = net.embed(x)
        train_step(net, optimiser, a, b, labels, loss=loss)
        assert np.abs(net.embed(x) - before).max() > 1e-5
        assert_embeds(net, x)

    for name, value in net.params.items():
        value *= 1.01
        assert_embeds(net, x)
        net.params[name] = value + np.float32(0.01)
        assert_embeds(net, x)

    checkpoint.save_model(tmp_path / "weights.npz", net)
    value = net.params["encoder.conv1.weight"]
    value[...] = 0
    assert_embeds(net, x)
    net.params = checkpoint.load_model(tmp_path / "weights.npz").params
    assert_embeds(net, x)


def test_a_copy_of_a_network_does_not_look_with_its_weights(net, rng):
    x = images(rng, 3)
    net.embed(x)
    other = replace(net, params={name: value + np.float32(0.1) for name, value in net.params.items()})
    assert_embeds(other, x)
    assert_embeds(net, x)
