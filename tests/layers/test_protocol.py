"""A layer of three plain methods works wherever ours do; one that knows more takes the options that it names."""

import copy
import pickle
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from scratchnet.common.caches import gathered
from scratchnet.gradcheck import check, draw
from scratchnet.layers import Conv2d, Flatten, Linear, ReLU, Sequential, Siamese, WeightedL1, protocol
from scratchnet.layers.protocol import complete
from scratchnet.models.siamese import SiameseNet
from scratchnet.optim.sgd import SGD
from scratchnet.train import train_step


@dataclass(frozen=True)
class Scale:
    """A stranger's layer: y = x * weight, one number for each channel."""

    channels: int

    def init(self, rng):
        return {"weight": 1 + 0.1 * rng.standard_normal(self.channels)}

    def forward(self, params, x):
        return x * params["weight"], (x, params["weight"])

    def backward(self, dy, cache):
        x, weight = cache
        return dy * weight, {"weight": (dy * x).sum(axis=(0, 1, 2))}


@dataclass(frozen=True)
class Curious(Scale):
    """One that takes every option, and notes what it is given."""

    given: list = field(default_factory=list, compare=False)

    def init(self, rng, dtype=np.float32):
        self.given.append(np.dtype(dtype))
        return {name: value.astype(dtype) for name, value in super().init(rng).items()}

    def forward(self, params, x, training=False):
        self.given.append(training)
        return super().forward(params, x)

    def backward(self, dy, cache, needs_dx=True):
        self.given.append(needs_dx)
        return super().backward(dy, cache)


@dataclass(frozen=True)
class TakesAnything(Scale):
    def backward(self, dy, cache, **options):
        assert options == {"needs_dx": False}
        return super().backward(dy, cache)


def network(layer: Any) -> Sequential:
    return Sequential({"scale": layer, "conv": Conv2d(1, 2, 3), "relu": ReLU(), "flatten": Flatten(),
                       "linear": Linear(2 * 6 * 6, 3)})  # fmt: skip


def test_a_plain_layer_is_checked_alone_and_in_a_network(rng):
    for layer, shape in ((Scale(3), (4, 5, 2, 3)), (network(Scale(1)), (8, 8, 2, 1))):
        params, inputs = draw(layer, shape)
        report = check(layer, params, *inputs)
        assert report, report


def test_a_plain_layer_trains_in_a_siamese_network(rng):
    net = SiameseNet(network(Scale(1)), WeightedL1(3), image_size=8)
    net.params = net.init(rng)
    assert {value.dtype.name for value in net.params.values()} == {"float32"}
    before = net.params["encoder.scale.weight"].copy()
    a, b = (rng.random((2, 4, 8, 8)) < 0.2).astype(np.float32)
    train_step(net, SGD(0.1), a, b, np.array([0, 1, 0, 1], np.float32))
    assert (net.params["encoder.scale.weight"] != before).all()


def test_a_siamese_layer_takes_a_plain_encoder_and_passes_the_check():
    layer = Siamese(network(Scale(1)), WeightedL1(3), image_size=8)
    params, inputs = draw(layer, (2, 8, 8), (2, 8, 8))
    report = check(layer, params, *inputs)
    assert report, report


def test_options_reach_the_layers_that_name_them(rng):
    curious = Curious(1)
    net = network(curious)
    params = net.init(rng, np.float64)
    y, cache = net.forward(params, rng.standard_normal((8, 8, 2, 1)), training=True)
    dx, _ = net.backward(rng.standard_normal(y.shape), cache, needs_dx=False)
    assert curious.given == [np.dtype(np.float64), True, False]
    assert dx is not None  # it may return it all the same
    assert complete(curious) is curious


def test_options_reach_layers_that_take_any(rng):
    net = network(TakesAnything(1))
    y, cache = net.forward(net.init(rng), rng.standard_normal((8, 8, 2, 1)).astype(np.float32))
    net.backward(np.ones_like(y), cache, needs_dx=False)


def test_only_the_first_layer_of_a_network_is_spared_its_dx(rng):
    layers = [Curious(1), Curious(1)]
    net = Sequential(dict(zip("ab", layers, strict=True)))
    y, cache = net.forward(net.init(rng, np.float64), rng.standard_normal((2, 2, 2, 1)))
    net.backward(y, cache, needs_dx=False)
    assert [layer.given[-1] for layer in layers] == [False, True]


def test_signatures_are_read_when_the_network_is_made_and_not_at_each_call(rng, monkeypatch):
    net = network(Scale(1))
    monkeypatch.setattr(protocol, "signature", lambda *_: pytest.fail("a signature was read"))
    y, cache = net.forward(net.init(rng), np.ones((8, 8, 2, 1), np.float32))
    net.backward(y, cache)


def test_a_layer_without_the_three_methods_is_refused_when_the_network_is_made():
    with pytest.raises(AttributeError, match="init"):
        Sequential({"oops": object()})  # type: ignore[dict-item]


def test_networks_are_copied_and_pickled(rng):
    net = network(Scale(1))
    for again in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert again == net
        assert list(again.init(np.random.default_rng(0))) == list(net.init(np.random.default_rng(0)))


def test_what_caches_report_is_found_by_name():
    relu = ReLU().forward({}, np.array([1.0, -1.0]))[1]
    found = gathered({"first": relu, "rest": (relu, [None, 3.0])}, "branches")
    assert list(found) == ["first.branches", "rest.0.branches"]
    assert found["first.branches"].tolist() == [True, False]
    assert gathered({"a": None, "b": 1.0}, "running_statistics") == {}


@dataclass(frozen=True)
class ByKeyword(Scale):
    """One whose options cannot be passed in any other way, and with one more of its own in front."""

    given: list = field(default_factory=list, compare=False)

    def init(self, rng, *, dtype=np.float32):
        self.given.append(np.dtype(dtype))
        return super().init(rng)

    def forward(self, params, x, slope=0.1, training=False):
        self.given.append((slope, training))
        return super().forward(params, x)

    def backward(self, dy, cache, *, needs_dx=True):
        self.given.append(needs_dx)
        return super().backward(dy, cache)


def test_options_are_passed_by_keyword(rng):
    layer = ByKeyword(1)
    net = network(layer)
    y, cache = net.forward(net.init(rng, np.float64), rng.standard_normal((8, 8, 2, 1)), training=True)
    net.backward(rng.standard_normal(y.shape), cache, needs_dx=False)
    assert layer.given == [np.dtype(np.float64), (0.1, True), False]
