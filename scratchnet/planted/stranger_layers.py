"""Right layers as others write them, for bugs to be planted in: (N, C, H, W), real numbers only, loops over time.

Each has init, forward and backward as in `layers/protocol.py`; what matters here is that they are not ours.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from scratchnet.backend import Array, Params
from scratchnet.planted.parts import BackwardResult


def gaussian(rng: np.random.Generator, **shapes: tuple[int, ...]) -> Params:
    """Gaussian parameters of these shapes."""
    return {name: np.asarray(rng.standard_normal(shape)) for name, shape in shapes.items()}


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), by tanh."""
    return 0.5 * (1 + np.tanh(0.5 * x))


def softmax(x: Array) -> Array:
    """exp(x) over its sum, along the last axis."""
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


class Step(NamedTuple):
    """What one time step of an LSTM keeps: its input, the state before it, and its gates."""

    x: Array
    h: Array
    c: Array
    i: Array
    f: Array
    o: Array
    g: Array
    tanh_c: Array


def gate_gradients(dh: Array, dc: Array, s: Step) -> list[Array]:
    """The gradients of the four gates before their nonlinearities, in the order i, f, o, g."""
    return [
        dc * s.g * s.i * (1 - s.i),
        dc * s.c * s.f * (1 - s.f),
        dh * s.tanh_c * s.o * (1 - s.o),
        dc * s.i * (1 - s.g**2),
    ]


@dataclass(frozen=True)
class LSTM:
    """h_t = o tanh(c_t), c_t = f c_(t-1) + i g; x (T, N, C), y (T, N, H). The gates lie side by side: i, f, o, g."""

    features: int = 3
    size: int = 4

    def init(self, rng: np.random.Generator) -> Params:
        """wx (C, 4H), wh (H, 4H) and b (4H,)."""
        return gaussian(rng, wx=(self.features, 4 * self.size), wh=(self.size, 4 * self.size), b=(4 * self.size,))

    def forward(self, params: Params, x: Array) -> tuple[Array, Any]:
        """All hidden states, and the steps."""
        h = c = np.zeros((x.shape[1], self.size))
        steps, states = [], []
        for x_t in x:
            gates = np.split(x_t @ params["wx"] + h @ params["wh"] + params["b"], 4, axis=1)
            i, f, o, g = (*map(sigmoid, gates[:3]), np.tanh(gates[3]))
            before, c = c, f * c + i * g
            steps.append(Step(x_t, h, before, i, f, o, g, np.tanh(c)))
            h = o * np.tanh(c)
            states.append(h)
        return np.stack(states), (steps, params)

    def backward(self, dy: Array, cache: Any) -> BackwardResult:
        """dx, and the gradients of wx, wh and b."""
        return self.through_time(dy, cache)

    def through_time(
        self,
        dy: Array,
        cache: Any,
        gates: Callable[[Array, Array, Step], list[Array]] = gate_gradients,
        carry: Callable[[Array, Step], Array] = lambda dc, s: dc * s.f,
        cell: Callable[[Array, Step], Array] = lambda dh, s: dh * s.o * (1 - s.tanh_c**2),
        hidden: float = 1.0,
    ) -> BackwardResult:
        """Backward from the last step to the first, with each of its rules open to mistakes."""
        steps, params = cache
        grads = {name: np.zeros(value.shape) for name, value in params.items()}
        dxs: list[Array] = []
        dh_next: Array = np.zeros(dy[0].shape)
        dc_next: Array = np.zeros(dy[0].shape)
        for dy_t, s in zip(dy[::-1], steps[::-1], strict=True):
            dh = dy_t + hidden * dh_next
            dc = dc_next + cell(dh, s)
            dgates = np.concatenate(gates(dh, dc, s), axis=1)
            grads["wx"] += s.x.T @ dgates
            grads["wh"] += s.h.T @ dgates
            grads["b"] += dgates.sum(axis=0)
            dxs.append(dgates @ params["wx"].T)
            dh_next, dc_next = dgates @ params["wh"].T, carry(dc, s)
        return np.stack(dxs[::-1]), grads


class Heads(NamedTuple):
    """What attention keeps: x, its parameters, queries, keys, values and weights."""

    x: Array
    params: Params
    q: Array
    k: Array
    v: Array
    weights: Array


@dataclass(frozen=True)
class Attention:
    """y = softmax(q k' / sqrt(D)) v with q, k, v = x wq, x wk, x wv; x (N, T, D), y (N, T, D)."""

    size: int = 4

    def init(self, rng: np.random.Generator) -> Params:
        """wq, wk and wv, each (D, D)."""
        return gaussian(rng, wq=(self.size, self.size), wk=(self.size, self.size), wv=(self.size, self.size))

    def forward(self, params: Params, x: Array) -> tuple[Array, Heads]:
        """y, and what backward needs."""
        q, k, v = (x @ params[name] for name in ("wq", "wk", "wv"))
        weights = softmax(q @ k.swapaxes(1, 2) / self.size**0.5)
        return weights @ v, Heads(x, params, q, k, v, weights)

    def backward(self, dy: Array, cache: Heads) -> BackwardResult:
        """dx, and the gradients of the three matrices."""
        return self.collect(*self.inside(dy, cache), cache)

    def inside(self, dy: Array, at: Heads, scores: Any = None) -> tuple[Array, Array, Array]:
        """(dq, dk, dv); `scores` is the gradient before the softmax, by default the right one."""
        dscores = self.scores(dy, at) if scores is None else scores
        return dscores @ at.k, dscores.swapaxes(1, 2) @ at.q, at.weights.swapaxes(1, 2) @ dy

    def scores(self, dy: Array, at: Heads) -> Array:
        """The gradient of q k'."""
        dweights = dy @ at.v.swapaxes(1, 2)
        return at.weights * (dweights - (dweights * at.weights).sum(axis=2, keepdims=True)) / self.size**0.5

    def collect(self, dq: Array, dk: Array, dv: Array, at: Heads) -> BackwardResult:
        """dx and the gradients of the matrices from those of q, k and v."""
        dx = dq @ at.params["wq"].T + dk @ at.params["wk"].T + dv @ at.params["wv"].T
        return dx, {name: np.einsum("nti,ntj->ij", at.x, d) for name, d in (("wq", dq), ("wk", dk), ("wv", dv))}


