"""Layers, losses and networks in float32 and TF32 against float64 on the host, within a priori bounds."""

import functools
import math

import numpy as np
import pytest

from scratchnet.backend import array_module, product, set_precision, to_device, to_host
from scratchnet.gradcheck import check_precision
from scratchnet.gradcheck.precision import TF32_ROUNDOFF, UNIT_ROUNDOFF
from scratchnet.layers import BatchNorm2d, Conv2d, Linear, Sequential, WeightedL1
from scratchnet.layers.conv_pool_relu import ConvPoolReLU
from scratchnet.models.siamese import SiameseNet
from scratchnet.ops.choose import CONVOLUTIONS
from scratchnet.planted.cases import CASES, LossOf

OPERAND_ROUNDOFF = {"float32": 0.0, "tf32": TF32_ROUNDOFF}


@functools.singledispatch
def summands(layer, *shapes):
    """The most products in any sum of forward or backward; of a network, in any of its layers."""
    return 1


@summands.register
def _(layer: Conv2d, x):
    """In y, dx and dweight. The sums of a Fourier transform run over rows or columns and are shorter."""
    kh, kw, C, O = layer.weight_shape
    rows, columns = (size + 2 * layer.padding for size in x[:2])
    return max(kh * kw * max(C, O), rows * columns * x[2])


@summands.register
def _(layer: ConvPoolReLU, x):
    return summands(layer.conv, x)


@summands.register
def _(layer: Linear, x):
    return max(layer.in_features, layer.out_features, x[0])


@summands.register
def _(layer: WeightedL1, *shapes):
    return max(layer.features, math.prod(np.broadcast_shapes(*(shape[:-1] for shape in shapes))))


@summands.register
def _(layer: BatchNorm2d, x):
    return math.prod(x[:-1])


@summands.register
def _(layer: Sequential, x):
    most, rng = 1, np.random.default_rng(0)
    for part in layer.layers.values():
        most, x = max(most, summands(part, x)), part.forward(part.init(rng), np.zeros(x, np.float32))[0].shape
    return most


@summands.register
def _(layer: SiameseNet, *shapes):
    leading = [shape[:-2] for shape in shapes]
    images = (layer.image_size, layer.image_size, sum(map(math.prod, leading)), 1)
    return max(
        summands(layer.encoder, images), summands(layer.head, *((*lead, layer.head.features) for lead in leading))
    )


@summands.register
def _(layer: LossOf, *shapes):
    return summands(layer.network, *shapes) if layer.network else math.prod(shapes[0])


# Batch norm takes two numbers to 1 and -1 whatever they are: all of dx cancels but for a trace of eps.
CANCELLING = "BatchNorm2d(num_features=1, eps=1e-05, momentum=0.1) on (2, 1, 1, 1), training"


# Near a kink, where rounding decides which way ReLU or max-pooling goes, a gradient may be another altogether. TF32
# takes more pixels for near: one point of a few has to do.
POINTS = {"float32": 1, "tf32": 3}


@pytest.mark.parametrize("name", [name for name in CASES if name != CANCELLING])
def test_every_case_lies_within_the_bound_of_its_precision(name, device, precision):
    case = CASES[name]
    products, roundoff = summands(case.layer, *case.shapes), OPERAND_ROUNDOFF[precision]
    for seed in range(POINTS[precision]):
        params, inputs = case.draw(np.random.default_rng(seed))
        report = check_precision(
            case.layer,
            params,
            inputs,
            summands=products,
            seed=seed,
            device=device,
            operand_roundoff=roundoff,
            **case.options,
        )
        if report:
            break
    assert report, report


# Convolutions as large as the paper's

PAPER = {  # H = W, in, kernel, out
    "conv1": (105, 1, 10, 64),
    "conv2": (48, 64, 7, 128),
    "conv3": (21, 128, 4, 128),
    "conv4": (9, 128, 4, 256),
}
IMAGES = 16  # of 8 pairs
TRANSFORMED = 5  # products of matrices one after the other: to frequencies along two axes, there, and back
STAGES = {"dft": TRANSFORMED, "auto": TRANSFORMED}


