"""Plain functions as layers."""

import numpy as np

from scratchnet.gradcheck import check, draw, from_functions


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
