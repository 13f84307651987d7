"""Checks a primitive of HIPS autograd: are its vector-Jacobian products those of its forward?"""

import numpy as np
from autograd.core import make_vjp
from autograd.extend import defvjp, primitive

from scratchnet.gradcheck import check, draw


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@primitive
def gate(x, g):
    return x * sigmoid(g)


defvjp(
    gate, lambda y, x, g: lambda dy: dy * sigmoid(g), lambda y, x, g: lambda dy: dy * x * sigmoid(g) * (1 - sigmoid(g))
)


class AutogradLayer:
    def __init__(self, function):
        self.function = function

    def forward(self, params, *inputs):
        pullback, y = make_vjp(lambda arguments: self.function(*arguments), inputs)
        return y, pullback

    def backward(self, dy, pullback):
        return tuple(pullback(dy)), {}


params, inputs = draw(AutogradLayer(gate), (4, 3), (4, 3), seed=0)
print(check(AutogradLayer(gate), params, *inputs))
