"""The battery, second part: losses, layers with parameters, attention, recurrence, convolutions of every kind."""

from typing import Any

import numpy as np

from right_functions import BATTERY, add, gaussian, right


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


class LayerNorm:
    def forward(self, params, x):
        centred = x - np.mean(x, axis=-1, keepdims=True)
        std = np.sqrt(np.var(x, axis=-1, keepdims=True) + 1e-5)
        z = centred / std
        return z * params["gamma"] + params["beta"], (z, std, params["gamma"])

    def backward(self, dy, cache):
        z, std, gamma = cache
        dz = dy * gamma
        dx = (dz - dz.mean(-1, keepdims=True) - z * (dz * z).mean(-1, keepdims=True)) / std
        axes = tuple(range(dy.ndim - 1))
        return dx, {"gamma": (dy * z).sum(axes), "beta": dy.sum(axes)}


class Embedding:
    def forward(self, params, indices):
        return params["table"][indices], (indices, params["table"].shape)

    def backward(self, dy, cache):
        indices, shape = cache
        dtable = np.zeros(shape)
        np.add.at(dtable, indices, dy)
        return None, {"table": dtable}


class Attention:
    """One head: softmax(x Wq (x Wk)' / sqrt(d)) x Wv."""

    def forward(self, params, x):
        q, k, v = (x @ params[name] for name in ("wq", "wk", "wv"))
        scores = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])
        e = np.exp(scores - scores.max(-1, keepdims=True))
        weights = e / e.sum(-1, keepdims=True)
        return weights @ v, (x, params, q, k, v, weights)

    def backward(self, dy, cache):
        x, params, q, k, v, weights = cache
        dweights = dy @ v.swapaxes(-1, -2)
        dscores = weights * (dweights - (dweights * weights).sum(-1, keepdims=True)) / np.sqrt(q.shape[-1])
        dq, dk, dv = dscores @ k, dscores.swapaxes(-1, -2) @ q, weights.swapaxes(-1, -2) @ dy
        dx = dq @ params["wq"].T + dk @ params["wk"].T + dv @ params["wv"].T
        grads = {name: np.einsum("nti,ntj->ij", x, d) for name, d in (("wq", dq), ("wk", dk), ("wv", dv))}
        return dx, grads


class LSTM:
    def forward(self, params, x):
        size = params["wh"].shape[0]
        h = c = np.zeros((x.shape[1], size))
        steps, hs = [], []
        for xt in x:
            gates = xt @ params["wx"] + h @ params["wh"] + params["b"]
            i, f, o = (0.5 * (1 + np.tanh(gates[:, k * size : (k + 1) * size] / 2)) for k in range(3))
            g = np.tanh(gates[:, 3 * size :])
            before, c = c, f * c + i * g
            steps.append((xt, h, before, i, f, o, g, np.tanh(c)))
            h = o * np.tanh(c)
            hs.append(h)
        return np.stack(hs), (steps, params)

    def backward(self, dhs, cache):
        steps, params = cache
        grads = {name: np.zeros(value.shape) for name, value in params.items()}
        dxs, dh_next, dc_next = [], 0.0, 0.0
        for dh, (xt, h, before, i, f, o, g, tanh_c) in zip(dhs[::-1], steps[::-1], strict=True):
            dh = dh + dh_next
            dc = dc_next + dh * o * (1 - tanh_c**2)
            dgates = np.concatenate(
                [dc * g * i * (1 - i), dc * before * f * (1 - f), dh * tanh_c * o * (1 - o), dc * i * (1 - g * g)], axis=1
            )
            grads["wx"] += xt.T @ dgates
            grads["wh"] += h.T @ dgates
            grads["b"] += dgates.sum(0)
            dxs.append(dgates @ params["wx"].T)
            dh_next, dc_next = dgates @ params["wh"].T, dc * f
        return np.stack(dxs[::-1]), grads


