"""Checks without differences: every broken promise of a pure backward is caught and named."""

from dataclasses import replace

import numpy as np
import pytest

from scratchnet.gradcheck import adjoint, batch_sum, check, twin_sum
from scratchnet.layers import BatchNorm2d, Conv2d, Linear, MaxPool2d, ReLU
from scratchnet.layers.protocol import add_prefix, complete
from scratchnet.planted.cases import CASES


class Good:
    """y = x * w, right in every respect; each layer below breaks one thing."""

    def forward(self, params, x):
        return x * params["w"], (x, params["w"])

    def backward(self, dy, cache):
        x, w = cache
        return dy * w, {"w": (dy * x).sum(axis=0)}


class RemembersTheLast(Good):
    def forward(self, params, x):
        self.x = x
        return super().forward(params, x)

    def backward(self, dy, cache):
        return super().backward(dy, (self.x, cache[1]))


class AddsUp(Good):
    def __init__(self):
        self.total = 0.0

    def backward(self, dy, cache):
        dx, grads = super().backward(dy, cache)
        self.total = self.total + grads["w"]
        return dx, {"w": self.total}


class UsesUpItsCache(Good):
    def forward(self, params, x):
        y, cache = super().forward(params, x)
        return y, [cache]

    def backward(self, dy, cache):
        return super().backward(dy, cache.pop())


class WritesToX(Good):
    def forward(self, params, x):
        y, cache = super().forward(params, x)
        x += 0.5
        return y, cache


class WritesToXInBackward(Good):
    def backward(self, dy, cache):
        answer = super().backward(dy, cache)
        cache[0][...] *= 2
        return answer


class WritesToDy(Good):
    def backward(self, dy, cache):
        dy *= cache[1]
        return dy.copy(), {"w": (dy / cache[1] * cache[0]).sum(axis=0)}


class WritesToY(Good):
    def forward(self, params, x):
        y, cache = super().forward(params, x)
        return y, (*cache, y)

    def backward(self, dy, cache):
        cache[2][...] = 0
        return super().backward(dy, cache[:2])


class ReturnsDy(Good):
    def forward(self, params, x):
        return x + params["w"], None

    def backward(self, dy, cache):
        return dy, {"w": dy.sum(axis=0)}


class NotLinear(Good):
    def backward(self, dy, cache):
        return super().backward(dy * np.abs(dy), cache)


class NotZero(Good):
    def backward(self, dy, cache):
        dx, grads = super().backward(dy, cache)
        return dx, {"w": grads["w"] + 1.0}


class NeedsRowsInOrder(Good):
    def forward(self, params, x):
        flat = np.frombuffer(x.tobytes(order="A"), x.dtype).reshape(x.shape)
        return flat * params["w"], (flat, params["w"])


class RefusesStrides(Good):
    def backward(self, dy, cache):
        if not dy.flags.c_contiguous:
            raise ValueError("a contiguous array, please")
        return super().backward(dy, cache)


BROKEN = {
    "stale cache: dw changes when another forward": RemembersTheLast,
    "two backward calls on one cache give different dw": AddsUp,
    "deterministic: the test raised IndexError": UsesUpItsCache,
    "forward writes to x": WritesToX,
    "backward writes to x": WritesToXInBackward,
    "backward writes to dy": WritesToDy,
    "backward writes to y": WritesToY,
    "dx shares memory with dy": ReturnsDy,
    "backward is not linear in the cotangent: dx": NotLinear,
    "a zero cotangent gives a nonzero dw": NotZero,
    "Fortran-ordered arrays give a different y": NeedsRowsInOrder,
    "strided arrays raise ValueError: a contiguous array, please": RefusesStrides,
}


@pytest.mark.parametrize(("line", "broken"), BROKEN.items(), ids=BROKEN)
def test_every_broken_promise_is_reported(line, broken, rng):
    params = {"w": rng.standard_normal(4)}
    report = check(broken(), params, rng.standard_normal((3, 4)))
    assert not report
    assert line in str(report)


def test_the_good_layer_keeps_all_promises(rng):
    report = check(Good(), {"w": rng.standard_normal(4)}, rng.standard_normal((3, 4)))
    assert report
    assert set(report.properties) == {
        "writes to no argument",
        "deterministic",
        "returns no views",
        "zero for a zero cotangent",
        "linear in the cotangent",
        "any memory layout",
        "no state between calls",
    }


def test_the_promises_are_not_asked_for_when_the_caller_does_not_care(rng):
    assert check(ReturnsDy(), {"w": rng.standard_normal(4)}, rng.standard_normal((3, 4)), contract=False)


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
            return dinputs, grads | add_prefix("encoder", self.encoder.backward(dh, cache.encoder)[1])

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
