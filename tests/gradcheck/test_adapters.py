"""Plain functions as layers."""

import numpy as np
import pytest

from scratchnet.errors import ScratchnetError
from scratchnet.gradcheck import check, draw, from_callback, from_functions, from_pair, from_value_and_gradient


def gate(x, g):
    return x * np.tanh(g)


def gate_gradient(dy, x, g):
    return dy * np.tanh(g), dy * x / np.cosh(g) ** 2


def affine(x, scale, shift):
    return x * scale + shift


def affine_gradient(dy, x, scale, shift):
    return dy * scale, {"scale": (dy * x).sum(axis=0), "shift": dy.sum(axis=0)}


def test_a_pair_of_functions_is_checked_in_each_argument():
    layer = from_functions(gate, gate_gradient)
    report = check(layer, {}, *draw(layer, (3, 4), (3, 4))[1])
    assert report, report
    assert [tensor.name for tensor in report.tensors] == ["x", "g"]


def test_parameters_are_arguments_by_name():
    layer = from_functions(affine, affine_gradient)
    params, inputs = draw(layer, (3, 4), params={"scale": (4,), "shift": (4,)})
    report = check(layer, params, *inputs)
    assert report, report
    assert [tensor.name for tensor in report.tensors] == ["x", "scale", "shift"]


def test_a_wrong_gradient_is_caught():
    layer = from_functions(np.tanh, lambda dy, x: dy * (1 - np.tanh(x)))
    assert not check(layer, {}, *draw(layer, (3, 4))[1])


def test_it_is_called_like_its_function():
    assert str(from_functions(gate, gate_gradient)) == "gate"


def affine_forward(x, w, b):
    return x @ w + b, (x, w)


def affine_backward(dout, cache):
    x, w = cache
    return dout @ w.T, x.T @ dout, dout.sum(axis=0)


def test_a_pair_as_in_a_course_is_checked_in_all_its_arguments(rng):
    x, w, b = rng.standard_normal((4, 3)), rng.standard_normal((3, 2)), rng.standard_normal(2)
    report = check(from_pair(affine_forward, affine_backward), {}, x, w, b)
    assert report, report
    assert [tensor.name for tensor in report.tensors] == ["x", "w", "b"]
    wrong = from_pair(affine_forward, lambda dout, cache: (*affine_backward(dout, cache)[:2], dout.mean(axis=0)))
    assert [tensor.name for tensor in check(wrong, {}, x, w, b).failed] == ["b"]


@pytest.mark.parametrize("value", [np.float64, float])
def test_value_and_gradient_come_from_one_function_or_two(value, rng):
    x = rng.standard_normal(5)
    assert check(from_value_and_gradient(lambda x: (value(np.sum(x**2)), 2 * x)), {}, x)
    assert check(from_value_and_gradient(lambda x: np.sum(x**2), lambda x: 2 * x), {}, x)
    assert not check(from_value_and_gradient(lambda x: (value(np.sum(x**2)), x)), {}, x)
    nested = from_value_and_gradient(lambda p: (np.sum(p["a"] * p["b"]), {"a": p["b"], "b": p["a"]}))
    assert check(nested, {}, {"a": x, "b": 2 * x})


def test_a_callback_takes_dy_back(rng):
    x = rng.standard_normal((4, 3))
    assert check(from_callback(lambda X: (np.tanh(X), lambda dY: dY / np.cosh(X) ** 2)), {}, x)
    assert not check(from_callback(lambda X: (np.tanh(X), lambda dY: dY / np.cosh(X))), {}, x)


def test_options_go_to_both_functions_or_to_forward_alone(rng):
    x = rng.standard_normal((4, 3))
    both = from_functions(lambda x, scale=1: scale * x, lambda dy, x, scale=1: scale * dy)
    assert check(both, {}, x, scale=3.0)
    forward_alone = from_functions(lambda x, check_finite=True: 2 * x, lambda dy, x: 2 * dy)
    assert check(forward_alone, {}, x, check_finite=False)


@pytest.mark.parametrize(
    ("make", "answer"),
    [
        (lambda: from_functions(np.sin, None), r"gradient is a NoneType, expected a function: from_functions\("),
        (lambda: from_pair(3, affine_backward), "forward is a int, expected a function"),
        (lambda: check(from_pair(np.sin, affine_backward), {}, np.ones(3)), r"expected \(y, cache\)"),
        (lambda: check(from_value_and_gradient(np.sum), {}, np.ones(3)), r"from_value_and_gradient\(f, gradient\)"),
        (lambda: check(from_callback(np.sin), {}, np.ones(3)), r"expected y, backprop = forward\(x\)"),
    ],
)
def test_what_does_not_fit_an_adapter_is_told_what_does(make, answer):
    with pytest.raises(ScratchnetError, match=answer):
        make()


def test_the_data_of_a_loss_need_no_gradient(rng):
    """scipy's habit: loss, gradient = f(w, X, t), the gradient of the first alone."""

    def logistic(w, X, t, penalty):
        z = X @ w
        gradient = -(X.T @ (t / (1 + np.exp(t * z)))) / len(t) + penalty * w
        return np.logaddexp(0, -t * z).mean() + penalty / 2 * w @ w, gradient

    w, X, t = rng.standard_normal(5), rng.standard_normal((20, 5)), np.where(rng.random(20) < 0.5, -1, 1)
    layer = from_value_and_gradient(logistic)
    assert check(layer, {}, w, X, t, penalty=0.1, without_gradient=["X"])
    assert "no gradient for X" in str(check(layer, {}, w, X, t, penalty=0.1))


def test_an_array_is_the_gradient_of_a_list_of_numbers():
    layer = from_value_and_gradient(lambda x: (x[0] ** 2 * x[1], np.array([2 * x[0] * x[1], x[0] ** 2])))
    assert check(layer, {}, [1.5, -2.0])


class Unfinished:
    """A class where a layer of it was meant."""


@pytest.mark.parametrize(
    ("ask", "answer"),
    [
        (lambda x: check(np.sin, np.cos, x), r"sin has no forward and backward; .*from_functions\(f, gradient\)"),
        (lambda x: check(np.sin, {}, x), r"sin has no forward and backward"),
        (lambda x: check(Unfinished, {}, x), r"Unfinished is a class, expected a layer: check\(Unfinished\(\.\.\.\)"),
        (
            lambda x: check(from_functions(np.sin, np.cos), {}, x + 1j),
            r"is complex128, expected float64: x.real and x.imag",
        ),
    ],
)
def test_a_wrong_question_is_answered_with_the_right_call(ask, answer, rng):
    with pytest.raises(ScratchnetError, match=answer):
        ask(rng.standard_normal(3))
