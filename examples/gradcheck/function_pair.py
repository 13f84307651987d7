"""Checks a plain function and its gradient, written side by side."""

import numpy as np

from scratchnet.gradcheck import check, draw, from_functions


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gate(x, g):
    """y = x sigmoid(g)"""
    return x * sigmoid(g)


def gate_gradient(dy, x, g):
    """(dx, dg)"""
    s = sigmoid(g)
    return dy * s, dy * x * s * (1 - s)


layer = from_functions(gate, gate_gradient)
params, inputs = draw(layer, (4, 3), (4, 3), seed=0)
print(check(layer, params, *inputs))
