"""The report says what a wrong gradient is instead."""

import numpy as np
import pytest
from wrong_layers import EVERY, Convolution, lost, report_of

from scratchnet.gradcheck import check


def scaled(name, factor):
    return lambda dx, grads: (dx, grads | {name: factor * grads[name]})


HINTS = {
    "factor 2: counted twice": scaled("weight", 2),
    "factor 1/2: a factor of 2 is missing, or only one of the two twins is counted": scaled("weight", 0.5),
    "factor -1: wrong sign": scaled("weight", -1),
    "factor 1/40, the length of y (4, 5, 2, 4) along axes 0, 1 and 2: averaged instead of": scaled("bias", 1 / 40),
    "factor 5, the length of y (4, 5, 2, 4) along axis 1: summed instead of averaged": scaled("bias", 5),
    "factor 1/37: averaged over 37 instead of summed": scaled("bias", 1 / 37),
    "factor 37: summed over 37 instead of averaged": scaled("bias", 37),
    "a constant factor of 0.9995": scaled("bias", 0.9995),
    "analytic is (1 +1e-07) times numeric": scaled("weight", 1 + 1e-7),
    "forgotten: backward leaves it at zero": scaled("bias", 0),
    "analytic equals numeric flipped along axes 0 and 1: kernel not flipped": lambda dx, grads: (
        dx,
        grads | {"weight": grads["weight"][::-1, ::-1]},
    ),
    "analytic equals numeric transposed in axes 2 and 3": lambda dx, grads: (
        dx,
        grads | {"weight": grads["weight"].swapaxes(2, 3)},
    ),
    "analytic equals numeric shifted by 1 along axis 1": lambda dx, grads: (np.roll(dx, 1, axis=1), grads),
    "analytic equals numeric read in Fortran order": lambda dx, grads: (dx.ravel("F").reshape(dx.shape), grads),
    "lost: backward leaves these entries at zero": lost(EVERY, -1),
}


@pytest.mark.parametrize(("hint", "mistake"), HINTS.items(), ids=HINTS)
def test_the_report_says_what_a_wrong_gradient_is_instead(hint, mistake):
    for seed in range(5):
        report = report_of(Convolution(mistake), seed)
        assert len(report.failed) == 1
        assert f"hint: {hint}" in str(report)
        assert report.failed[0].mismatch.kind == "bug"


@pytest.mark.parametrize(
    ("hint", "change"),
    [
        ("correct if weight were flipped along axes 0 and 1", lambda weight: weight[::-1, ::-1]),
        ("correct if weight were transposed in axes 2 and 3", lambda weight: weight.swapaxes(2, 3)),
    ],
)
def test_an_input_gradient_from_the_wrong_kernel_is_recognised(hint, change):
    report = report_of(Convolution(weight_in_backward=change))
    assert [tensor.name for tensor in report.failed] == ["x"]
    assert hint in str(report)


def test_only_one_of_two_inputs_counted_is_called_only_one_twin(rng):
    class Distance:
        def forward(self, params, a, b):
            return ((a - b) * (a - b)).sum(axis=-1), a - b

        def backward(self, dy, difference):
            da = 2 * dy[:, None] * difference
            return (da, 0 * da), {}

    report = check(Distance(), {}, *rng.standard_normal((2, 3, 4)))
    assert [tensor.name for tensor in report.failed] == ["b"]
    assert "only one twin is counted" in str(report)
