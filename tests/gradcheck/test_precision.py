"""float32 against float64: right layers lie within the bound on every device, sloppy arithmetic does not."""

import numpy as np
import pytest

from scratchnet.errors import ScratchnetError
from scratchnet.gradcheck import check_precision
from scratchnet.gradcheck.precision import TF32_ROUNDOFF
from scratchnet.layers import BatchNorm2d, Conv2d, Linear, MaxPool2d, ReLU, Sigmoid, WeightedL1
from scratchnet.ops.choose import CONVOLUTIONS

# (layer, shape of the input, the most products in any sum, options)
LAYERS = [
    *((Conv2d(4, 6, 3, algorithm=name), (8, 9, 3, 4), 7 * 6 * 3, {}) for name in CONVOLUTIONS),
    (Linear(200, 7), (5, 200), 200, {}),
    (BatchNorm2d(4), (6, 5, 3, 4), 90, {}),
    (BatchNorm2d(4), (6, 5, 3, 4), 90, {"training": True}),
    (MaxPool2d(2), (6, 8, 3, 4), 1, {}),
    (ReLU(), (6, 8), 1, {}),
    (Sigmoid(), (6, 8), 1, {}),
]


@pytest.mark.parametrize(("layer", "shape", "summands", "options"), LAYERS)
def test_float32_lies_within_the_bound_on_every_device(layer, shape, summands, options, device):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        params, x = layer.init(rng), rng.standard_normal(shape)
        report = check_precision(layer, params, (x,), summands=summands, seed=seed, device=device, **options)
        assert report, report
        assert {"y", "dx"} <= report.errors.keys()


def test_layers_of_two_inputs_have_both_gradients_bounded(rng):
    layer = WeightedL1(50)
    report = check_precision(layer, layer.init(rng), tuple(rng.standard_normal((2, 4, 50))), summands=50)
    assert report, report
    assert set(report.errors) == {"y", "dx1", "dx2", "dweight", "dbias"}


class Rounded(Linear):
    """A dense layer whose numbers pass through half precision."""

    def forward(self, params, x, training=False):
        return super().forward({n: p.astype(np.float16).astype(p.dtype) for n, p in params.items()}, x)


def test_half_precision_in_between_does_not_pass(rng):
    layer = Rounded(100, 5)
    params, x = layer.init(rng), rng.standard_normal((6, 100))

    class OnlyNarrow(Linear):
        def forward(self, params, x, training=False):
            return (layer if x.dtype == np.float32 else Linear(100, 5)).forward(params, x)

    report = check_precision(OnlyNarrow(100, 5), params, (x,), summands=100)
    assert not report
    assert "FAIL  y: float32 error" in str(report)
    assert "for sums of 100" in str(report)


def test_a_gradient_in_another_precision_or_with_nan_is_a_problem(rng):
    class Wide(ReLU):
        def backward(self, dy, cache):
            dx, grads = super().backward(dy, cache)
            return dx.astype(np.float64), grads

    class Broken(ReLU):
        def backward(self, dy, cache):
            dx, grads = super().backward(dy, cache)
            return dx * np.float32(np.nan), grads

    x = rng.standard_normal((3, 4))
    assert "dx is float64, expected float32" in str(check_precision(Wide(), {}, (x,), summands=1))
    assert "dx contains nan at (0, 0)" in str(check_precision(Broken(), {}, (x,), summands=1))


@pytest.mark.parametrize(("summands", "message"), [(0, "1 or more"), (10**6, "vacuous for sums of 1000000")])
def test_impossible_numbers_of_summands_are_refused(summands, message, rng):
    with pytest.raises(ScratchnetError, match=message):
        check_precision(ReLU(), {}, (rng.standard_normal(3),), summands=summands)


class OfElevenBits(Linear):
    """A dense layer whose products take factors of 11 bits, as in TF32."""

    def forward(self, params, x, training=False):
        return super().forward({name: eleven_bits(value) for name, value in params.items()}, eleven_bits(x))

    def backward(self, dy, cache):
        dx, grads = super().backward(eleven_bits(dy), cache)
        return dx, grads


def eleven_bits(array):
    if array.dtype != np.float32:
        return array
    bits = np.ascontiguousarray(array).view(np.uint32) + np.uint32(0x1000)
    return (bits & np.uint32(0xFFFFE000)).view(np.float32)


def test_factors_of_eleven_bits_pass_as_such_and_not_as_float32(rng):
    layer = OfElevenBits(200, 7)
    params, x = layer.init(rng), rng.standard_normal((5, 200))
    assert check_precision(layer, params, (x,), summands=200, operand_roundoff=TF32_ROUNDOFF)
    assert not check_precision(layer, params, (x,), summands=200)