def relative_error(terms, precision, stages=1):
    """The rounding error, in norm, of sums of this many products that are independent with mean 0.

    A partial sum of k products has the size of sqrt(k) of them, and rounding changes it by at most u of that. The
    squares of independent errors add up, u^2 (1 + 2 + ... + n) = u^2 n^2 / 2, on a sum of size sqrt(n): u sqrt(n / 2),
    and u for the products. In TF32 both factors of a product have an error of up to v beforehand. The squares of the
    errors of several stages add up again. All this is for the largest rounding errors; typical ones are half as large.
    """
    factors = math.sqrt(2) * OPERAND_ROUNDOFF[precision]
    return math.sqrt(stages) * (UNIT_ROUNDOFF * (1 + math.sqrt(terms / 2)) + factors)


@functools.cache
def problem(S, C, k, O, images):
    """(weight, x, dy) in float32, and y, dx and dweight in float64 from the host."""
    rng = np.random.default_rng(S)
    shapes = (k, k, C, O), (S, S, images, C), (S - k + 1, S - k + 1, images, O)
    given = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    return given, results(Conv2d(C, O, k), *(array.astype(np.float64) for array in given))


def results(layer, weight, x, dy):
    bias = array_module(weight).zeros(weight.shape[-1:], dtype=weight.dtype)
    y, cache = layer.forward({"weight": weight, "bias": bias}, x)
    dx, grads = layer.backward(dy, cache)
    return [to_host(array) for array in (y, dx, grads["weight"])]


def assert_within_the_bound(device, algorithm, precision, S, C, k, O, images):
    given, exact = problem(S, C, k, O, images)
    found = results(Conv2d(C, O, k, algorithm=algorithm), *(to_device(array, device) for array in given))
    terms = {"y": k * k * C, "dx": k * k * O, "dweight": (S - k + 1) ** 2 * images}
    for (name, n), array, expected in zip(terms.items(), found, exact, strict=True):
        assert array.dtype == np.float32
        error = np.linalg.norm(array - expected) / np.linalg.norm(expected)
        bound = relative_error(n, precision, STAGES.get(algorithm, 1))
        assert error <= bound, f"{name} is off by {error:.1e}, at most {bound:.1e} for {n} products"


every_algorithm = pytest.mark.parametrize("algorithm", CONVOLUTIONS)


@every_algorithm
def test_a_convolution_is_as_exact_as_its_precision(algorithm, device, precision):
    assert_within_the_bound(device, algorithm, precision, 12, 5, 4, 6, images=4)


@pytest.mark.gpu
@every_algorithm
@pytest.mark.parametrize("name", PAPER)
def test_the_papers_convolutions_are_as_exact_as_their_precision(name, algorithm, cuda, precision):
    assert_within_the_bound(cuda, algorithm, precision, *PAPER[name], IMAGES)


def test_the_bound_of_float32_is_one_that_tf32_would_break():
    """Rounding the factors to 11 bits, about 2^-12 in each, exceeds the bound of every sum in the paper's network."""
    largest = max(relative_error(k * k * max(C, O), "float32", TRANSFORMED) for S, C, k, O in PAPER.values())
    assert largest < TF32_ROUNDOFF / 8


@pytest.mark.gpu
def test_tf32_is_less_exact_than_float32_and_float32_is_again_what_it_was(cuda, rng):
    """The largest product of the paper's network, as matrices."""
    a, b = (to_device(rng.standard_normal(shape).astype(np.float32), cuda) for shape in ((256, 9216), (9216, 512)))
    products = []
    for name in ("float32", "tf32", "float32"):
        set_precision(name)
        products.append(to_host(product(a, b)))
    exact = to_host(a).astype(np.float64) @ to_host(b).astype(np.float64)
    errors = [np.linalg.norm(found - exact) / np.linalg.norm(exact) for found in products]
    assert errors[0] == errors[2] <= relative_error(9216, "float32") < errors[1] <= relative_error(9216, "tf32")
