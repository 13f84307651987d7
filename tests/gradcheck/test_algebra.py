"""Checks without differences: adjoints of linear layers, sums over a batch, and sums over two twins."""

from dataclasses import replace

import numpy as np
import pytest

from scratchnet.gradcheck import adjoint, batch_sum, twin_sum
from scratchnet.layers import BatchNorm2d, Conv2d, Linear, MaxPool2d, ReLU
from scratchnet.layers.protocol import add_prefix, complete
from scratchnet.planted.cases import CASES


@pytest.mark.parametrize("algorithm", ["offsets", "im2col", "bands", "dft"])
def test_convolution_is_linear_in_its_input_and_in_its_weight(algorithm, rng):
    layer = Conv2d(2, 3, (3, 2), stride=2, padding=1, algorithm=algorithm)
    params, x = layer.init(rng, np.float64), rng.standard_normal((6, 7, 2, 2))
    for name in (None, "x", "weight", "bias"):
        assert adjoint(layer, params, x, of=name)


def test_a_backward_that_is_not_an_adjoint_is_distinguished(rng):
    class Flipped(Conv2d):
        def backward(self, dy, cache, needs_dx=True):
            return super().backward(dy, cache._replace(weight=cache.weight[::-1].copy()))

    layer = Flipped(2, 3, 3, algorithm="offsets")
    report = adjoint(layer, layer.init(rng, np.float64), rng.standard_normal((6, 7, 2, 2)))
    assert not report
    assert "backward is not the adjoint of forward in x" in str(report)


def test_what_is_not_linear_has_no_adjoint(rng):
    assert not adjoint(ReLU(), {}, rng.standard_normal((3, 4)))


@pytest.mark.parametrize(
    ("layer", "shape", "axis"),
    [
        (Conv2d(2, 3, 3), (5, 6, 4, 2), 2),
        (MaxPool2d(2), (5, 6, 4, 2), 2),
        (Linear(5, 3), (4, 5), 0),
        (BatchNorm2d(2), (5, 6, 4, 2), 2),
    ],
)
def test_the_gradient_of_a_batch_is_the_sum_over_its_samples(layer, shape, axis, rng):
    params = complete(layer).init(rng, np.float64)
    assert batch_sum(layer, params, rng.standard_normal(shape), axis=axis)


def test_batch_norm_in_training_mixes_its_samples(rng):
    layer = BatchNorm2d(2)
    report = batch_sum(layer, layer.init(rng, np.float64), rng.standard_normal((5, 6, 4, 2)), axis=2, training=True)
    assert not report
    assert "the gradient of a batch is not the sum over its samples: see dx" in str(report)


def with_head(net):
    return lambda wrap: replace(net, head=wrap(net.head))


@pytest.mark.parametrize("training", [False, True])
def test_both_twins_have_the_sum_of_their_single_gradients(training, rng):
    case = CASES["Siamese pairs on (2, 12, 12) and (2, 12, 12)"]
    params, inputs = case.draw(rng)
    report = twin_sum(with_head(case.layer), params, *inputs, training=training)
    assert report, report


@pytest.mark.parametrize("twin", [0, 1])
def test_a_network_that_counts_one_twin_only_is_caught(twin, rng):
    case = CASES["Siamese pairs on (2, 12, 12) and (2, 12, 12)"]
    params, inputs = case.draw(rng)

    class OneSided(type(case.layer)):
        def backward(self, dlogits, cache):
            dh = np.concatenate(self.head.backward(dlogits, cache.head)[0])
            dh[2 * (1 - twin) :][:2] = 0  # the embeddings of two images each, one twin after the other
            dinputs, grads = super().backward(dlogits, cache)
            return dinputs, grads | add_prefix("encoder", self.fused.encoder.backward(dh, cache.encoder)[1])

    net = OneSided(case.layer.encoder, case.layer.head, case.layer.image_size)
    report = twin_sum(with_head(net), params, *inputs)
    assert not report
    assert f"twin {2 - twin} contributes nothing to" in str(report)


def test_a_network_whose_encoder_gets_no_gradient_is_caught(rng):
    case = CASES["Siamese pairs on (2, 12, 12) and (2, 12, 12)"]
    params, inputs = case.draw(rng)

    class HeadAlone(type(case.layer)):
        def backward(self, dlogits, cache):
            dinputs, grads = super().backward(dlogits, cache)
            return dinputs, {name: gradient for name, gradient in grads.items() if name.startswith("head.")}

    net = HeadAlone(case.layer.encoder, case.layer.head, case.layer.image_size)
    assert "backward reaches only the head" in str(twin_sum(with_head(net), params, *inputs))
