"""
08. Twins that share weights
============================

A Siamese network looks at two pictures through the same weights and compares what it sees. So every weight has two
gradients, one from each twin. They are added, and much of them cancels. What is left is the difference of the
pictures.
"""

import numpy as np

from scratchnet.data.glyphs import generate_alphabets

try:
    import matplotlib.pyplot as plt
except ImportError:
    plt = None
    print("matplotlib is not installed, so the picture is left out")

# %%
# One weight
# ----------
# Both twins multiply their number by the same w, and the distance is how far apart they end up. Take w = 2, x1 = 3 and
# x2 = 1: the distance is ``|6 - 2| = 4``.

w, x1, x2 = 2.0, 3.0, 1.0
h1, h2 = w * x1, w * x2
distance = abs(h1 - h2)
sign = np.sign(h1 - h2)  # the slope of the distance for h1; for h2 it is minus that
dw_twin1 = sign * x1
dw_twin2 = -sign * x2
print(f"dw = {dw_twin1:g} + {dw_twin2:g} = {dw_twin1 + dw_twin2:g}")
print("measured:", (abs(2.001 * x1 - 2.001 * x2) - distance) / 0.001)

# %%
# Why add? Because w is one number in two places. Move it, and both twins move; the loss changes by the sum of both.
# Not by their mean, and not by one of them alone.
#
# A weight for each pixel
# -----------------------
# The same with drawings: h = sum over all pixels of weight times ink. Now each twin's gradient looks like its
# drawing, and the sum shows where the drawings differ. Where both have ink, the twins cancel.

alphabet = generate_alphabets(1, characters=4, drawers=2, image_size=48)[0]
first, second = alphabet.images[0, 0] * 1.0, alphabet.images[0, 1] * 1.0
weight = np.random.default_rng(0).normal(0, 0.1, first.shape)
sign = np.sign((weight * first).sum() - (weight * second).sum())
twin1, twin2 = sign * first, -sign * second
print(f"size of the twins' gradients {np.abs(twin1).sum():.0f} and {np.abs(twin2).sum():.0f}, "
      f"of their sum {np.abs(twin1 + twin2).sum():.0f}")  # fmt: skip

if plt:
    _, axes = plt.subplots(1, 3, figsize=(9, 3.3))
    titles = ("from twin 1", "from twin 2", "dweight, the sum")
    for axis, array, title in zip(axes, (twin1, twin2, twin1 + twin2), titles, strict=True):
        axis.imshow(array, cmap="coolwarm", vmin=-1, vmax=1)
        axis.set(title=title, xticks=[], yticks=[])
    plt.tight_layout()
    plt.show()

# %%
# Exercise
# --------
# Two twins with a dense layer and a tanh, compared number by number: ``y = |tanh(x1 W) - tanh(x2 W)|``. Write backward:
# both inputs get a gradient, and the weight gets one from both.


class Twins:
    def init(self, rng):
        return {"weight": rng.standard_normal((3, 2))}

    def forward(self, params, x1, x2):
        h1, h2 = np.tanh(x1 @ params["weight"]), np.tanh(x2 @ params["weight"])
        sign = np.sign((h1 - h2).real)
        return (h1 - h2) * sign, (x1, x2, h1, h2, sign, params["weight"])

    def backward(self, dy, cache):
        x1, x2, h1, h2, sign, weight = cache
        ### BEGIN SOLUTION
        dz1 = dy * sign * (1 - h1**2)
        dz2 = -dy * sign * (1 - h2**2)
        return (dz1 @ weight.T, dz2 @ weight.T), {"weight": x1.T @ dz1 + x2.T @ dz2}
        ### END SOLUTION


def check(layer):
    """Says whether an answer is right, and if not, what is wrong."""
    rng = np.random.default_rng(0)
    weight, dy = rng.standard_normal((3, 2)), rng.standard_normal((4, 2))
    x1, x2 = rng.standard_normal((4, 3)), rng.standard_normal((4, 3))
    (dx1, dx2), grads = layer.backward(dy, layer.forward({"weight": weight}, x1, x2)[1])
    h1, h2 = np.tanh(x1 @ weight), np.tanh(x2 @ weight)
    dz1, dz2 = dy * np.sign(h1 - h2) * (1 - h1**2), -dy * np.sign(h1 - h2) * (1 - h2**2)
    if not np.allclose(dx1, dz1 @ weight.T):
        return "refused: dx1 is dy, times the sign, times the slope of tanh at h1, back through the weight"
    if np.allclose(dx2, -dz2 @ weight.T):
        return "refused: the sign of dx2: where h1 is larger, the distance falls as h2 rises"
    if not np.allclose(dx2, dz2 @ weight.T):
        return "refused: dx2 is minus dy, times the sign, times the slope of tanh at h2, back through the weight"
    one, other = x1.T @ dz1, x2.T @ dz2
    reasons = [(one + other, "right"), ((one + other) / 2, "refused: dweight is the sum of both twins, not their mean"),
               (one, "refused: dweight misses the second twin, which uses the same weight"),
               (other, "refused: dweight misses the first twin, which uses the same weight")]  # fmt: skip
    return next((r for array, r in reasons if np.allclose(grads["weight"], array)), "refused: dweight is not the sum")


print("your answer:", check(Twins()))


### BEGIN HIDDEN TESTS
class Wrong(Twins):
    def __init__(self, sign2=-1, share1=1, share2=1):
        self.sign2, self.share1, self.share2 = sign2, share1, share2

    def backward(self, dy, cache):
        x1, x2, h1, h2, sign, weight = cache
        dz1, dz2 = dy * sign * (1 - h1**2), self.sign2 * dy * sign * (1 - h2**2)
        return (dz1 @ weight.T, dz2 @ weight.T), {"weight": self.share1 * x1.T @ dz1 + self.share2 * x2.T @ dz2}


MISTAKES = [Wrong(share2=0), Wrong(share1=0.5, share2=0.5), Wrong(sign2=1)]
print("the usual mistakes:")
for mistake in MISTAKES:
    print(check(mistake))
### END HIDDEN TESTS
