"""
02. The dense layer
===================

Many neurons side by side, and many inputs at once, are a product of matrices. So are its three gradients: here is how
to find which matrices, and where the transposes come from.
"""

import numpy as np

try:
    import matplotlib.pyplot as plt
except ImportError:
    plt = None
    print("matplotlib is not installed, so the picture is left out")

# %%
# Forward
# -------
# N samples with C numbers each, a weight for each of C inputs and O outputs. Check one entry by hand:
# y[0, 0] = 1 * 1 + 2 * 0 + 0 * 2 + 10 = 11.

x = np.array([[1.0, 2, 0], [0, 1, 3]])  # (N=2, C=3)
weight = np.array([[1.0, 0], [0, 1], [2, -1]])  # (C=3, O=2)
bias = np.array([10.0, 20])  # (O=2,)
y = x @ weight + bias  # (N=2, O=2)
print(y)

# %%
# Backward, as sums
# -----------------
# We are given ``dy``, how much the loss changes with each entry of y. The rule is always the same: find every place
# where a number is used, multiply the gradient there by what it was multiplied with, and add them all up.
#
# - ``x[n, c]`` is used in every output o of its own sample, times ``weight[c, o]``.
# - ``weight[c, o]`` is used in every sample n, times ``x[n, c]``.
# - ``bias[o]`` is used in every sample, times 1.

dy = np.array([[1.0, 2], [0, -1]])
dx, dweight, dbias = np.zeros_like(x), np.zeros_like(weight), np.zeros_like(bias)
for n in range(2):
    for o in range(2):
        dbias[o] += dy[n, o]
        for c in range(3):
            dx[n, c] += dy[n, o] * weight[c, o]
            dweight[c, o] += x[n, c] * dy[n, o]
print("dx\n", dx, "\ndweight\n", dweight, "\ndbias\n", dbias, sep="")

# %%
# The picture shows which numbers meet: one entry of ``dx`` takes a row of ``dy`` and a row of ``weight``; one entry of
# ``dweight`` a column of ``x`` and a column of ``dy``.

if plt:
    panels = [
        ("dy[0, :]", dy, np.s_[0, :]),
        ("weight[1, :]", weight, np.s_[1, :]),
        ("dx[0, 1]", dx, np.s_[0, 1]),
        ("x[:, 1]", x, np.s_[:, 1]),
        ("dy[:, 0]", dy, np.s_[:, 0]),
        ("dweight[1, 0]", dweight, np.s_[1, 0]),
    ]
    _, axes = plt.subplots(2, 3, figsize=(7, 5))
    for axis, (title, array, part) in zip(axes.flat, panels, strict=True):
        used = np.zeros(array.shape)
        used[part] = 1
        axis.imshow(used, cmap="Blues", vmin=0, vmax=2)
        for (row, column), value in np.ndenumerate(array):
            axis.text(column, row, f"{value:g}", ha="center", va="center", fontsize=13)
        axis.set(title=title, xticks=[], yticks=[])
    plt.tight_layout()
    plt.show()

# %%
# Exercise
# --------
# Write backward without loops: three products or sums of whole arrays that give the numbers above. Shapes are a good
# guide, but not a proof: the check uses a square weight, which fits either way round.


class Dense:
    def init(self, rng):
        return {"weight": rng.standard_normal((3, 3)), "bias": rng.standard_normal(3)}

    def forward(self, params, x):
        return x @ params["weight"] + params["bias"], (x, params["weight"])

    def backward(self, dy, cache):
        x, weight = cache
        ### BEGIN SOLUTION
        return dy @ weight.T, {"weight": x.T @ dy, "bias": dy.sum(axis=0)}
        ### END SOLUTION


def check(layer):
    """Says whether an answer is right, and if not, what is wrong."""
    rng = np.random.default_rng(0)
    weight, x, dy = rng.standard_normal((3, 3)), rng.standard_normal((4, 3)), rng.standard_normal((4, 3))
    dx, grads = layer.backward(dy, layer.forward({"weight": weight, "bias": np.zeros(3)}, x)[1])
    got = {"x": dx, **grads}
    right = {"x": np.einsum("no,co->nc", dy, weight), "weight": np.einsum("nc,no->co", x, dy), "bias": dy.sum(axis=0)}
    for name, expected in right.items():
        if np.shape(got[name]) != expected.shape:
            return f"refused: d{name} has shape {np.shape(got[name])}, but {name} has {expected.shape}"
        if np.allclose(got[name], expected):
            continue
        if np.allclose(got[name] * len(x), expected):
            return f"refused: d{name} is a mean over the samples; y is not a mean, so it has to be a sum"
        if name == "weight" and np.allclose(got[name].T, expected):
            return "refused: dweight is transposed; its rows belong to the inputs c, as in weight"
        if name == "x" and np.allclose(got[name], dy @ weight):
            return "refused: dx goes through weight the wrong way round; it sums over the outputs o"
        return f"refused: d{name} is not the sum above"
    return "right"


print("your answer:", check(Dense()))


### BEGIN HIDDEN TESTS
class NotTransposed(Dense):
    def backward(self, dy, cache):
        x, weight = cache
        return dy @ weight, {"weight": x.T @ dy, "bias": dy.sum(axis=0)}


class OtherWayRound(Dense):
    def backward(self, dy, cache):
        x, weight = cache
        return dy @ weight.T, {"weight": dy.T @ x, "bias": dy.sum(axis=0)}


class Averaged(Dense):
    def backward(self, dy, cache):
        x, weight = cache
        return dy @ weight.T, {"weight": x.T @ dy, "bias": dy.mean(axis=0)}


MISTAKES = [NotTransposed(), OtherWayRound(), Averaged()]
print("the usual mistakes:")
for mistake in MISTAKES:
    print(f"{type(mistake).__name__}: {check(mistake)}")
### END HIDDEN TESTS
