"""The method suits what the code under test can do; kinks within a step do not fail a right gradient."""

from typing import NamedTuple

import numpy as np
import pytest

from scratchnet.errors import ScratchnetError
from scratchnet.gradcheck import check
from scratchnet.gradcheck.differences import arrays_in, central
from scratchnet.gradcheck.point import Point


class Elementwise:
    """y = f(x), with dx = dy * slope(x)."""

    def __init__(self, f, slope):
        self.f, self.slope = f, slope

    def forward(self, params, x):
        return self.f(x), x

    def backward(self, dy, x):
        return dy * self.slope(x), {}


def into_real(x):
    y = np.empty(x.shape)
    y[...] = np.tanh(x)
    return y


def tanh_slope(x):
    return 1 - np.tanh(x) ** 2


NOT_COMPLEX = {
    "through Python's floats": (
        lambda x: np.array([[float(v) for v in row] for row in x]),
        np.ones_like,
        "ComplexWarning",
    ),
    "written into a real array": (into_real, tanh_slope, "ComplexWarning"),
    "something else for complex": (lambda x: x * (2 if x.dtype.kind == "c" else 1), np.ones_like, "its real part"),
}
WRITTEN_FOR_REAL_NUMBERS = {
    "abs": (abs, np.sign),
    "a function without complex loop": (np.cbrt, lambda x: np.cbrt(x) / x / 3),
    "conj": (lambda x: (x * np.conj(x)) + 0j * x if x.dtype.kind == "c" else x * x, lambda x: 2 * x),
    "real part only": (lambda x: x * x.real, lambda x: 2 * x),
}


@pytest.mark.parametrize(("f", "slope", "reason"), NOT_COMPLEX.values(), ids=NOT_COMPLEX)
def test_where_complex_step_fails_differences_take_over_and_the_report_says_why(f, slope, reason, rng):
    x = rng.choice([-1.0, 1.0], (3, 4)) * (0.5 + rng.random((3, 4)))
    report = check(Elementwise(f, slope), {}, x)
    assert report, report
    assert report.tensors[0].method == "central4"
    assert reason in report.tensors[0].reason
    assert "central differences, order 4" in str(report)
    wrong = check(Elementwise(f, lambda x: 1.001 * slope(x)), {}, x)
    assert not wrong
    assert wrong.tensors[0].mismatch.hint.startswith("a constant factor of 1.001")


@pytest.mark.parametrize(("f", "slope"), WRITTEN_FOR_REAL_NUMBERS.values(), ids=WRITTEN_FOR_REAL_NUMBERS)
def test_code_for_real_numbers_is_taken_through_the_complex_step_on_its_real_part(f, slope, rng):
    x = rng.standard_normal((3, 4))
    report = check(Elementwise(f, slope), {}, x)
    assert report, report
    assert report.tensors[0].method == "lifted"
    assert report.error < 1e-14
    assert "complex step on real parts" in str(report)
    wrong = check(Elementwise(f, lambda x: 1.001 * slope(x)), {}, x)
    assert not wrong
    assert wrong.tensors[0].mismatch.hint.startswith("a constant factor of 1.001")


def test_what_misleads_the_complex_step_and_backward_alike_is_still_a_bug(rng):
    report = check(Elementwise(lambda x: x * x.real, lambda x: x), {}, rng.standard_normal((3, 4)))
    assert not report
    assert check(Elementwise(lambda x: x * x.real, lambda x: x), {}, rng.standard_normal((3, 4)), method="complex")


def test_complex_step_alone_says_that_it_cannot(rng):
    with pytest.raises(ScratchnetError, match=r"forward cannot take complex numbers .*: use method='auto'"):
        check(Elementwise(abs, np.sign), {}, rng.standard_normal(3), method="complex")


@pytest.mark.parametrize(("order", "digits"), [(2, 1e-8), (4, 1e-10)])
def test_the_ladder_finds_a_good_step_and_an_honest_error_bar(order, digits, rng):
    for scale in (1e-3, 1.0, 1e3):
        x = scale * rng.standard_normal((5,))
        point = Point(Elementwise(lambda x, s=scale: np.sin(x / s), None), {}, (x,))
        direction, dy = rng.standard_normal((2, 5))
        found = central(point, "x", direction, dy, order)
        error = abs(found.value - float((dy * direction * np.cos(x / scale) / scale).sum()))
        assert error <= digits / scale
        assert error <= 10 * found.error + 1e-13 / scale
        assert not found.crosses_kink


class KinkedCache(NamedTuple):
    x: np.ndarray
    branches: dict


class Kinked(Elementwise):
    def forward(self, params, x):
        return self.f(x), KinkedCache(x, {"sign": (x > 0,)})

    def backward(self, dy, cache):
        return super().backward(dy, cache.x)


def test_steps_that_cross_a_kink_are_dropped_by_the_branches_of_the_layer(rng):
    x, direction, dy = np.array([1.0, 0.01]), np.array([1.0, 1.0]), np.array([1.0, 1.0])
    point = Point(Kinked(lambda x: x * (x > 0), None), {}, (x,))
    found = central(point, "x", direction, dy)
    assert found.step < 0.01
    assert found.value == pytest.approx(2.0, rel=1e-9)
    near = Point(Kinked(lambda x: x * (x > 0), None), {}, (np.array([1.0, 1e-9]),))
    assert central(near, "x", direction, dy).crosses_kink


def test_kinks_within_every_step_do_not_fail_a_right_gradient():
    x = np.array([1.0, 1e-9, -2e-9, 3.0])
    layer = Kinked(lambda x: x * (x > 0), lambda x: x > 0)
    for seed in range(10):
        assert check(layer, {}, x, seed=seed, method="central")
        assert not check(Kinked(layer.f, lambda x: 1.5 * (x > 0)), {}, x, seed=seed, method="central")


def test_arrays_are_found_in_any_nest():
    a, b = np.zeros(2), np.ones(3)
    assert [array.size for array in arrays_in({"a": (a, [b]), "c": None})] == [2, 3]
