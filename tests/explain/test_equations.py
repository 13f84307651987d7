"""The tests that the page of `scratchnet explain` names: one for each line of code that it shows.

Forward is written out in loops; backward is held against differences of forward, (f(x + h) - f(x - h)) / 2 h. Both run
on the definitions in ops/. test_proofs.py changes each line and sees its test fail.
"""

from itertools import product

import numpy as np
import pytest

from scratchnet.layers import (
    BatchNorm2d,
    Conv2d,
    Flatten,
    Linear,
    MaxPool2d,
    ReLU,
    Sequential,
    Siamese,
    Sigmoid,
    WeightedL1,
)
from scratchnet.losses import PairCrossEntropy
from scratchnet.ops.accelerated import definitions
from scratchnet.optim.sgd import SGD

H = 1e-5
CONV = Conv2d(2, 3, (2, 3), stride=(2, 1), padding=(1, 0))
POOL = MaxPool2d(2, stride=1)
MAP = (5, 4, 3, 2)  # (H, W, N, C)


@pytest.fixture(autouse=True)
def on_the_definitions():
    with definitions():
        yield


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def drawn(layer, rng):
    """Parameters of a layer, none of them at its initial 0 or 1."""
    params = layer.init(rng, np.float64) if "dtype" in layer.init.__annotations__ else layer.init(rng)
    return {name: value + 0.3 * np.abs(rng.standard_normal(value.shape)) for name, value in params.items()}


def assert_is_the_derivative(name, layer, *shapes, rng, **options):
    """The gradient called `name`, of an input or a parameter, at a random dy, against central differences."""
    params, inputs = drawn(layer, rng), [rng.standard_normal(shape) for shape in shapes]
    y, cache = layer.forward(params, *inputs, **options)
    dy = rng.standard_normal(y.shape)
    dx, grads = layer.backward(dy, cache)
    by_name = {"x": dx} if len(shapes) == 1 else {"h1": dx[0], "h2": dx[1]}
    array = params[name] if name in params else inputs[list(by_name).index(name)]
    expected = np.zeros(array.shape)
    for place in np.ndindex(array.shape):
        kept = array[place]
        sides = []
        for moved in (kept + H, kept - H):
            array[place] = moved
            sides.append((layer.forward(params, *inputs, **options)[0] * dy).sum())
        array[place] = kept
        expected[place] = (sides[0] - sides[1]) / (2 * H)
    np.testing.assert_allclose((by_name | grads)[name], expected, rtol=1e-6, atol=1e-7)


def test_conv_y(rng):
    params, x = drawn(CONV, rng), rng.standard_normal(MAP)
    y, _ = CONV.forward(params, x)
    padded = np.pad(x, ((1, 1), (0, 0), (0, 0), (0, 0)))
    for i, j, n, o in np.ndindex(y.shape):
        terms = (
            padded[2 * i + a, j + b, n, c] * params["weight"][a, b, c, o]
            for a, b, c in product(range(2), range(3), range(2))
        )
        assert y[i, j, n, o] == pytest.approx(sum(terms) + params["bias"][o])


def test_conv_dx(rng):
    assert_is_the_derivative("x", CONV, MAP, rng=rng)


def test_conv_dweight(rng):
    assert_is_the_derivative("weight", CONV, MAP, rng=rng)


def test_conv_dbias(rng):
    assert_is_the_derivative("bias", CONV, MAP, rng=rng)


def test_dense_y(rng):
    layer = Linear(4, 3)
    params, x = drawn(layer, rng), rng.standard_normal((5, 4))
    y, _ = layer.forward(params, x)
    for n, o in np.ndindex(y.shape):
        expected = sum(x[n, c] * params["weight"][c, o] for c in range(4)) + params["bias"][o]
        assert y[n, o] == pytest.approx(expected)


def test_dense_dx(rng):
    assert_is_the_derivative("x", Linear(4, 3), (5, 4), rng=rng)


def test_dense_dweight(rng):
    assert_is_the_derivative("weight", Linear(4, 3), (5, 4), rng=rng)


def test_dense_dbias(rng):
    assert_is_the_derivative("bias", Linear(4, 3), (5, 4), rng=rng)


def test_pool_y(rng):
    x = rng.standard_normal(MAP)
    y, _ = POOL.forward({}, x)
    for i, j, n, c in np.ndindex(y.shape):
        assert y[i, j, n, c] == max(x[i + a, j + b, n, c] for a, b in product(range(2), range(2)))


def test_pool_dx(rng):
    assert_is_the_derivative("x", POOL, MAP, rng=rng)


