"""The battery, second part: losses, layers with parameters, attention, recurrence, convolutions of every kind."""

from itertools import pairwise
from typing import Any

import numpy as np
from right_functions import BATTERY, add, gaussian, right

from scratchnet.planted.stranger_layers import LSTM, Attention, Conv, GroupNorm


def log_softmax(x: np.ndarray) -> np.ndarray:
    shifted = x - x.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def one_hot(labels: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.eye(x.shape[1])[labels]


def labelled(rows: int, classes: int) -> Any:
    return lambda rng: [rng.standard_normal((rows, classes)), rng.integers(0, classes, rows)]


right(
    "cross-entropy", labelled(100, 50), lambda x, labels: float(-log_softmax(x)[np.arange(len(x)), labels].mean()),
    lambda dy, x, labels: (dy * (np.exp(log_softmax(x)) - one_hot(labels, x)) / len(x), None),
)  # fmt: skip
right(
    "hinge loss", labelled(200, 20),
    lambda x, labels: np.maximum(0, x - x[np.arange(len(x)), labels][:, None] + 1).sum() / len(x),
    lambda dy, x, labels: (hinge_gradient(x, labels) * dy, None),
)  # fmt: skip
right(
    "binary cross-entropy", gaussian((30, 10), (30, 10)),
    lambda x, t: np.mean(np.maximum(x, 0) - x * t + np.log1p(np.exp(-np.abs(x)))),
    lambda dy, x, t: (dy * (0.5 * (1 + np.tanh(x / 2)) - t) / x.size, -dy * x / x.size),
)  # fmt: skip
right(
    "smooth L1", gaussian((100, 4), (100, 4), scale=2),
    lambda a, b: np.where(np.abs(a - b) < 1, 0.5 * (a - b) ** 2, np.abs(a - b) - 0.5).sum(),
    lambda dy, a, b: (dy * np.clip(a - b, -1, 1), -dy * np.clip(a - b, -1, 1)),
)  # fmt: skip
right(
    "triplet loss", gaussian((50, 8), (50, 8), (50, 8)),
    lambda a, p, n: np.maximum(((a - p) ** 2).sum(1) - ((a - n) ** 2).sum(1) + 1, 0).mean(),
    lambda dy, a, p, n: triplet_gradient(dy, a, p, n),
)  # fmt: skip
right(
    "KL of a Gaussian", gaussian((20, 10), (20, 10)),
    lambda mean, logvar: -0.5 * (1 + logvar - mean**2 - np.exp(logvar)).sum(),
    lambda dy, mean, logvar: (dy * mean, dy * 0.5 * (np.exp(logvar) - 1)),
)  # fmt: skip


def hinge_gradient(x: np.ndarray, labels: np.ndarray) -> np.ndarray:
    rows = np.arange(len(x))
    over = (x - x[rows, labels][:, None] + 1 > 0) * 1.0
    over[rows, labels] = 1.0 - over.sum(axis=1)
    return over / len(x)


def triplet_gradient(dy: Any, a: np.ndarray, p: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, ...]:
    active = (((a - p) ** 2).sum(1) - ((a - n) ** 2).sum(1) + 1 > 0)[:, None] * dy / len(a)
    return active * 2 * (n - p), active * -2 * (a - p), active * 2 * (a - n)


def normal(**shapes: tuple[int, ...]) -> Any:
    return lambda rng: {name: np.asarray(rng.standard_normal(shape)) for name, shape in shapes.items()}


def perceptron(*sizes: int) -> Any:
    def draw(rng):
        pairs = pairwise(sizes)
        return {"layers": [(rng.standard_normal((n, m)) / n**0.5, rng.standard_normal(m)) for n, m in pairs]}

    return draw


class Embedding:
    def forward(self, params, indices):
        return params["table"][indices], (indices, params["table"].shape)

    def backward(self, dy, cache):
        indices, shape = cache
        dtable = np.zeros(shape)
        np.add.at(dtable, indices, dy)
        return None, {"table": dtable}


class ReluAfterConv(Conv):
    def forward(self, params, x):
        y, cache = super().forward(params, x)
        return np.maximum(y, 0), (y, cache)

    def backward(self, dy, cache):
        y, inner = cache
        return super().backward(dy * (y > 0), inner)


class MaxPool:
    """Windows of 2 x 2 of (N, C, H, W), as CS231n reshapes them."""

    def forward(self, params, x):
        n, c, h, w = x.shape
        windows = x.reshape(n, c, h // 2, 2, w // 2, 2)
        y = windows.max(axis=3).max(axis=4)
        return y, (windows, y, x.shape)

    def backward(self, dy, cache):
        windows, y, shape = cache
        wins = windows == y[:, :, :, None, :, None]
        return (wins * dy[:, :, :, None, :, None]).reshape(shape), {}


class Mlp:
    """relu(x W1 + b1) W2 + b2, as nested parameters."""

    def forward(self, params, x):
        (w1, b1), (w2, b2) = params["layers"]
        a = x @ w1 + b1
        return np.maximum(a, 0) @ w2 + b2, (x, a, w1, w2)

    def backward(self, dy, cache):
        x, a, w1, w2 = cache
        da = dy @ w2.T * (a > 0)
        return da @ w1.T, {"layers": [(x.T @ da, da.sum(0)), (np.maximum(a, 0).T @ dy, dy.sum(0))]}


class BatchNorm:
    def forward(self, params, x):
        std = np.sqrt(x.var(0) + 1e-5)
        z = (x - x.mean(0)) / std
        return z * params["gamma"] + params["beta"], (z, std, params["gamma"])

    def backward(self, dy, cache):
        z, std, gamma = cache
        dz = dy * gamma
        return (dz - dz.mean(0) - z * (dz * z).mean(0)) / std, {"gamma": (dy * z).sum(0), "beta": dy.sum(0)}


class Reshaped:
    """A view of x; its gradient is a view of dy."""

    def forward(self, params, x):
        return x.reshape(len(x), -1), x.shape

    def backward(self, dy, shape):
        return dy.reshape(shape), {}


class Split:
    """Two outputs: the halves of x. dy comes back as a pair."""

    def forward(self, params, x):
        return tuple(np.split(x, 2, axis=1)), None

    def backward(self, dy, cache):
        return np.concatenate(dy, axis=1), {}


for name, layer, draw in [
    ("layer norm", GroupNorm(10), gaussian((32, 10, 64))),
    ("group norm", GroupNorm(8, groups=4), gaussian((8, 8, 200))),
    ("attention", Attention(16), gaussian((4, 20, 16))),
    ("LSTM", LSTM(5, 6), gaussian((6, 4, 5))),
    ("convolution", Conv(3, 4, padding=1), gaussian((2, 3, 16, 16))),
    ("strided convolution", Conv(3, 4, 5, stride=2, padding=2), gaussian((2, 3, 13, 11))),
    ("dilated convolution", Conv(3, 4, dilation=2), gaussian((2, 3, 12, 12))),
    ("grouped convolution", Conv(4, 6, groups=2), gaussian((2, 4, 9, 9))),
    ("depthwise convolution", Conv(4, 4, groups=4), gaussian((2, 4, 32, 32))),
    ("convolution and relu", ReluAfterConv(3, 8, padding=1), gaussian((4, 3, 32, 32))),
]:
    add(name, layer, draw, layer.init)
add("batch norm", BatchNorm(), gaussian((256, 30)), normal(gamma=(30,), beta=(30,)))
add("embedding with repeats", Embedding(), lambda rng: [rng.integers(0, 30, (20, 7))], normal(table=(40, 16)))
add("max pooling", MaxPool(), gaussian((4, 8, 32, 32)))
add("nested perceptron", Mlp(), gaussian((50, 20)), perceptron(20, 64, 5))
add("wide perceptron", Mlp(), gaussian((20, 300)), perceptron(300, 300, 10))
add("reshape, a view", Reshaped(), gaussian((5, 3, 4)), contract={"views": False})
add("split into two outputs", Split(), gaussian((6, 8)), contract={"views": False})
right(
    "sum with a shared gradient",
    gaussian((9, 9), (9, 9)),
    lambda a, b: a + b,
    lambda dy, a, b: (dy, dy),
    contract={"views": False},
)
right("transpose, a view", gaussian((300, 400)), lambda x: x.T, lambda dy, x: dy.T, contract={"views": False})
right(
    "broadcast",
    gaussian((7, 1), (1, 9)),
    lambda a, b: np.maximum(a, b),
    lambda dy, a, b: ((dy * (a > b)).sum(1, keepdims=True), (dy * (b > a)).sum(0, keepdims=True)),
)
right(
    "upsampling",
    gaussian((2, 3, 8, 8)),
    lambda x: x.repeat(2, axis=2).repeat(2, axis=3),
    lambda dy, x: dy.reshape(2, 3, 8, 2, 8, 2).sum((3, 5)),
)
right(
    "a dictionary of inputs",
    lambda rng: [{"a": rng.standard_normal(5), "b": float(rng.standard_normal())}],
    lambda d: np.abs(d["a"]) * d["b"],
    lambda dy, d: {"a": dy * np.sign(d["a"]) * d["b"], "b": float((dy * np.abs(d["a"])).sum())},
)
__all__ = ["BATTERY"]
