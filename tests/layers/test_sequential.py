"""Layers in sequence, worked out by hand."""

import numpy as np
import pytest
from by_hand import assert_close, forward_and_backward

from scratchnet.errors import ScratchnetError
from scratchnet.layers import BatchNorm2d, Linear, ReLU, Sequential

LAYERS = {"hidden": Linear(2, 2), "relu": ReLU(), "output": Linear(2, 1)}


def test_the_chain_rule_by_hand(device):
    params = {
        "hidden.weight": [[1, -1], [2, 1]], "hidden.bias": [0, -5],
        "output.weight": [[3], [7]], "output.bias": [1],
    }  # fmt: skip
    y, (dx,), grads = forward_and_backward(Sequential(LAYERS), params, [[[1, 2]]], [[2]], device)
    # (1, 2) becomes (1 + 4, -1 + 2 - 5) = (5, -4), then (5, 0), then 3 * 5 + 7 * 0 + 1
    assert_close(y, [[16]])
    # dy = 2 becomes 2 (3, 7) before the last layer, (6, 0) before ReLU, and 6 (1, 2) before the first layer
    assert_close(dx, [[6, 12]])
    assert_close(grads["output.weight"], [[2 * 5], [0]])
    assert_close(grads["output.bias"], [2])
    assert_close(grads["hidden.weight"], [[1 * 6, 0], [2 * 6, 0]])
    assert_close(grads["hidden.bias"], [6, 0])
    assert list(grads) == list(params)


def test_the_parameters_are_named_after_their_layers_in_order():
    params = Sequential(LAYERS).init(np.random.default_rng(0))
    assert list(params) == ["hidden.weight", "hidden.bias", "output.weight", "output.bias"]


def test_every_layer_is_told_whether_it_is_training():
    network = Sequential({"norm": BatchNorm2d(1)})
    params = network.init(np.random.default_rng(0))
    x = np.reshape([1, 1, 1, 1, 6], (5, 1, 1, 1)).astype(np.float32)  # mean 2, variance 4
    assert_close(network.forward(params, x, training=True)[0].ravel(), [-0.5, -0.5, -0.5, -0.5, 2])
    assert_close(network.forward(params, x)[0], x)


def test_no_layers_are_refused():
    with pytest.raises(ScratchnetError, match="takes one layer or more, by name"):
        Sequential({})


def test_layers_without_names_are_refused():
    with pytest.raises(ScratchnetError, match="takes one layer or more, by name"):
        Sequential([ReLU()])  # type: ignore[arg-type]