class Conv:
    """(N, C, H, W), by loops over the kernel, with stride, padding, dilation and groups."""

    def __init__(self, stride=1, padding=0, dilation=1, groups=1):
        self.stride, self.padding, self.dilation, self.groups = stride, padding, dilation, groups

    def _views(self, padded, kernel, out):
        for a in range(kernel[0]):
            for b in range(kernel[1]):
                rows = slice(a * self.dilation, a * self.dilation + self.stride * (out[0] - 1) + 1, self.stride)
                columns = slice(b * self.dilation, b * self.dilation + self.stride * (out[1] - 1) + 1, self.stride)
                yield a, b, (slice(None), slice(None), rows, columns)

    def forward(self, params, x):
        w, p = params["w"], self.padding
        padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
        out = [(padded.shape[2 + k] - self.dilation * (w.shape[2 + k] - 1) - 1) // self.stride + 1 for k in (0, 1)]
        wg = w.reshape(self.groups, -1, *w.shape[1:])
        y = 0.0
        for a, b, view in self._views(padded, w.shape[2:], out):
            part = padded[view].reshape(len(x), self.groups, -1, *out)
            y = y + np.einsum("ngchw,goc->ngohw", part, wg[..., a, b])
        return y.reshape(len(x), -1, *out) + params["b"][:, None, None], (padded, w, out, x.shape)

    def backward(self, dy, cache):
        padded, w, out, shape = cache
        dpadded, dw = np.zeros(padded.shape), np.zeros((self.groups, len(w) // self.groups, *w.shape[1:]))
        wg, dyg = w.reshape(dw.shape), dy.reshape(len(dy), self.groups, -1, *out)
        for a, b, view in self._views(padded, w.shape[2:], out):
            part = padded[view].reshape(len(dy), self.groups, -1, *out)
            dw[..., a, b] = np.einsum("ngchw,ngohw->goc", part, dyg)
            dpadded[view] += np.einsum("ngohw,goc->ngchw", dyg, wg[..., a, b]).reshape(len(dy), -1, *out)
        p = self.padding
        dx = dpadded[:, :, p : p + shape[2], p : p + shape[3]].copy()
        return dx, {"w": dw.reshape(w.shape), "b": dy.sum((0, 2, 3))}


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


add("layer norm", LayerNorm(), gaussian((32, 10, 64)), normal(gamma=(64,), beta=(64,)))
add("batch norm", BatchNorm(), gaussian((256, 30)), normal(gamma=(30,), beta=(30,)))
add("embedding with repeats", Embedding(), lambda rng: [rng.integers(0, 30, (20, 7))], normal(table=(40, 16)))
add("attention", Attention(), gaussian((4, 20, 16)), normal(wq=(16, 8), wk=(16, 8), wv=(16, 12)))
add("LSTM", LSTM(), gaussian((6, 4, 5)), normal(wx=(5, 24), wh=(6, 24), b=(24,)))
add("convolution", Conv(padding=1), gaussian((2, 3, 16, 16)), normal(w=(4, 3, 3, 3), b=(4,)))
add("strided convolution", Conv(stride=2, padding=2), gaussian((2, 3, 13, 11)), normal(w=(4, 3, 5, 5), b=(4,)))
add("dilated convolution", Conv(dilation=2), gaussian((2, 3, 12, 12)), normal(w=(4, 3, 3, 3), b=(4,)))
add("grouped convolution", Conv(groups=2), gaussian((2, 4, 9, 9)), normal(w=(6, 2, 3, 3), b=(6,)))
add("depthwise convolution", Conv(groups=4), gaussian((2, 4, 32, 32)), normal(w=(4, 1, 3, 3), b=(4,)))
add("convolution and relu", ReluAfterConv(padding=1), gaussian((4, 3, 32, 32)), normal(w=(8, 3, 3, 3), b=(8,)))
add("max pooling", MaxPool(), gaussian((4, 8, 32, 32)))
add("nested perceptron", Mlp(), gaussian((50, 20)), lambda rng: {
    "layers": [(rng.standard_normal((20, 64)), rng.standard_normal(64)), (rng.standard_normal((64, 5)), rng.standard_normal(5))]
})  # fmt: skip
add("wide perceptron", Mlp(), gaussian((20, 300)), lambda rng: {
    "layers": [(rng.standard_normal((300, 300)) / 17, rng.standard_normal(300)), (rng.standard_normal((300, 10)), rng.standard_normal(10))]
})  # fmt: skip
add("reshape, a view", Reshaped(), gaussian((5, 3, 4)), contract={"views": False})
add("split into two outputs", Split(), gaussian((6, 8)), contract={"views": False})
right("sum with a shared gradient", gaussian((9, 9), (9, 9)), lambda a, b: a + b, lambda dy, a, b: (dy, dy), contract={"views": False})
right("transpose, a view", gaussian((300, 400)), lambda x: x.T, lambda dy, x: dy.T, contract={"views": False})
right("broadcast", gaussian((7, 1), (1, 9)), lambda a, b: np.maximum(a, b), lambda dy, a, b: ((dy * (a > b)).sum(1, keepdims=True), (dy * (b > a)).sum(0, keepdims=True)))
right("upsampling", gaussian((2, 3, 8, 8)), lambda x: x.repeat(2, axis=2).repeat(2, axis=3), lambda dy, x: dy.reshape(2, 3, 8, 2, 8, 2).sum((3, 5)))
right("a dictionary of inputs", lambda rng: [{"a": rng.standard_normal(5), "b": float(rng.standard_normal())}], lambda d: np.abs(d["a"]) * d["b"], lambda dy, d: {"a": dy * np.sign(d["a"]) * d["b"], "b": float((dy * np.abs(d["a"])).sum())})
__all__ = ["BATTERY"]
