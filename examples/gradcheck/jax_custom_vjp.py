"""Checks a jax.custom_vjp function: is its backward the derivative of its forward?"""

import jax
import numpy as np

from scratchnet.gradcheck import check, draw

jax.config.update("jax_enable_x64", True)  # JAX's default is float32


@jax.custom_vjp
def gate(x, g):
    """y = x sigmoid(g)"""
    return x / (1 + jax.numpy.exp(-g))


def gate_backward(residuals, dy):
    x, g = residuals
    s = 1 / (1 + jax.numpy.exp(-g))
    return dy * s, dy * x * s * (1 - s)


gate.defvjp(lambda x, g: (gate(x, g), (x, g)), gate_backward)


class JaxLayer:
    def __init__(self, function):
        self.function = function

    def forward(self, params, *inputs):
        y, pullback = jax.vjp(self.function, *map(jax.numpy.asarray, inputs))
        return np.asarray(y), pullback

    def backward(self, dy, pullback):
        return tuple(np.asarray(dx) for dx in pullback(jax.numpy.asarray(dy))), {}


params, inputs = draw(JaxLayer(gate), (4, 3), (4, 3), seed=0)
print(check(JaxLayer(gate), params, *inputs))