def test_norm_y(rng):
    layer = BatchNorm2d(2)
    params, x = drawn(layer, rng), rng.standard_normal(MAP)
    y, _ = layer.forward(params, x, training=True)
    for c in range(2):
        pixels = x[..., c].ravel().tolist()
        mean = sum(pixels) / len(pixels)
        std = (sum((pixel - mean) ** 2 for pixel in pixels) / len(pixels) + layer.eps) ** 0.5
        expected = [params["weight"][c] * (pixel - mean) / std + params["bias"][c] for pixel in pixels]
        np.testing.assert_allclose(y[..., c].ravel(), expected)


def test_norm_dx(rng):
    assert_is_the_derivative("x", BatchNorm2d(2), MAP, rng=rng, training=True)


def test_norm_dweight(rng):
    assert_is_the_derivative("weight", BatchNorm2d(2), MAP, rng=rng, training=True)


def test_norm_dbias(rng):
    assert_is_the_derivative("bias", BatchNorm2d(2), MAP, rng=rng, training=True)


def test_relu_y(rng):
    x = rng.standard_normal(MAP)
    y, _ = ReLU().forward({}, x)
    assert [max(each, 0.0) for each in x.ravel().tolist()] == y.ravel().tolist()


def test_relu_dx(rng):
    assert_is_the_derivative("x", ReLU(), MAP, rng=rng)


def test_sigmoid_y(rng):
    x = 3 * rng.standard_normal((4, 5))
    y, _ = Sigmoid().forward({}, x)
    np.testing.assert_allclose(y, 1 / (1 + np.exp(-x)))


def test_sigmoid_dx(rng):
    assert_is_the_derivative("x", Sigmoid(), (4, 5), rng=rng)


def test_flatten_y(rng):
    x = rng.standard_normal(MAP)
    y, _ = Flatten().forward({}, x)
    rows, columns, N, C = MAP
    for i, j, n, c in np.ndindex(rows, columns, N, C):
        assert y[n, (i * columns + j) * C + c] == x[i, j, n, c]


def test_flatten_dx(rng):
    assert_is_the_derivative("x", Flatten(), MAP, rng=rng)


def test_head_logit(rng):
    head = WeightedL1(4)
    params, h1, h2 = drawn(head, rng), rng.standard_normal((3, 4)), rng.standard_normal((3, 4))
    logit, _ = head.forward(params, h1, h2)
    for n in range(3):
        parts = (params["weight"][d] * abs(h1[n, d] - h2[n, d]) for d in range(4))
        assert logit[n] == pytest.approx(sum(parts) + params["bias"][0])


def test_head_dh1(rng):
    assert_is_the_derivative("h1", WeightedL1(4), (3, 4), (3, 4), rng=rng)


def test_head_dh2(rng):
    assert_is_the_derivative("h2", WeightedL1(4), (3, 4), (3, 4), rng=rng)


def test_head_dweight(rng):
    assert_is_the_derivative("weight", WeightedL1(4), (3, 4), (3, 4), rng=rng)


def test_head_dbias(rng):
    assert_is_the_derivative("bias", WeightedL1(4), (3, 4), (3, 4), rng=rng)


def test_twins_dh(rng):
    encoder = Sequential({"flatten": Flatten(), "linear": Linear(9, 3), "sigmoid": Sigmoid()})
    network = Siamese(encoder, WeightedL1(3), image_size=3)
    assert_is_the_derivative("encoder.linear.weight", network, (2, 3, 3), (2, 3, 3), rng=rng)


def test_loss_loss(rng):
    logits, labels = rng.standard_normal(5), np.array([1.0, 0.0, 0.0, 1.0, 1.0])
    loss, _ = PairCrossEntropy().forward(logits, labels)
    p = 1 / (1 + np.exp(-logits))
    assert loss == pytest.approx(-(labels * np.log(p) + (1 - labels) * np.log(1 - p)).mean())


def test_loss_dlogits(rng):
    logits, labels = rng.standard_normal(5), np.array([1.0, 0.0, 0.0, 1.0, 1.0])
    _, cache = PairCrossEntropy().forward(logits, labels)
    dloss = rng.standard_normal()
    expected = []
    for n in range(5):
        step = H * np.eye(5)[n]
        above, below = (PairCrossEntropy().forward(moved, labels)[0] for moved in (logits + step, logits - step))
        expected.append(dloss * (above - below) / (2 * H))
    np.testing.assert_allclose(PairCrossEntropy().backward(dloss, cache), expected, rtol=1e-6, atol=1e-9)


def test_sgd_weight(rng):
    weight, gradient = rng.standard_normal((2, 3)), rng.standard_normal((2, 3))
    params = {"weight": weight.copy()}
    SGD(0.1, momentum=0.9, weight_decay=0.01).step(params, {"weight": gradient})
    np.testing.assert_allclose(params["weight"], weight - 0.1 * (gradient + 0.01 * weight))
