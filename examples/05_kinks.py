"""
05. Max-pool, ReLU and their kinks
==================================

Two layers without weights, whose backward passes copy numbers or drop them. And a kink, where there is no derivative:
harmless in training, a trap for whoever checks gradients.
"""

import numpy as np

try:
    import matplotlib.pyplot as plt
except ImportError:
    plt = None
    print("matplotlib is not installed, so the picture is left out")

# %%
# ReLU
# ----
# y = max(x, 0). Where x is positive, y moves as x does; where it is negative, y stays at 0 whatever x does.

x = np.array([-2.0, -0.5, 0.5, 3])
dy = np.array([10.0, 20, 30, 40])
y = np.maximum(x, 0)
dx = dy * (x > 0)
print("y  =", y)
print("dx =", dx)

# %%
# Max-pool
# --------
# The largest of each window of 2 x 2. Only the winner matters, so the winner takes the whole gradient.

x = np.array([[1.0, 5, 2, 2], [3, 0, 7, 1]])  # two windows side by side
dy = np.array([10.0, 20])  # one number for each of them
y, dx = np.zeros(2), np.zeros_like(x)
for k in range(2):
    window = x[:, 2 * k : 2 * k + 2]
    a, b = np.unravel_index(window.argmax(), (2, 2))  # row and column of the winner
    y[k] = window[a, b]
    dx[a, 2 * k + b] += dy[k]
print("y  =", y)
print("dx =\n", dx, sep="")

# %%
# At the kink
# -----------
# At x = 0, ReLU has slope 0 on the left and 1 on the right, so no derivative; any number between will do, and we take
# 0. The trouble comes when a gradient is checked by differences, (f(x + h) - f(x - h)) / 2h: at x = 0.001 a step h =
# 0.01 reaches over the kink, and a right gradient looks wrong.

for h in (0.01, 0.002, 0.0005):
    measured = (max(0.001 + h, 0) - max(0.001 - h, 0)) / (2 * h)
    print(f"h = {h}: measured {measured:.3f}, backward says 1")

if plt:
    _, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4))
    points = np.linspace(-0.03, 0.03, 401)
    left.plot(points, np.maximum(points, 0), "k")
    left.plot([-0.009, 0.011], [0, 0.011], "o-", color="tab:red", label="slope 0.55 over h = 0.01")
    left.plot([0.001], [0.001], "o", color="tab:blue", label="x = 0.001, slope 1")
    left.set(title="ReLU near its kink", xlabel="x", ylabel="y")
    left.legend()
    for h in (0.01, 0.002):
        slopes = (np.maximum(points + h, 0) - np.maximum(points - h, 0)) / (2 * h)
        right.plot(points, slopes, label=f"differences, h = {h}")
    right.plot(points, points > 0, "k--", label="backward")
    right.set(title="its slope", xlabel="x")
    right.legend(loc="lower right", fontsize=8)
    plt.tight_layout()
    plt.show()

# %%
# scratchnet's checker steps by 1e-30, along the imaginary axis, and so never reaches over a kink: lesson 07.
#
# Exercise
# --------
# Max-pool over windows of 2 pixels in a row that overlap: y[i] = max(x[i], x[i + 1]). Write backward. If both are
# equal, the first wins.


class MaxPool:
    def forward(self, params, x):
        second_wins = x[1:].real > x[:-1].real  # .real: this also works for the complex step of lesson 07
        return np.where(second_wins, x[1:], x[:-1]), second_wins

    def backward(self, dy, second_wins):
        ### BEGIN SOLUTION
        dx = np.zeros((len(dy) + 1, *dy.shape[1:]))
        dx[:-1] += dy * ~second_wins
        dx[1:] += dy * second_wins
        return dx, {}
        ### END SOLUTION


def check(layer):
    """Says whether an answer is right, and if not, what is wrong."""
    x, dy = np.array([1.0, 4, 2, 2, 0]), np.array([10.0, 20, 30, 40])  # 4 wins twice; 2 and 2 are equal
    _, cache = layer.forward({}, x)
    dx = layer.backward(dy, cache)[0]
    reasons = [
        ([0, 30, 30, 40, 0], "right"),
        ([0, 20, 30, 40, 0], "refused: x[1] wins two windows, and both gradients reach it"),
        ([0, 30, 30, 70, 0], "refused: at a tie the gradient goes to one of them, or it would be counted twice"),
        ([5, 15, 25, 35, 20], "refused: that is average pooling; the loser of a window gets nothing"),
    ]
    if np.shape(dx) != x.shape:
        return f"refused: dx has shape {np.shape(dx)}, but x has {x.shape}"
    return next((reason for expected, reason in reasons if np.allclose(dx, expected)), f"refused: dx is {dx}")


print("your answer:", check(MaxPool()))


### BEGIN HIDDEN TESTS
class Overwrites(MaxPool):
    def backward(self, dy, second_wins):
        dx = np.zeros(len(dy) + 1)
        for i in range(len(dy)):
            dx[i + second_wins[i]] = dy[i]
        return dx, {}


class EqualPixelsBoth(MaxPool):
    def forward(self, params, x):
        y, _ = super().forward(params, x)
        return y, (x, y)

    def backward(self, dy, cache):
        x, y = cache
        dx = np.zeros_like(x)
        dx[:-1] += dy * (x[:-1] == y)
        dx[1:] += dy * (x[1:] == y)
        return dx, {}


class Shares(MaxPool):
    def backward(self, dy, second_wins):
        dx = np.zeros(len(dy) + 1)
        dx[:-1] += dy / 2
        dx[1:] += dy / 2
        return dx, {}


MISTAKES = [Overwrites(), EqualPixelsBoth(), Shares()]
print("the usual mistakes:")
for mistake in MISTAKES:
    print(f"{type(mistake).__name__}: {check(mistake)}")
### END HIDDEN TESTS
