"""
07. Checking a gradient, finding a planted bug
==============================================

A wrong gradient doesn't crash, and a network often learns with it, only worse. So compare backward with what forward
does when its input moves a little. How little is the question, and complex numbers are a surprising answer.
"""

import numpy as np

from scratchnet.gradcheck import check as gradcheck
from scratchnet.gradcheck import draw

try:
    import matplotlib.pyplot as plt
except ImportError:
    plt = None
    print("matplotlib is not installed, so the picture is left out")

# %%
# Three ways to measure a slope
# -----------------------------
# Take f(x) = ``exp(x) / (1 + x^2)`` at x = 1.5. A large step measures a chord, not the tangent. With a small one,
# f(x + h) and f(x) agree in nearly all digits, and subtracting them leaves noise.
#
# The third way subtracts nothing: step by h along the imaginary axis, and f(x + ih) = f(x) + ih f'(x) + ..., so the
# imaginary part is h f'(x). With h = 1e-30 the error is that of rounding.


def f(x):
    return np.exp(x) / (1 + x * x)


x = 1.5
slope = np.exp(x) * (1 - x) ** 2 / (1 + x * x) ** 2  # by hand
methods = {
    "forward difference": lambda h: (f(x + h) - f(x)) / h,
    "central difference": lambda h: (f(x + h) - f(x - h)) / (2 * h),
    "complex step": lambda h: f(x + 1j * h).imag / h,
}
for name, method in methods.items():
    print(
        f"{name:18}", *(f"h = {h:.0e}: off by {abs(method(h) / slope - 1):.0e}" for h in (1e-2, 1e-6, 1e-30)), sep="   "
    )

if plt:
    steps = 10.0 ** np.arange(-16, 0.1, 0.25)
    for name, method in methods.items():
        plt.loglog(steps, [max(abs(method(h) / slope - 1), 1e-17) for h in steps], ".-", label=name)
    plt.xlabel("step h")
    plt.ylabel("relative error")
    plt.legend()
    plt.show()

# %%
# A planted bug
# -------------
# Softmax turns scores into shares: y = exp(x) / sum of exp(x), along each row. There is a mistake in this backward.


class Broken:
    def forward(self, params, x):
        e = np.exp(x - x.real.max(axis=-1, keepdims=True))  # .real: complex numbers have no largest
        y = e / e.sum(axis=-1, keepdims=True)
        return y, y

    def backward(self, dy, y):
        return y * (dy - dy.mean(axis=-1, keepdims=True)), {}


# %%
# The test that many people write would not find it: with ``dy`` all ones, as ``y.sum()`` gives it. The shares of a row
# always add up to 1, so the right dx is 0, and that of the broken layer is 0 as well. (``draw`` makes a random x, here
# of four rows.)

params, (x,) = draw(Broken(), (4, 3), seed=0)
y, cache = Broken().forward(params, x)
print("dx for dy = 1:", Broken().backward(np.ones_like(y), cache)[0].any() or "all zero, as it should be")

# %%
# scratchnet's checker draws a random ``dy``, and finds it. Read the report from the top: which tensor, where it is
# worst, and what backward says there (analytic) beside what forward does (numeric).

print(gradcheck(Broken(), params, x))

# %%
# Exercise
# --------
# Mend it. Raising one score raises its own share and lowers all others in its row. So dx[j] is the sum over k of
# dy[k] times the derivative of y[k] for x[j], and that derivative is
#
# .. code-block:: text
#
#    y[j] - y[j] y[j]     for k = j
#         - y[k] y[j]     for all others


class Softmax(Broken):
    def backward(self, dy, y):
        ### BEGIN SOLUTION
        return y * (dy - (dy * y).sum(axis=-1, keepdims=True)), {}
        ### END SOLUTION


def check(layer):
    """Says whether an answer is right, and if not, what is wrong."""
    _, (x,) = draw(layer, (4, 3), seed=1)
    if gradcheck(layer, {}, x):
        return "right"
    dy = np.random.default_rng(0).standard_normal(x.shape)
    y, cache = layer.forward({}, x)
    dx = layer.backward(dy, cache)[0]
    if np.shape(dx) != x.shape:
        return f"refused: dx has shape {np.shape(dx)}, but x has {x.shape}"
    if np.allclose(dx, y * dy) or np.allclose(dx, y * (1 - y) * dy):
        return "refused: a score also moves the shares of the others in its row"
    if np.allclose(dx, y * (dy - dy.sum(axis=-1, keepdims=True))):
        return "refused: the sum over a row weighs each dy by its share y"
    if np.allclose(dx, y * (dy - (dy * y).sum())):
        return "refused: the rows are samples of their own; sum along a row (axis=-1), not over all of them"
    return f"refused: the checker says\n{gradcheck(layer, {}, x)}"


print("your answer:", check(Softmax()))


### BEGIN HIDDEN TESTS
class OnlyItself(Broken):
    def backward(self, dy, y):
        return y * (1 - y) * dy, {}


class NotWeighed(Broken):
    def backward(self, dy, y):
        return y * (dy - dy.sum(axis=-1, keepdims=True)), {}


class AllRows(Broken):
    def backward(self, dy, y):
        return y * (dy - (dy * y).sum()), {}


MISTAKES = [OnlyItself(), NotWeighed(), AllRows()]
print("the usual mistakes:")
for mistake in MISTAKES:
    print(f"{type(mistake).__name__}: {check(mistake)}")
### END HIDDEN TESTS
