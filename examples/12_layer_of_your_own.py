"""
12. A layer of your own, checked
================================

A layer is any object with ``init``, ``forward`` and ``backward``. Nothing has to be inherited or registered, and a
checker tells within a second whether backward is the derivative of forward.
"""

import numpy as np

import scratchnet as sn
from scratchnet.backend import array_module
from scratchnet.layers import Linear, Sequential

try:
    import matplotlib.pyplot as plt
except ImportError:
    plt = None
    print("matplotlib is not installed, so the picture is left out")

# %%
# Swish
# -----
# First the equations, then the code. y = x s with s = sigmoid(x), and by the product rule
#
# .. code-block:: text
#
#    dx = dy (s + x s (1 - s))     (1)
#
# forward returns y and a cache: what backward will need, here x and s. ``array_module`` is NumPy for NumPy's arrays
# and CuPy for those on a GPU, so the layer runs on both.


class Swish:
    def init(self, rng):
        return {}  # no parameters

    def forward(self, params, x):
        xp = array_module(x)
        s = 1 / (1 + xp.exp(-x))
        return x * s, (x, s)

    def backward(self, dy, cache):
        x, s = cache
        return dy * (s + x * s * (1 - s)), {}  # (1)


# %%
# Checked
# -------
# ``draw`` makes parameters and inputs of the shapes you name, and ``check`` compares backward with a complex step of
# forward.

params, inputs = sn.gradcheck.draw(Swish(), (4, 3), seed=0)
print(sn.gradcheck.check(Swish(), params, *inputs))

# %%
# In a network
# ------------
# It takes its place among the others, and the network is a layer again, so the same check covers it all.

network = Sequential({"dense1": Linear(3, 8), "swish": Swish(), "dense2": Linear(8, 2)})
params, inputs = sn.gradcheck.draw(network, (4, 3), seed=0)
print(network.summary(params, *inputs))
print("the network's gradients are right:", bool(sn.gradcheck.check(network, params, *inputs)))

if plt:
    x = np.linspace(-6, 6, 241)
    y, cache = Swish().forward({}, x)
    plt.plot(x, y, label="y")
    plt.plot(x, Swish().backward(np.ones_like(x), cache)[0], label="slope")
    plt.axhline(0, color="k", linewidth=0.5)
    plt.legend()
    plt.title("Swish, and its slope")
    plt.show()

# %%
# Exercise
# --------
# A ReLU that leaks, with a slope for each column that is learned (PReLU, He et al. 2015): y = x where x > 0, else
# slope[c] x, for x (N, C) and slope (C,). Write backward.


class PReLU:
    def init(self, rng):
        return {"slope": np.full(3, 0.25)}

    def forward(self, params, x):
        slope = params["slope"]
        return np.where(x.real > 0, x, slope * x), (x, slope)

    def backward(self, dy, cache):
        x, slope = cache
        ### BEGIN SOLUTION
        positive = x > 0
        return np.where(positive, dy, slope * dy), {"slope": (dy * np.where(positive, 0, x)).sum(axis=0)}
        ### END SOLUTION


def check(layer):
    """Says whether an answer is right, and if not, what is wrong."""
    params, (x,) = sn.gradcheck.draw(layer, (5, 3), seed=0)
    report = sn.gradcheck.check(layer, params, x)
    if report:
        return "right"
    dy = np.random.default_rng(0).standard_normal(x.shape)
    dx, grads = layer.backward(dy, layer.forward(params, x)[1])
    dslope = grads["slope"]
    if np.shape(dslope) != (3,):
        return f"refused: dslope has shape {np.shape(dslope)}, but slope has (3,): sum over what it was spread over"
    if np.allclose(dslope, (dy * x).sum(axis=0)):
        return "refused: dslope counts positive x too, where the slope was not used"
    if np.allclose(dx, np.where(x > 0, dy, 0)):
        return "refused: dx is that of ReLU; where x is negative, slope times dy still gets through"
    return f"refused: the checker says\n{report}"


print("your answer:", check(PReLU()))


### BEGIN HIDDEN TESTS
class NotSummed(PReLU):
    def backward(self, dy, cache):
        x, slope = cache
        return np.where(x > 0, dy, slope * dy), {"slope": dy * np.where(x > 0, 0, x)}


class NotMasked(PReLU):
    def backward(self, dy, cache):
        x, slope = cache
        return np.where(x > 0, dy, slope * dy), {"slope": (dy * x).sum(axis=0)}


class AsReLU(PReLU):
    def backward(self, dy, cache):
        x, _ = cache
        return np.where(x > 0, dy, 0), {"slope": (dy * np.where(x > 0, 0, x)).sum(axis=0)}


MISTAKES = [NotSummed(), NotMasked(), AsReLU()]
print("the usual mistakes:")
for mistake in MISTAKES:
    print(f"{type(mistake).__name__}: {check(mistake)}")
### END HIDDEN TESTS
