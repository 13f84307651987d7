"""
03. Convolution is the dense layer at every offset
==================================================

A kernel slides over an image and gives a weighted sum at each place. Turn the loops round, and it is lesson 02 once
for each entry of the kernel: nine dense layers for a 3 x 3 kernel, added up.
"""

import numpy as np

try:
    import matplotlib.pyplot as plt
except ImportError:
    plt = None
    print("matplotlib is not installed, so the picture is left out")

# %%
# The sliding sum
# ---------------
# An image of 4 x 4 pixels, a kernel of 2 x 2. By hand: y[0, 0] = 1 * 1 + 0 * 0 + 0 * 0 + 3 * -1 = -2.

x = np.array([[1.0, 0, 2, 1], [0, 3, 1, 0], [2, 1, 0, 1], [1, 0, 1, 2]])
kernel = np.array([[1.0, 0], [0, -1]])
y = np.array([[(x[i : i + 2, j : j + 2] * kernel).sum() for j in range(3)] for i in range(3)])
print(y)

# %%
# The same, loops turned round
# ----------------------------
# For each entry (a, b) of the kernel: shift the image by (a, b), multiply all of it by that one number, add. Four
# sums of whole arrays instead of nine of small ones.

shifted = sum(x[a : a + 3, b : b + 3] * kernel[a, b] for a in range(2) for b in range(2))
print("the same:", np.array_equal(y, shifted))

# %%
# With channels
# -------------
# A map is (H, W, N, C): at each pixel (i, j) a matrix (N, C), as the input of a dense layer. A kernel is (kh, kw, C,
# O): at each offset (a, b) a matrix (C, O), as its weight. The number becomes a product of matrices, and the line
# stays:
#
# .. code-block:: text
#
#    y[i, j]               = sum over a, b of  x[i + a, j + b] @ weight[a, b]
#    dweight[a, b]         = sum over i, j of  x[i + a, j + b].T @ dy[i, j]
#    dx[i + a, j + b]     += dy[i, j] @ weight[a, b].T
#
# The gradients are those of the dense layer, at every offset. Since a pixel of x is seen by several outputs, its
# gradients add up: ``+=``.


def conv(x, weight):
    """x (H, W, N, C), weight (kh, kw, C, O) to y (H - kh + 1, W - kw + 1, N, O)."""
    kh, kw = weight.shape[:2]
    Ho, Wo = x.shape[0] - kh + 1, x.shape[1] - kw + 1
    return sum(x[a : a + Ho, b : b + Wo] @ weight[a, b] for a in range(kh) for b in range(kw))


print("with N = C = O = 1:", np.array_equal(conv(x[..., None, None], kernel[..., None, None])[..., 0, 0], y))

# %%
# Backward
# --------
# Let only one output pixel matter: dy is 1 at (1, 1) and 0 elsewhere. What reaches x is the kernel itself, laid down
# at (1, 1). Two outputs side by side lay down two kernels that overlap.

dy = np.zeros((3, 3))
dy[1, 1] = 1
dx = np.zeros((4, 4))
for a in range(2):
    for b in range(2):
        dx[a : a + 3, b : b + 3] += dy * kernel[a, b]
print(dx)

if plt:
    _, axes = plt.subplots(1, 3, figsize=(9, 3.2))
    for axis, array, title in zip(
        axes, (dy, kernel, dx), ("dy: one pixel", "kernel", "dx: the kernel, there"), strict=True
    ):
        axis.imshow(array, cmap="coolwarm", vmin=-1.5, vmax=1.5)
        for (i, j), value in np.ndenumerate(array):
            axis.text(j, i, f"{value:g}", ha="center", va="center")
        axis.set(title=title, xticks=[], yticks=[])
    plt.tight_layout()
    plt.show()

# %%
# Exercise
# --------
# Write backward: ``dx`` and ``dweight``, for maps with channels. A loop over the offsets is all it takes; as in 02,
# the check uses as many outputs as inputs, so that shapes won't help you.


class Conv:
    def init(self, rng):
        return {"weight": rng.standard_normal((3, 2, 2, 2))}

    def forward(self, params, x):
        return conv(x, params["weight"]), (x, params["weight"])

    def backward(self, dy, cache):
        x, weight = cache
        Ho, Wo = dy.shape[:2]
        ### BEGIN SOLUTION
        dx, dweight = np.zeros_like(x), np.zeros_like(weight)
        for a, b in np.ndindex(weight.shape[:2]):
            dweight[a, b] = np.einsum("ijnc,ijno->co", x[a : a + Ho, b : b + Wo], dy)
            dx[a : a + Ho, b : b + Wo] += dy @ weight[a, b].T
        return dx, {"weight": dweight}
        ### END SOLUTION


def check(layer):
    """Says whether an answer is right, and if not, what is wrong."""
    rng = np.random.default_rng(0)
    x, weight, dy = (rng.standard_normal(shape) for shape in ((5, 4, 2, 2), (3, 2, 2, 2), (3, 3, 2, 2)))
    dx, grads = layer.backward(dy, layer.forward({"weight": weight}, x)[1])
    right, other, last, dweight = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x), np.zeros_like(weight)
    flipped = np.zeros_like(x)
    for i, j, a, b in np.ndindex(3, 3, 3, 2):
        dweight[a, b] += x[i + a, j + b].T @ dy[i, j]
        right[i + a, j + b] += dy[i, j] @ weight[a, b].T
        other[i + a, j + b] += dy[i, j] @ weight[a, b]
        flipped[i + a, j + b] += dy[i, j] @ weight[2 - a, 1 - b].T
    for a, b in np.ndindex(3, 2):
        last[a : a + 3, b : b + 3] = dy @ weight[a, b].T
    if np.shape(dx) != x.shape or np.shape(grads["weight"]) != weight.shape:
        return "refused: a gradient has the shape of what it is the gradient of"
    if not np.allclose(grads["weight"], dweight):
        return "refused: dweight[a, b] is the sum over i, j of x[i + a, j + b].T @ dy[i, j]"
    reasons = [
        (right, "right"),
        (other, "refused: dx goes through each matrix of the kernel the wrong way round: .T"),
        (last, "refused: a pixel is seen by several outputs, and all their gradients count: +="),
        (flipped, "refused: the kernel is flipped; output i saw x[i + a] through weight[a], and so does dx"),
    ]
    return next(
        (reason for expected, reason in reasons if np.allclose(dx, expected)), "refused: dx is not the sum above"
    )


print("your answer:", check(Conv()))


### BEGIN HIDDEN TESTS
class Wrong(Conv):
    def __init__(self, turned=lambda matrix: matrix.T, kernel=lambda weight: weight, adds=True):
        self.turned, self.kernel, self.adds = turned, kernel, adds

    def backward(self, dy, cache):
        x, weight = cache
        _, grads = super().backward(dy, cache)
        dx, (Ho, Wo) = np.zeros_like(x), dy.shape[:2]
        for a, b in np.ndindex(weight.shape[:2]):
            place = dx[a : a + Ho, b : b + Wo]
            place[...] = dy @ self.turned(self.kernel(weight)[a, b]) + (place if self.adds else 0)
        return dx, grads


MISTAKES = [Wrong(turned=lambda matrix: matrix), Wrong(adds=False), Wrong(kernel=lambda weight: weight[::-1, ::-1])]
print("the usual mistakes:")
for mistake in MISTAKES:
    print(check(mistake))
### END HIDDEN TESTS
