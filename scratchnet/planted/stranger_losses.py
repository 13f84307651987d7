"""Right layers of others, continued: lookups, resizing, sorting, spectral norm, and losses."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from scratchnet.backend import Array, Params
from scratchnet.planted.parts import BackwardResult
from scratchnet.planted.stranger_layers import gaussian, softmax


@dataclass(frozen=True)
class Embedding:
    """y = table[indices]: a row of the table (V, D) for each index, some of them more than once."""

    indices: tuple[int, ...] = (3, 0, 3, 5, 1, 3)
    rows: int = 7
    size: int = 4

    def init(self, rng: np.random.Generator) -> Params:
        """The table."""
        return gaussian(rng, table=(self.rows, self.size))

    def forward(self, params: Params) -> tuple[Array, None]:
        """y (N, D)."""
        return params["table"][list(self.indices)], None

    def backward(self, dy: Array, cache: None) -> BackwardResult:
        """dtable: each row is the sum over its places."""
        dtable = np.zeros((self.rows, self.size))
        np.add.at(dtable, list(self.indices), dy)
        return (), {"table": dtable}


@dataclass(frozen=True)
class Resize:
    """Bilinear resizing of (N, C, H, W) to another size, as two matrices with the weights of the pixels."""

    size: int = 7

    def init(self, rng: np.random.Generator) -> Params:
        """No parameters."""
        return {}

    def weights(self, old: int) -> Array:
        """(size, old): each row has the two pixels around the centre of a new one."""
        centres = np.clip((np.arange(self.size) + 0.5) * old / self.size - 0.5, 0, old - 1)
        return np.maximum(0, 1 - np.abs(centres[:, None] - np.arange(old)))

    def forward(self, params: Params, x: Array) -> tuple[Array, Any]:
        """y (N, C, size, size)."""
        rows, columns = self.weights(x.shape[2]), self.weights(x.shape[3])
        return np.einsum("ah,nchw,bw->ncab", rows, x, columns), (rows, columns)

    def backward(self, dy: Array, cache: Any) -> BackwardResult:
        """dx (N, C, H, W), with the same weights the other way."""
        rows, columns = cache
        return np.einsum("ah,ncab,bw->nchw", rows, dy, columns), {}


@dataclass(frozen=True)
class SortPool:
    """y = the k largest of each row of x (N, M), in falling order."""

    k: int = 3

    def init(self, rng: np.random.Generator) -> Params:
        """No parameters."""
        return {}

    def forward(self, params: Params, x: Array) -> tuple[Array, Any]:
        """y (N, k)."""
        order = np.argsort(-x, axis=1)[:, : self.k]
        return np.take_along_axis(x, order, axis=1), (order, x.shape)

    def backward(self, dy: Array, cache: Any) -> BackwardResult:
        """dx: dy where the winners stand."""
        order, shape = cache
        dx = np.zeros(shape)
        np.put_along_axis(dx, order, dy, axis=1)
        return dx, {}


@dataclass(frozen=True)
class SpectralNorm:
    """y = x w / s, with s the largest singular value of w (C, O)."""

    shape: tuple[int, int] = (4, 3)

    def init(self, rng: np.random.Generator) -> Params:
        """w."""
        return gaussian(rng, w=self.shape)

    def forward(self, params: Params, x: Array) -> tuple[Array, Any]:
        """y (N, O)."""
        w = params["w"]
        s = np.linalg.norm(w, 2)
        return x @ w / s, (x, w, s)

    def backward(self, dy: Array, cache: Any) -> BackwardResult:
        """dx, and dw, in which s moves by u v'."""
        x, w, s = cache
        u, _, vt = np.linalg.svd(w)
        dw = x.T @ dy
        return dy @ w.T / s, {"w": dw / s - (dw * w).sum() / s**2 * np.outer(u[:, 0], vt[0])}


