"""
09. Initialisation
==================

Before the first step, the weights are drawn at random. Too small, and after ten layers nothing is left of the
picture; too large, and everything is cut off. Between the two is one right size, and it can be worked out.
"""

import numpy as np

try:
    import matplotlib.pyplot as plt
except ImportError:
    plt = None
    print("matplotlib is not installed, so the picture is left out")

# %%
# Ten layers
# ----------
# 256 numbers, through ten dense layers with ReLU. The root mean square says how large numbers are after each.

rng = np.random.default_rng(0)
WIDTH = 256
x = rng.standard_normal((100, WIDTH))


def sizes_after_each_layer(std):
    h, sizes = x, []
    for _ in range(10):
        h = np.maximum(h @ rng.normal(0, std, (WIDTH, WIDTH)), 0)
        sizes.append(np.sqrt((h**2).mean()))
    return sizes


trials = {"0.01": 0.01, "sqrt(1 / 256)": np.sqrt(1 / WIDTH), "sqrt(2 / 256)": np.sqrt(2 / WIDTH), "0.2": 0.2}
curves = {name: sizes_after_each_layer(std) for name, std in trials.items()}
for name, sizes in curves.items():
    print(f"weights of std {name:13}: {sizes[0]:8.2g} after one layer, {sizes[-1]:8.2g} after ten")

# %%
# Why 2 / 256
# -----------
# An output is a sum of 256 products. Variances of independent products add up, so the sum has variance 256 std^2 times
# the mean of h^2. ReLU then cuts half of it off, and the mean square of what is left is 128 std^2 times what it was. To
# stay the same, std^2 = 2 / 256: two over the number of inputs of each sum, the *fan-in* (He et al. 2015).
#
# Sigmoids
# --------
# A sigmoid does not blow up, it saturates: its slope y (1 - y) is at most 1/4, and nearly 0 for inputs beyond 5. No
# gradient gets through.

for std in (0.01, np.sqrt(1 / WIDTH), 1.0):
    y = 1 / (1 + np.exp(-(x @ rng.normal(0, std, (WIDTH, WIDTH)))))
    print(f"weights of std {std:.3g}: {(y * (1 - y) < 0.01).mean():.0%} of the sigmoids have a slope below 0.01")

if plt:
    _, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5))
    for name, sizes in curves.items():
        left.semilogy(range(1, 11), sizes, ".-", label=f"std {name}")
    left.set(xlabel="layer", ylabel="root mean square", title="ten layers with ReLU")
    left.legend()
    for std in (0.01, np.sqrt(1 / WIDTH), 1.0):
        y = 1 / (1 + np.exp(-(x @ rng.normal(0, std, (WIDTH, WIDTH)))))
        right.hist(y.ravel(), bins=50, range=(0, 1), histtype="step", density=True, label=f"std {std:.3g}")
    right.set(xlabel="output of a sigmoid", title="one layer with sigmoid", yscale="log")
    right.legend()
    plt.tight_layout()
    plt.show()

# %%
# Exercise
# --------
# For a convolution followed by ReLU: the std of a kernel of shape (kh, kw, C, O), such that sizes stay as they are.
# How many products are in the sum of one output?


def std_for(shape):
    kh, kw, C, O = shape  # noqa: RUF059  # not all of them are needed
    ### BEGIN SOLUTION
    return np.sqrt(2 / (kh * kw * C))
    ### END SOLUTION


def check(std_for):
    """Says whether an answer is right, and if not, what is wrong."""
    got = std_for((5, 3, 8, 32))
    reasons = [
        (np.sqrt(2 / 120), "right"),
        (2 / 120, "refused: that is the variance; a std is its square root"),
        (np.sqrt(1 / 120), "refused: ReLU cuts half of it off, which takes a 2"),
        (np.sqrt(2 / 480), "refused: that counts the outputs (fan-out); the sum of one output runs over the inputs"),
        (np.sqrt(2 / 8), "refused: an output sums over all pixels of the kernel, not over channels alone"),
    ]
    return next((reason for std, reason in reasons if np.allclose(got, std)), f"refused: {got} is another number")


print("your answer:", check(std_for))


### BEGIN HIDDEN TESTS
MISTAKES = [
    lambda shape: 2 / (shape[0] * shape[1] * shape[2]),
    lambda shape: np.sqrt(2 / (shape[0] * shape[1] * shape[3])),
    lambda shape: np.sqrt(2 / shape[2]),
]
print("the usual mistakes:")
for mistake in MISTAKES:
    print(check(mistake))
### END HIDDEN TESTS
