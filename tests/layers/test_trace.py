"""Traces of networks: the arrays of Sequential's own way, layer by layer."""

from itertools import pairwise

import numpy as np
import pytest
from helpers import same_bits

from scratchnet.errors import ScratchnetError
from scratchnet.layers import BatchNorm2d, Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential, Sigmoid

NET = Sequential({
    "conv": Conv2d(1, 3, 3), "pool": MaxPool2d(2), "norm": BatchNorm2d(3), "relu": ReLU(),
    "flatten": Flatten(), "top": Sequential({"linear": Linear(12, 5), "sigmoid": Sigmoid()}),
})  # fmt: skip
X = (6, 6, 4, 1)


class Doubled:
    """A layer of somebody's own: the three methods, and no more."""

    def init(self, rng):
        return {"gain": np.full(1, 2.0)}

    def forward(self, params, x):
        return params["gain"] * x, (x, params["gain"])

    def backward(self, dy, cache):
        x, gain = cache
        return gain * dy, {"gain": np.array([(dy * x).sum()])}


@pytest.fixture
def traced(rng):
    params, x = NET.init(rng), rng.standard_normal(X, np.float32)
    dy = rng.standard_normal((4, 5), np.float32)
    return params, x, dy, NET.trace(params, x, dy, training=True)


def test_a_trace_has_the_bits_of_forward_and_backward(traced):
    params, x, dy, trace = traced
    y, cache = NET.forward(params, x, training=True)
    dx, grads = NET.backward(dy, cache)
    assert same_bits({"y": trace.y}, {"y": y})
    assert same_bits({"dx": trace.dx}, {"dx": dx})
    assert same_bits(trace.grads, grads)


def test_what_a_layer_gives_is_what_the_next_one_takes(traced):
    *_, trace = traced
    layers = list(trace)
    assert [at.name for at in layers] == ["conv", "pool", "norm", "relu", "flatten", "top.linear", "top.sigmoid"]
    assert len(trace) == 7
    for before, after in pairwise(layers):
        assert before.y is after.x
        assert before.dy is after.dx


def test_without_dy_no_gradient_is_pretended(rng):
    params = NET.init(rng)
    trace = NET.trace(params, rng.standard_normal(X, np.float32))
    assert trace.dx is None
    assert trace.grads == {}
    assert trace["conv"].figures()["gradient"] is None
    assert "|dy|" not in str(trace)


def test_numbers_of_a_layer(traced):
    *_, trace = traced
    assert trace["conv"].parameters == 3 * 3 * 3 + 3
    assert trace["norm"].parameters == 6, "the running statistics are not trained"
    assert trace["conv"].flops == 2 * 9 * 4 * 4 * 4 * 3  # kernel, Ho, Wo, N, O
    assert trace["top.linear"].flops == 2 * 12 * 4 * 5
    assert trace["pool"].flops is None
    assert trace["conv"].shape == "H=4 W=4 N=4 C=3"
    assert trace["conv"].spread == pytest.approx(trace["conv"].y.std())
    assert trace["conv"].figures()["gradient"] == pytest.approx(np.linalg.norm(trace["conv"].dy), rel=1e-5)


def test_dead_are_channels_that_no_image_wakes(rng):
    x = rng.standard_normal((2, 2, 3, 4)).astype(np.float32)
    x[..., 1] = -1
    trace = Sequential({"relu": ReLU()}).trace({}, x)
    assert trace["relu"].dead == 0.25
    assert trace["relu"].saturated is None


def test_saturated_are_sigmoids_far_from_the_middle():
    trace = Sequential({"sigmoid": Sigmoid()}).trace({}, np.array([[-5.0, 0.0, 3.9, 4.1]]))
    assert trace["sigmoid"].saturated == 0.5
    assert trace["sigmoid"].dead is None


def test_layers_of_somebodys_own_are_traced(rng):
    net = Sequential({"doubled": Doubled(), "linear": Linear(3, 2)})
    params, x = net.init(rng, np.float64), rng.standard_normal((4, 3))
    trace = net.trace(params, x, rng.standard_normal((4, 2)))
    assert np.array_equal(trace["doubled"].y, 2 * x)
    assert trace["doubled"].parameters == 1
    assert "Doubled" in str(trace)


def test_a_name_that_is_not_there_is_told_with_those_that_are(traced):
    *_, trace = traced
    with pytest.raises(KeyError, match=r"no layer called 'conv2' \(did you mean 'conv'\?\): there are conv, pool"):
        _ = trace["conv2"]


def test_a_network_without_layers_is_refused(rng):
    from scratchnet.layers.trace import trace  # noqa: PLC0415

    with pytest.raises(ScratchnetError, match="Linear has no layers by name to trace: put them into a Sequential"):
        trace(Linear(2, 2), {}, rng.standard_normal((1, 2)))


def test_the_summary_counts_parameters_and_cost(rng):
    summary = str(NET.summary(NET.init(rng), np.zeros(X, np.float32)))
    lines = summary.splitlines()
    assert lines[0].split() == ["layer", "type", "y", "parameters", "Mflop"]
    assert lines[1].split() == ["conv", "Conv2d", "H=4", "W=4", "N=4", "C=3", "30", "0.00346"]
    assert lines[-1].startswith("101 parameters; ")  # 30 + 6 + 12 x 5 + 5


def test_a_trace_shows_itself_in_a_notebook(traced):
    *_, trace = traced
    html = trace._repr_html_()
    assert html.startswith("<table>")
    assert html.count("<tr>") == 1 + len(trace)
    assert NET.summary(traced[0], traced[1])._repr_html_().count("<tr>") == 1 + len(trace)
