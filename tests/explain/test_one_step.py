"""Recorded steps of SGD: what train_step would do."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import same_bits

from scratchnet.explain.one_step import loss_of, stepped, steps
from scratchnet.optim.sgd import SGD
from scratchnet.train.synchronous import train_step


def test_a_step_is_that_of_training(explained):
    step = explained.trace.step
    trained = replace(explained.net, params={name: value.copy() for name, value in explained.net.params.items()})
    train_step(trained, SGD(0.1), *explained.pairs)
    ours = stepped(explained.net, step, step.grads, 0.1)
    for name, value in trained.params.items():  # which runs fused layers
        moved = abs(value - explained.net.params[name]).max()
        np.testing.assert_allclose(ours.params[name], value, rtol=1e-6, atol=1e-3 * moved + 1e-7, err_msg=name)


def test_each_rate_is_recorded_from_the_same_weights(explained):
    before = {name: value.copy() for name, value in explained.net.params.items()}
    found = steps(explained.net, *explained.images, explained.pairs, explained.trace.step, rates=(0.0, 0.01, 0.1, 0.0))
    assert [each["rate"] for each in found] == [0.0, 0.01, 0.1, 0.0]
    assert found[0] == found[3]
    assert found[0]["loss"] == pytest.approx(float(explained.trace.step.loss), rel=1e-5)
    assert found[1]["loss"] < found[0]["loss"], "a small step against the gradient lowers the loss"
    assert same_bits(explained.net.params, before)


def test_a_rate_far_too_high_is_recorded_without_a_warning(explained):
    (found,) = steps(explained.net, *explained.images, explained.pairs, explained.trace.step, rates=(1e30,))
    assert not found["loss"] < loss_of(explained.net, explained.pairs)
    assert isinstance(found["p"], float)
    assert np.isnan(found["p"]) or 0 <= found["p"] <= 1
