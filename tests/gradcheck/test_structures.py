"""Numbers, constants and nested structures as inputs, parameters, outputs and gradients."""

import numpy as np
import pytest

from scratchnet.errors import ScratchnetError
from scratchnet.gradcheck import check, draw, from_functions


class Perceptron:
    """Nested parameters, a dictionary of inputs, a pair of outputs."""

    def __init__(self, wrong=1.0):
        self.wrong = wrong

    def init(self, rng):
        return {"layers": [(rng.standard_normal((3, 4)), np.zeros(4)), (rng.standard_normal((4, 2)), np.zeros(2))]}

    def forward(self, params, batch):
        (w1, b1), (w2, b2) = params["layers"]
        a = batch["x"] @ w1 + b1
        y = np.maximum(a, 0) @ w2 + b2
        return {"y": y, "norms": [(a * a).sum(), float((y * y).sum())]}, (batch["x"], a, y, w1, w2)

    def backward(self, dout, cache):
        x, a, y, w1, w2 = cache
        dy = dout["y"] + 2 * dout["norms"][1] * y
        da = dy @ w2.T * (a > 0) + 2 * dout["norms"][0] * a
        grads = {"layers": [(x.T @ da, da.sum(0)), (self.wrong * np.maximum(a, 0).T @ dy, dy.sum(0))]}
        return {"x": da @ w1.T}, grads


def test_nested_parameters_inputs_outputs_and_gradients_are_checked_leaf_by_leaf(rng):
    params, _ = draw(Perceptron())
    batch = {"x": rng.standard_normal((5, 3)), "labels": np.arange(5), "name": "training"}
    report = check(Perceptron(), params, batch)
    assert report, report
    names = [tensor.name for tensor in report.tensors]
    assert names == ["batch.x", "layers.0.0", "layers.0.1", "layers.1.0", "layers.1.1"]
    assert "held constant: batch.labels (int64), batch.name (str)" in str(report)
    assert [t.name for t in check(Perceptron(wrong=1.01), params, batch).failed] == ["layers.1.0"]


def test_a_vanishing_gradient_of_a_nested_layer_is_tried_at_other_points(rng):
    layer = from_functions(lambda d: d["a"] * d["b"], lambda dy, d: {"a": dy * d["b"], "b": dy * d["a"]})

    def redraw(rng):
        return {}, [{"a": rng.standard_normal(3), "b": rng.standard_normal(3)}]

    at_zero = {"a": np.zeros(3), "b": rng.standard_normal(3)}
    assert check(layer, {}, at_zero).vacuous == ("d.b",)
    assert not check(layer, {}, at_zero, redraw=redraw).vacuous


@pytest.mark.parametrize("dinputs", [lambda dx: (dx, None), lambda dx: dx, lambda dx: {"x": dx}, lambda dx: [dx, None]])
def test_inputs_of_whole_numbers_need_no_gradient(dinputs, rng):
    def gradient(dy, x, numbers):
        dx = np.zeros(x.shape)
        np.add.at(dx, numbers, dy)
        return dinputs(dx)

    report = check(
        from_functions(lambda x, numbers: x[numbers], gradient), {}, rng.standard_normal(5), np.array([0, 2, 2])
    )
    assert report, report
    assert [tensor.name for tensor in report.tensors] == ["x"]


def test_parameters_of_whole_numbers_and_truth_values_stay(rng):
    class Masked:
        def init(self, rng):
            return {"w": np.ones(3), "keep": np.array([True, False, True]), "steps": np.array(0), "rate": 0.5}

        def forward(self, params, x):
            assert params["keep"].dtype == bool
            return np.where(params["keep"], x * params["w"] * params["rate"], 0), (x, params)

        def backward(self, dy, cache):
            x, p = cache
            dy = dy * p["keep"]
            grads = {"w": (dy * x).sum(0) * p["rate"], "rate": float((dy * x * p["w"]).sum()), "steps": None}
            return dy * p["w"] * p["rate"], grads

    params, (x,) = draw(Masked(), (4, 3))
    assert params["keep"].tolist() == [True, False, True]
    assert isinstance(params["rate"], float)
    assert params["rate"] != 0.5
    report = check(Masked(), params, x)
    assert report, report
    assert {tensor.name for tensor in report.tensors} == {"x", "w", "rate"}


def test_floats_come_as_floats_and_may_go_as_floats():
    def square(x):
        assert isinstance(x, float | complex)
        return x * x

    report = check(from_functions(square, lambda dy, x: 2 * dy * x), {}, 1.7)
    assert report, report
    assert not check(from_functions(square, lambda dy, x: 3 * dy * x), {}, 1.7)


def test_a_gradient_of_none_is_right_where_none_is_expected(rng):
    half = from_functions(lambda x, t: ((x - t) ** 2).mean(), lambda dy, x, t: (2 * dy * (x - t) / x.size, None))
    x, t = rng.standard_normal((2, 4, 3))
    for name in ("t", "x2"):
        assert check(half, {}, x, t, without_gradient=[name])
    assert "backward returned no gradient for t" in str(check(half, {}, x, t))


WRONG_QUESTIONS = {
    "a shape": (lambda f: check(f, {}, (4, 3)), r"draw\(layer, \(4, 3\)\), then check\(layer, params, \*inputs\)"),
    "a list": (lambda f: check(f, {}, [[1.0, 2.0]]), "forward raised TypeError"),
    "float32": (lambda f: check(f, {}, np.ones(3, np.float32)), r"x is float32, expected float64: x.astype"),
    "unknown tolerance": (lambda f: check(f, {}, np.ones(3), tolerance={"y": 1.0}), "no tensor is called y"),
    "unknown rule": (lambda f: check(f, {}, np.ones(3), contract={"view": False}), "did you mean 'views'"),
    "no rules": (lambda f: check(f, {}, np.ones(3), contract=["views"]), "expected True, False or rules such as"),
    "too many inputs": (lambda f: check(f, {}, np.ones(3), np.ones(3)), "forward raised TypeError"),
}


@pytest.mark.parametrize(("ask", "answer"), WRONG_QUESTIONS.values(), ids=WRONG_QUESTIONS)
def test_a_wrong_question_gets_the_right_call(ask, answer):
    square = from_functions(lambda x: x * x, lambda dy, x: 2 * dy * x)
    with pytest.raises(ScratchnetError, match=answer):
        ask(square)


def test_a_check_without_anything_to_look_at_does_not_pass():
    report = check(from_functions(lambda n: n * 1.0, lambda dy, n: None), {}, np.arange(3))
    assert not report
    assert "there is no gradient to look at" in str(report)


def test_a_backward_that_raises_is_reported_with_its_line(rng):
    report = check(from_functions(lambda x: x * x, lambda dy, x: dy @ x), {}, rng.standard_normal((4, 3)))
    assert not report
    assert "backward raised ValueError" in str(report)
    assert "test_structures.py, line" in str(report)
