"""
01. One neuron
==============

A neuron multiplies its inputs by weights, adds a bias, and squeezes the sum. It learns by asking of each weight: if
you were a little larger, by how much would the loss change? That number is the gradient, and the chain rule finds it.
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
# Two inputs, two weights, a bias: numbers small enough to follow with a pencil. The label t says what y should be.

x = np.array([1.0, 2.0])
w = np.array([0.5, -0.25])
b = 0.5
t = 1.0

z = x @ w + b  # 1 * 0.5 + 2 * -0.25 + 0.5 = 0.5
y = 1 / (1 + np.exp(-z))  # the sigmoid squeezes z between 0 and 1
loss = -np.log(y)  # for t = 1: no loss at y = 1, a lot near y = 0
print(f"z = {z:.4f}, y = {y:.4f}, loss = {loss:.4f}")

# %%
# Backward
# --------
# The chain rule, from the loss back to the weights, one step a line. We write ``dz`` for the derivative of the loss
# with respect to z, and so on: each is the one before, times the slope of the step between.

dy = -1 / y  # of -log(y)
dz = dy * y * (1 - y)  # the slope of the sigmoid is y (1 - y)
dw = dz * x  # z grows by x[k] when w[k] grows by 1
db = dz  # and by 1 when b does
print(f"dy = {dy:.4f}, dz = {dz:.4f}, dw = {dw}, db = {db:.4f}")

# %%
# Is that right? Make each weight a little larger and see what the loss does.


def loss_at(w, b):
    return -np.log(1 / (1 + np.exp(-(x @ w + b))))


h = 1e-6
for k in range(2):
    larger = w + h * np.eye(2)[k]
    print(f"dw[{k}] = {dw[k]:.6f}, measured {(loss_at(larger, b) - loss) / h:.6f}")

# %%
# Learning
# --------
# A step against the gradient makes the loss smaller. Here a neuron learns to separate 40 points: dz is y - t for
# labels 0 and 1 alike (work it out for t = 0), and the gradient is averaged over the points.

rng = np.random.default_rng(0)
labels = np.arange(40) % 2
points = rng.normal(0, 1, (40, 2)) + np.where(labels[:, None] == 1, 1.5, -1.5) * np.array([1, 0.5])
w, b, losses = np.zeros(2), 0.0, []
for _ in range(100):
    y = 1 / (1 + np.exp(-(points @ w + b)))
    losses.append(-np.log(np.where(labels == 1, y, 1 - y)).mean())
    dz = (y - labels) / 40
    w = w - 0.5 * (dz @ points)
    b = b - 0.5 * dz.sum()
print(f"loss {losses[0]:.3f} before, {losses[-1]:.3f} after; {((y > 0.5) == labels).mean():.0%} on the right side")

if plt:
    _, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6))
    left.plot(losses)
    left.set(xlabel="step", ylabel="loss", title="the loss falls")
    edge = np.array([-4, 4])
    right.scatter(*points.T, c=labels, cmap="coolwarm")
    right.plot(edge, -(w[0] * edge + b) / w[1], "k", label="y = 0.5")
    right.set(xlim=(-4, 4), ylim=(-4, 4), title="what the neuron has learned")
    right.legend()
    plt.tight_layout()
    plt.show()

# %%
# Exercise
# --------
# A neuron with another squeeze, tanh, whose slope is ``1 - y^2``. It is written as all layers from here on: parameters
# come in a dictionary, and forward returns y and a *cache*, which is what backward will need. Write backward: from
# ``dy`` the gradient of x (2,), and in a dictionary those of w (2,) and b (1,).


class Neuron:
    def init(self, rng):
        return {"w": rng.standard_normal(2), "b": rng.standard_normal(1)}

    def forward(self, params, x):
        y = np.tanh(x @ params["w"] + params["b"])
        return y, (x, params["w"], y)

    def backward(self, dy, cache):
        x, w, y = cache
        ### BEGIN SOLUTION
        dz = dy * (1 - y**2)
        return dz * w, {"w": dz * x, "b": dz}
        ### END SOLUTION


def check(neuron):
    """Says whether an answer is right, and if not, what is wrong."""
    params = {"w": np.array([0.5, -0.25]), "b": np.array([0.5])}
    x, dy = np.array([1.0, 2.0]), np.array([3.0])
    y, cache = neuron.forward(params, x)
    dx, grads = neuron.backward(dy, cache)
    right = {"w": 3 * (1 - y**2) * x, "b": 3 * (1 - y**2), "x": 3 * (1 - y**2) * params["w"]}
    for name, got in (grads | {"x": dx}).items():
        if np.shape(got) != right[name].shape:
            return f"refused: d{name} has shape {np.shape(got)}, but {name} has {right[name].shape}"
        if np.allclose(got, right[name]):
            continue
        if np.allclose(3 * got, right[name]):
            return f"refused: d{name} is the slope of y; the chain rule multiplies it by dy"
        if np.allclose(got, right[name] / (1 - y**2)):
            return f"refused: d{name} leaves out the slope of tanh"
        if np.allclose(got, right[name] / (1 - y**2) * (1 - np.arctanh(y) ** 2)):
            return f"refused: in d{name}, the slope of tanh is 1 - y^2, with y = tanh(z), not 1 - z^2"
        return f"refused: d{name} is {got}, expected {right[name]}"
    return "right"


print("your answer:", check(Neuron()))


### BEGIN HIDDEN TESTS
class WithoutSlope(Neuron):
    def backward(self, dy, cache):
        x, w, _ = cache
        return dy * w, {"w": dy * x, "b": dy}


class SlopeAtZ(Neuron):
    def backward(self, dy, cache):
        x, w, y = cache
        dz = dy * (1 - np.arctanh(y) ** 2)
        return dz * w, {"w": dz * x, "b": dz}


class WithoutDy(Neuron):
    def backward(self, dy, cache):
        x, w, y = cache
        dz = 1 - y**2
        return dz * w, {"w": dz * x, "b": dz}


MISTAKES = [WithoutSlope(), SlopeAtZ(), WithoutDy()]
print("the usual mistakes:")
for mistake in MISTAKES:
    print(f"{type(mistake).__name__}: {check(mistake)}")
### END HIDDEN TESTS
