"""
06. Batch norm, its gradient line by line
=========================================

Batch norm subtracts the mean of a channel and divides by its spread. Its backward pass is where most people give up,
since every number of the batch moves the mean and the spread, and through them every other number. Five small steps
do it.
"""

import numpy as np

try:
    import matplotlib.pyplot as plt
except ImportError:
    plt = None
    print("matplotlib is not installed, so the picture is left out")

# %%
# Forward, in small steps
# -----------------------
# One channel, M = 4 numbers. Each line uses one operation, so that each has a simple way back.

x = np.array([1.0, 2, 4, 9])
M = len(x)
mean = x.sum() / M  # 4
d = x - mean  # -3, -2, 0, 5
variance = (d * d).sum() / M  # 9.5
std = np.sqrt(variance)
z = d / std
print("mean", mean, "variance", variance, "z", z.round(3))

# %%
# Backward, the same lines from the last to the first
# ---------------------------------------------------
# ``dz`` is given; ``dd`` is the gradient of d, and so on. Where a number was used twice, as d was (for the variance
# and for z), its gradients add up.

dz = np.array([1.0, 0, -1, 2])
dd = dz / std  # z = d / std, through the numerator
dstd = -(dz * d).sum() / std**2  # and through the denominator, which all of z share
dvariance = dstd / (2 * std)  # the slope of the square root
dd = dd + dvariance * 2 * d / M  # variance = sum of d d / M
dmean = -dd.sum()  # d = x - mean, for all of d
dx = dd + dmean / M  # x is in d, and in the mean
print("dx", dx)

# %%
# Substitute these lines into each other, and little is left. Since the sum of d is 0, dmean is only -sum(dz) / std, and
#
# .. code-block:: text
#
#    dx = (dz - mean(dz) - z * mean(dz * z)) / std
#
# Read it as: dz, less what moves the mean, less what moves the spread. Neither can get through, since batch norm
# removes both.

short = (dz - dz.mean() - z * (dz * z).mean()) / std
print("the same:", np.allclose(short, dx))
print("dx sums to 0, and so does dx * z:", np.allclose([dx.sum(), (dx * z).sum()], 0))

if plt:
    parts = {"dz / std": dz / std, "- mean(dz) / std": -dz.mean() / std + 0 * dz,
             "- z mean(dz z) / std": -z * (dz * z).mean() / std, "dx, the sum": dx}  # fmt: skip
    _, axis = plt.subplots(figsize=(8, 3.4))
    for k, (name, values) in enumerate(parts.items()):
        axis.bar(np.arange(M) + 0.2 * k - 0.3, values, 0.2, label=name)
    axis.set(xticks=range(M), xticklabels=[f"x = {value:g}" for value in x], title="what reaches each number")
    axis.axhline(0, color="k", linewidth=0.8)
    axis.legend()
    plt.tight_layout()
    plt.show()

# %%
# Exercise
# --------
# The layer also has a weight and a bias, y = weight * z + bias, and x is (M, C): a column for each channel. Write
# backward.


class BatchNorm:
    def init(self, rng):
        return {"weight": rng.standard_normal(3), "bias": rng.standard_normal(3)}

    def forward(self, params, x):
        std = np.sqrt(((x - x.mean(axis=0)) ** 2).mean(axis=0) + 1e-5)  # 1e-5: never divide by 0
        z = (x - x.mean(axis=0)) / std
        return params["weight"] * z + params["bias"], (z, std, params["weight"])

    def backward(self, dy, cache):
        z, std, weight = cache
        ### BEGIN SOLUTION
        dz = dy * weight
        dx = (dz - dz.mean(axis=0) - z * (dz * z).mean(axis=0)) / std
        return dx, {"weight": (dy * z).sum(axis=0), "bias": dy.sum(axis=0)}
        ### END SOLUTION


def check(layer):
    """Says whether an answer is right, and if not, what is wrong."""
    rng = np.random.default_rng(0)
    x, dy, weight = rng.standard_normal((5, 3)), rng.standard_normal((5, 3)), np.array([0.5, 2, -1])
    params = {"weight": weight, "bias": np.zeros(3)}
    dx, grads = layer.backward(dy, layer.forward(params, x)[1])
    right = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[place] = 1e-6
        change = layer.forward(params, x + step)[0] - layer.forward(params, x - step)[0]
        right[place] = (dy * change).sum() / 2e-6
    z = layer.forward({"weight": np.ones(3), "bias": np.zeros(3)}, x)[0]
    if np.shape(dx) != x.shape:
        return f"refused: dx has shape {np.shape(dx)}, but x has {x.shape}"
    missing = (np.asarray(dx) - right) / weight
    reasons = [
        (np.allclose(missing, 0, atol=1e-6), None),
        (np.allclose(missing, missing[0]), "dx does not take off its mean: each number moves the mean of all"),
        (np.allclose(missing / z, (missing / z)[0], rtol=1e-3), "dx leaves out the spread, which each number moves"),
        (np.allclose(dx, dy * weight / np.sqrt(x.var(axis=0) + 1e-5)), "mean and std are no constants in training"),
        (True, "dx is not the derivative of forward"),
    ]
    if reason := next(reason for holds, reason in reasons if holds):
        return f"refused: {reason}"
    if not np.allclose(grads["weight"], (dy * z).sum(axis=0)) or not np.allclose(grads["bias"], dy.sum(axis=0)):
        return "refused: dx is right, but dweight is the sum of dy z, and dbias that of dy, over the batch"
    return "right"


print("your answer:", check(BatchNorm()))


### BEGIN HIDDEN TESTS
class Wrong(BatchNorm):
    def __init__(self, mean, spread):
        self.mean, self.spread = mean, spread

    def backward(self, dy, cache):
        z, std, weight = cache
        dz = dy * weight
        dx = (dz - self.mean * dz.mean(axis=0) - self.spread * z * (dz * z).mean(axis=0)) / std
        return dx, {"weight": (dy * z).sum(axis=0), "bias": dy.sum(axis=0)}


MISTAKES = [Wrong(mean=0, spread=0), Wrong(mean=1, spread=0), Wrong(mean=0, spread=1)]
print("the usual mistakes:")
for mistake in MISTAKES:
    print(check(mistake))
### END HIDDEN TESTS
