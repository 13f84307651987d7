"""The report: how certain a pass is, in a text that fits on a screen."""

import math

import numpy as np
import pytest
from wrong_layers import Wrong

from scratchnet.gradcheck import Report, TensorCheck, check, from_functions, miss_probability
from scratchnet.gradcheck.contract import RULES
from scratchnet.gradcheck.report import TOLERANCE
from scratchnet.layers import Linear, Sigmoid


class Scaled:
    """y = x, whose backward is off by a vector of relative size `error` at right angles to the gradient."""

    def __init__(self, error):
        self.error = error

    def forward(self, params, x):
        return 1.0 * x, None

    def backward(self, dy, cache):
        across = np.ones(dy.shape)
        across -= dy * (dy @ across) / (dy @ dy)
        return dy + self.error * across * np.sqrt((dy @ dy) / (across @ across)), {}


@pytest.mark.parametrize(("directions", "ratio", "size"), [(1, 10, 2), (1, 10, 300), (2, 4, 2), (2, 4, 300)])
def test_a_wrong_gradient_passes_as_seldom_as_promised_whatever_its_dimension(directions, ratio, size):
    tolerance, trials = TOLERANCE["complex"], 2000
    layer, x = Scaled(ratio * tolerance), np.random.default_rng(1).standard_normal(size)
    reports = (
        check(layer, {}, x, seed=seed, method="complex", directions=directions, contract=False, entries=1)
        for seed in range(trials)
    )
    missed = sum(report.tensors[0].agrees for report in reports)
    bound = miss_probability(relative_error=ratio * tolerance, tolerance=tolerance, directions=directions)
    noise = 3 * math.sqrt(bound * (1 - bound) / trials)
    assert 0.7 * bound - noise < missed / trials < bound + noise  # and the bound is nearly reached


def test_the_probability_is_at_most_one_and_falls_with_every_direction():
    assert miss_probability(relative_error=1e-12, tolerance=1e-10, directions=2) == 1
    one, two = (miss_probability(relative_error=1e-6, tolerance=1e-10, directions=k) for k in (1, 2))
    assert one == pytest.approx(math.sqrt(2 / math.pi) * 1e-4)
    assert two == pytest.approx(one**2)


def test_more_directions_are_reported_with_the_probability_that_they_leave(rng):
    text = str(check(Scaled(0.0), {}, rng.standard_normal(5), directions=3))
    assert "a relative error of 1e-06 or more passes with probability at most 5e-13" in text
    assert "3 random directions per tensor" in text


class Many:
    """The sum of many parameters, each with its own wrong gradient."""

    def __init__(self, wrong):
        self.wrong = wrong

    def forward(self, params, x):
        return x + sum(params.values()), (x, len(params))

    def backward(self, dy, cache):
        return 1.0 * dy, {f"p{i}": dy * (2 + i if i in self.wrong else 1) for i in range(cache[1])}


@pytest.mark.parametrize("wrong", [set(), {3}, set(range(40))], ids=["right", "one wrong", "all wrong"])
def test_the_text_has_at_most_25_lines(wrong, rng):
    params = {f"p{i}": rng.standard_normal((2, 3)) for i in range(40)}
    report = check(Many(wrong), params, rng.standard_normal((2, 3)))
    assert bool(report) == (not wrong)
    assert len(str(report).splitlines()) <= 25


def test_many_problems_also_fit_into_25_lines():
    report = Report((), 0, problems=tuple(f"problem {i}" for i in range(60)))
    assert len(str(report).splitlines()) <= 25
    assert "more" in str(report)


def test_the_failure_nearest_the_output_comes_first(rng):
    params = {f"p{i}": rng.standard_normal((2, 3)) for i in range(6)}
    text = str(check(Many({1, 2, 4, 5}), params, rng.standard_normal((2, 3))))
    assert text.index("FAIL  p5") < text.index("FAIL  p4") < text.index("FAIL  p2") < text.index("FAIL  p1")
    assert text.count("hint:") == 3


def test_a_nan_fails_and_is_the_error_of_the_report():
    report = Report((TensorCheck("x", (2,), math.nan, "complex"), TensorCheck("w", (2,), 0.0, "complex")), 0)
    assert not report
    assert math.isnan(report.error)


def test_the_share_of_zeros_is_shown():
    class Half:
        def forward(self, params, x):
            return x[:2] * 1.0, None

        def backward(self, dy, cache):
            return np.concatenate([dy, 0 * dy]), {}

    report = check(Half(), {}, np.ones(4))
    assert report.tensors[0].zeros == 0.5
    assert "50% zeros" in str(report)


def test_a_report_shows_itself_in_a_notebook_in_colour_and_escaped(rng):
    layer = Wrong(Sigmoid(), lambda dx, grads: (2 * dx, grads))
    shown = check(layer, {}, rng.standard_normal((3, 4)))._repr_html_()
    assert shown.startswith('<pre><b style="color:#b00020">FAIL</b>')
    assert "<module" not in shown
    assert '<b style="color:#1a7f37">ok</b>' in check(Sigmoid(), {}, rng.standard_normal((3, 4)))._repr_html_()


def test_tolerances_go_by_name(rng):
    layer = Wrong(Linear(5, 2), lambda dx, grads: (dx, grads | {"bias": grads["bias"] * (1 + 1e-7)}))
    params, x = layer.layer.init(rng, np.float64), rng.standard_normal((3, 5))
    assert not check(layer, params, x)
    report = check(layer, params, x, tolerance={"bias": 1e-5})
    assert report
    assert [tensor.allowed for tensor in report.tensors] == [1e-10, 1e-10, 1e-5]
    assert check(layer, params, x, tolerance=1e-5)


@pytest.mark.parametrize("rule", ["views", "layouts", "zero", "linear", "state", "deterministic", "writes"])
def test_every_rule_of_the_contract_is_switched_off_by_its_name(rule, rng):
    held = check(Sigmoid(), {}, rng.standard_normal((3, 4)), contract={rule: False}).properties
    assert RULES[rule] not in held or rule == "writes"
    assert len(held) >= len(RULES) - 1


def test_a_broken_rule_is_reported_with_its_switch(rng):
    view = from_functions(lambda x: x.T, lambda dy, x: dy.T)
    x = rng.standard_normal((3, 4))
    assert 'if that is meant: contract={"views": False}' in str(check(view, {}, x))
    assert check(view, {}, x, contract={"views": False})
    assert check(view, {}, x, contract=False)