@dataclass(frozen=True)
class CrossEntropy:
    """The mean over samples of -log softmax at the label, with smoothed labels; x (N, K), loss ()."""

    labels: tuple[int, ...] = (0, 2, 1, 2, 0)
    smoothing: float = 0.1

    def init(self, rng: np.random.Generator) -> Params:
        """No parameters."""
        return {}

    def target(self, x: Array) -> Array:
        """(N, K): 1 at the label, less what all classes share."""
        return (1 - self.smoothing) * np.eye(x.shape[1])[list(self.labels)] + self.smoothing / x.shape[1]

    def forward(self, params: Params, x: Array) -> tuple[Array, Array]:
        """The loss, and x."""
        shifted = x - np.max(x, axis=1, keepdims=True)
        logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        return -(self.target(x) * logs).sum() / len(x), x

    def backward(self, dy: Array, x: Array) -> BackwardResult:
        """dx."""
        return dy * (softmax(x) - self.target(x)) / len(x), {}


@dataclass(frozen=True)
class Hinge:
    """The mean over samples of the sum of max(0, x_k - x_label + 1) over the other classes; x (N, K), loss ()."""

    labels: tuple[int, ...] = (0, 2, 1, 2, 0)

    def init(self, rng: np.random.Generator) -> Params:
        """No parameters."""
        return {}

    def margins(self, x: Array) -> Array:
        """(N, K), zero at the label."""
        rows = np.arange(len(x))
        margins = np.maximum(0, x - x[rows, list(self.labels)][:, None] + 1)
        return np.where(np.eye(x.shape[1])[list(self.labels)] == 1, 0, margins)

    def forward(self, params: Params, x: Array) -> tuple[Array, Array]:
        """The loss, and x."""
        return self.margins(x).sum() / len(x), x

    def backward(self, dy: Array, x: Array) -> BackwardResult:
        """dx: 1 for each class over the margin, minus their number at the label."""
        over = (self.margins(x) > 0) * 1.0
        over[np.arange(len(x)), list(self.labels)] = -over.sum(axis=1)
        return dy * over / len(x), {}


@dataclass(frozen=True)
class Huber:
    """The sum of e^2 / 2 for |e| < delta and delta (|e| - delta / 2) beyond it, with e = x1 - x2; loss ()."""

    delta: float = 0.7

    def init(self, rng: np.random.Generator) -> Params:
        """No parameters."""
        return {}

    def forward(self, params: Params, x1: Array, x2: Array) -> tuple[Array, Array]:
        """The loss, and e."""
        e = x1 - x2
        return np.where(np.abs(e) < self.delta, e * e / 2, self.delta * (np.abs(e) - self.delta / 2)).sum(), e

    def backward(self, dy: Array, e: Array) -> BackwardResult:
        """(dx1, dx2)."""
        return (dy * np.clip(e, -self.delta, self.delta), -dy * np.clip(e, -self.delta, self.delta)), {}


@dataclass(frozen=True)
class Triplet:
    """The sum of max(0, |a - p|^2 - |a - n|^2 + 1); a, p, n (N, D), loss ()."""

    def init(self, rng: np.random.Generator) -> Params:
        """No parameters."""
        return {}

    def forward(self, params: Params, a: Array, p: Array, n: Array) -> tuple[Array, Any]:
        """The loss, and the three with what is active."""
        losses = ((a - p) ** 2).sum(axis=1) - ((a - n) ** 2).sum(axis=1) + 1
        return np.maximum(losses, 0).sum(), (a, p, n, (losses > 0)[:, None])

    def backward(self, dy: Array, cache: Any) -> BackwardResult:
        """(da, dp, dn)."""
        a, p, n, active = cache
        return (2 * dy * active * (n - p), -2 * dy * active * (a - p), 2 * dy * active * (a - n)), {}


@dataclass(frozen=True)
class Cosine:
    """y = a . b / (|a| |b|) for each row; a, b (N, D), y (N,)."""

    def init(self, rng: np.random.Generator) -> Params:
        """No parameters."""
        return {}

    def forward(self, params: Params, a: Array, b: Array) -> tuple[Array, Any]:
        """y, and unit vectors with their lengths."""
        sizes = [np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b)]
        u, v = a / sizes[0], b / sizes[1]
        return (u * v).sum(axis=1), (u, v, sizes)

    def backward(self, dy: Array, cache: Any) -> BackwardResult:
        """(da, db)."""
        u, v, sizes = cache
        cosine = (u * v).sum(axis=1, keepdims=True)
        return (dy[:, None] * (v - cosine * u) / sizes[0], dy[:, None] * (u - cosine * v) / sizes[1]), {}