@dataclass(frozen=True)
class GroupNorm:
    """Each group of channels of a sample is normalised: x (N, C, L). One group is layer norm."""

    channels: int = 4
    groups: int = 1

    def init(self, rng: np.random.Generator) -> Params:
        """gamma and beta, each (C, 1)."""
        return gaussian(rng, gamma=(self.channels, 1), beta=(self.channels, 1))

    def forward(self, params: Params, x: Array) -> tuple[Array, Any]:
        """y, shaped like x."""
        grouped = x.reshape(len(x), self.groups, -1)
        std = np.sqrt(np.var(grouped, axis=2, keepdims=True) + 1e-5)
        z = (grouped - np.mean(grouped, axis=2, keepdims=True)) / std
        return z.reshape(x.shape) * params["gamma"] + params["beta"], (x, z, std, params["gamma"])

    def backward(self, dy: Array, cache: Any) -> BackwardResult:
        """dx, and dgamma and dbeta (C, 1)."""
        x, z, std, gamma = cache
        dz = (dy * gamma).reshape(z.shape)
        dx = (dz - dz.mean(axis=2, keepdims=True) - z * (dz * z).mean(axis=2, keepdims=True)) / std
        grads = {"gamma": (dy * z.reshape(x.shape)).sum(axis=(0, 2))[:, None], "beta": dy.sum(axis=(0, 2))[:, None]}
        return dx.reshape(x.shape), grads


@dataclass(frozen=True)
class Conv:
    """A convolution of (N, C, H, W) by loops over its kernel: w (O, C / groups, kh, kw), b (O,)."""

    inputs: int = 4
    outputs: int = 4
    kernel: int = 3
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1

    def init(self, rng: np.random.Generator) -> Params:
        """w and b."""
        return gaussian(rng, w=(self.outputs, self.inputs // self.groups, self.kernel, self.kernel), b=(self.outputs,))

    def views(self, out: tuple[int, ...]) -> Iterator[tuple[int, int, tuple[slice, ...]]]:
        """(a, b, slices of the padded image) for each entry of the kernel."""
        for a in range(self.kernel):
            for b in range(self.kernel):
                at = (a * self.dilation, b * self.dilation)
                ranges = (slice(at[k], at[k] + self.stride * (out[k] - 1) + 1, self.stride) for k in (0, 1))
                yield a, b, (slice(None), slice(None), *ranges)

    def forward(self, params: Params, x: Array) -> tuple[Array, Any]:
        """y (N, O, Ho, Wo)."""
        p, span = self.padding, self.dilation * (self.kernel - 1) + 1
        padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
        out = tuple((size - span) // self.stride + 1 for size in padded.shape[2:])
        w = params["w"].reshape(self.groups, -1, *params["w"].shape[1:])
        y: Any = 0.0
        for a, b, view in self.views(out):
            part = padded[view].reshape(len(x), self.groups, -1, *out)
            y = y + np.einsum("ngchw,goc->ngohw", part, w[..., a, b])
        return y.reshape(len(x), -1, *out) + params["b"][:, None, None], (padded, w, x.shape)

    def backward(self, dy: Array, cache: Any) -> BackwardResult:
        """dx, dw and db."""
        padded, w, shape = cache
        out = dy.shape[2:]
        grouped = dy.reshape(len(dy), self.groups, -1, *out)
        dpadded, dw = np.zeros(padded.shape), np.zeros(w.shape)
        for a, b, view in self.views(out):
            part = padded[view].reshape(len(dy), self.groups, -1, *out)
            dw[..., a, b] = np.einsum("ngchw,ngohw->goc", part, grouped)
            dpadded[view] += np.einsum("ngohw,goc->ngchw", grouped, w[..., a, b]).reshape(len(dy), -1, *out)
        p = self.padding
        dx = dpadded[:, :, p : p + shape[2], p : p + shape[3]].copy()
        return dx, {"w": dw.reshape(-1, *w.shape[2:]), "b": dy.sum(axis=(0, 2, 3))}


@dataclass(frozen=True)
class TransposedConv:
    """The adjoint of a convolution: x (N, O, h, w) becomes y (N, C, H, W); parameters of `conv`."""

    conv: Conv
    size: tuple[int, int]

    def init(self, rng: np.random.Generator) -> Params:
        """w (O, C, kh, kw)."""
        return {"w": self.conv.init(rng)["w"]}

    def forward(self, params: Params, x: Array) -> tuple[Array, Any]:
        """y = the gradient that the convolution passes to its input."""
        zeros = np.zeros((len(x), self.conv.inputs, *self.size))
        cache = self.conv.forward(params | {"b": np.zeros(self.conv.outputs)}, zeros)[1]
        return self.conv.backward(x, cache)[0], (params, x)

    def backward(self, dy: Array, cache: Any) -> BackwardResult:
        """dx, by the convolution of dy, and dw."""
        params, x = cache
        dx, inner = self.conv.forward(params | {"b": np.zeros(self.conv.outputs)}, dy)
        return dx, {"w": self.conv.backward(x, inner)[1]["w"]}
