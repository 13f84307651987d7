"""The battery: right functions with right gradients, in the sizes that people use. None may fail a check.

Each is written as its author would write it, for real numbers: with np.abs, np.maximum, sorts, masks and float().
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scratchnet.gradcheck import from_functions

Draw = Callable[[np.random.Generator], list[Any]]
BATTERY: dict[str, "Right"] = {}


@dataclass(frozen=True)
class Right:
    """A right layer, a way to draw its inputs and parameters, and further arguments of `check`."""

    name: str
    layer: Any
    draw: Draw
    params: Callable[[np.random.Generator], dict[str, Any]] = lambda rng: {}
    arguments: dict[str, Any] = field(default_factory=dict)

    def entries(self) -> int:
        """The number of floating-point numbers in its inputs."""
        drawn = self.draw(np.random.default_rng(0))
        return sum(np.size(x) for x in drawn if np.asarray(x).dtype.kind == "f")


def gaussian(*shapes: tuple[int, ...], scale: float = 1.0, shift: float = 0.0) -> Draw:
    """Inputs with Gaussian entries."""
    return lambda rng: [shift + scale * np.asarray(rng.standard_normal(shape)) for shape in shapes]


def positive(*shapes: tuple[int, ...]) -> Draw:
    """Inputs with entries from 0.5 to 1.5."""
    return lambda rng: [0.5 + np.asarray(rng.random(shape)) for shape in shapes]


def right(name: str, draw: Draw, function: Callable[..., Any], gradient: Callable[..., Any], **arguments: Any) -> None:
    """Add a pair of functions."""
    BATTERY[name] = Right(name, from_functions(function, gradient), draw, arguments=arguments)


def add(name: str, layer: Any, draw: Draw, params: Any = lambda rng: {}, **arguments: Any) -> None:
    """Add a layer."""
    BATTERY[name] = Right(name, layer, draw, params, arguments)


# Elementwise, smooth and with kinks, small and large
right("mean of |x|", gaussian((8, 3, 64, 64)), lambda x: np.mean(np.abs(x)), lambda dy, x: dy * np.sign(x) / x.size)
right(
    "mean of |x|, a million", gaussian((1000, 1000)), lambda x: np.abs(x).mean(), lambda dy, x: dy * np.sign(x) / x.size
)
right("mean of relu", gaussian((30_000,)), lambda x: np.maximum(x, 0).mean(), lambda dy, x: dy * (x > 0) / x.size)
right("relu as a mask", gaussian((100, 1000)), lambda x: x * (x > 0), lambda dy, x: dy * (x > 0))
right("relu by where", gaussian((40, 50)), lambda x: np.where(x > 0, x, 0.0), lambda dy, x: np.where(x > 0, dy, 0.0))
right(
    "leaky relu",
    gaussian((16, 128)),
    lambda x: np.where(x > 0, x, 0.01 * x),
    lambda dy, x: dy * np.where(x > 0, 1, 0.01),
)
right(
    "elu", gaussian((64, 64)), lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    lambda dy, x: dy * np.where(x > 0, 1.0, np.exp(np.minimum(x, 0))),
)  # fmt: skip
right(
    "gelu by tanh", gaussian((32, 512)),
    lambda x: 0.5 * x * (1 + np.tanh(0.79788456 * (x + 0.044715 * x**3))),
    lambda dy, x: dy * _gelu_slope(x, np.tanh(0.79788456 * (x + 0.044715 * x**3))),
)  # fmt: skip
right(
    "softplus",
    gaussian((20, 30), scale=20),
    lambda x: np.logaddexp(x, 0),
    lambda dy, x: dy * 0.5 * (1 + np.tanh(x / 2)),
)
right("hard tanh", gaussian((50, 40)), lambda x: np.clip(x, -1, 1), lambda dy, x: dy * (np.abs(x) <= 1))
right(
    "hard sigmoid",
    gaussian((8, 9), scale=3),
    lambda x: np.clip(x / 6 + 0.5, 0, 1),
    lambda dy, x: dy * (np.abs(x) < 3) / 6,
)
right("sine of one number", gaussian(()), np.sin, lambda dy, x: dy * np.cos(x))
right("square of one number", lambda rng: [float(rng.standard_normal())], lambda x: x * x, lambda dy, x: 2 * dy * x)
right("cube", gaussian((7,)), lambda x: x**3, lambda dy, x: 3 * dy * x**2)
right(
    "power 1.5 of |x|",
    gaussian((30,)),
    lambda x: np.abs(x) ** 1.5,
    lambda dy, x: dy * 1.5 * np.sqrt(np.abs(x)) * np.sign(x),
)
right("1 / x", gaussian((100_000,)), lambda x: 1 / x, lambda dy, x: -dy / x**2)
right("log |x|", gaussian((50_000,)), lambda x: np.log(np.abs(x)), lambda dy, x: dy / x)
right(
    "sqrt |x|", gaussian((50_000,)), lambda x: np.sqrt(np.abs(x)),
    lambda dy, x: dy * np.sign(x) / (2 * np.sqrt(np.abs(x))),
)  # fmt: skip
right(
    "soft threshold",
    gaussian((60, 70)),
    lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0),
    lambda dy, x: dy * (np.abs(x) > 0.5),
)
right("smallest numbers", gaussian((20,), scale=1e-150), lambda x: x * x, lambda dy, x: 2 * dy * x)
right("largest numbers", gaussian((20,), scale=1e150), lambda x: x * x, lambda dy, x: 2 * dy * x)
right("a tensor of zeros", lambda rng: [np.zeros((4, 5))], lambda x: np.exp(x), lambda dy, x: dy * np.exp(x))
right("no entries", lambda rng: [np.zeros((0, 5))], lambda x: x * x, lambda dy, x: 2 * dy * x)
right(
    "0.3 beside 1e6",
    lambda rng: [np.array([0.3, 1e6]) * (1 + 0.1 * rng.random(2))],
    lambda x: x * x,
    lambda dy, x: 2 * dy * x,
)
right(
    "float32 inside", gaussian((30, 40)), lambda x: np.tanh(x.astype(np.float32)).astype(np.float64),
    lambda dy, x: dy / np.cosh(x) ** 2,
)  # fmt: skip
right(
    "float32 inside, kinks", gaussian((100, 200)), lambda x: np.maximum(x.astype(np.float32), 0).astype(np.float64),
    lambda dy, x: dy * (x > 0),
)  # fmt: skip
right(
    "through np.asarray of floats",
    gaussian((200, 300)),
    lambda x: np.abs(np.asarray(x, dtype=float)),
    lambda dy, x: dy * np.sign(x),
)
right(
    "copied into zeros", gaussian((150, 200)), lambda x: _into(np.zeros(x.shape), np.maximum(x, 0.1)),
    lambda dy, x: dy * (x > 0.1),
)  # fmt: skip


def _into(out: np.ndarray, values: np.ndarray) -> np.ndarray:
    out[...] = values
    return out


# Reductions, order statistics, norms
right(
    "median",
    gaussian((9, 1001)),
    lambda x: np.median(x, axis=1),
    lambda dy, x: dy[:, None] * (x == np.median(x, axis=1)[:, None]),
)
right(
    "largest of each row",
    gaussian((200, 50)),
    lambda x: x.max(axis=1),
    lambda dy, x: dy[:, None] * (x == x.max(axis=1, keepdims=True)),
)
right(
    "range",
    gaussian((30, 40)),
    lambda x: np.ptp(x, axis=0),
    lambda dy, x: dy * ((x == x.max(0)) * 1.0 - (x == x.min(0))),
)
right(
    "sort",
    gaussian((100, 100)),
    lambda x: np.sort(x, axis=1),
    lambda dy, x: np.take_along_axis(dy, np.argsort(np.argsort(x, 1), 1), 1),
)
right(
    "five largest", gaussian((50, 300)), lambda x: -np.sort(-x, axis=1)[:, :5],
    lambda dy, x: _scattered(dy, np.argsort(-x, axis=1)[:, :5], x.shape),
)  # fmt: skip
right("quantile", gaussian((1001,)), lambda x: np.quantile(x, 0.9), lambda dy, x: dy * (x == np.sort(x)[900]))
right(
    "trimmed mean", gaussian((5000,)), lambda x: np.sort(x)[500:-500].mean(), lambda dy, x: dy * _between(x, 500) / 4000
)
right(
    "variance",
    gaussian((64, 1000)),
    lambda x: np.var(x, axis=1),
    lambda dy, x: dy[:, None] * 2 * (x - x.mean(1, keepdims=True)) / 1000,
)
right(
    "standard deviation", gaussian((10, 50)), lambda x: x.std(axis=0, ddof=1),
    lambda dy, x: dy * (x - x.mean(0)) / (9 * x.std(axis=0, ddof=1)),
)  # fmt: skip
right("norm", gaussian((300, 300)), np.linalg.norm, lambda dy, x: dy * x / np.linalg.norm(x))
right(
    "norm of each row",
    gaussian((100, 100)),
    lambda x: np.linalg.norm(x, axis=1),
    lambda dy, x: dy[:, None] * x / np.linalg.norm(x, axis=1, keepdims=True),
)
right("1-norm", gaussian((100_000,)), lambda x: np.linalg.norm(x, 1), lambda dy, x: dy * np.sign(x))
right(
    "largest |x|",
    gaussian((10_000,)),
    lambda x: np.abs(x).max(),
    lambda dy, x: dy * np.sign(x) * (np.abs(x) == np.abs(x).max()),
)
right(
    "logsumexp",
    gaussian((100, 1000)),
    lambda x: _logsumexp(x),
    lambda dy, x: dy[:, None] * np.exp(x - _logsumexp(x)[:, None]),
)
right(
    "softmax",
    gaussian((100, 100)),
    lambda x: _softmax(x),
    lambda dy, x: _softmax(x) * (dy - (dy * _softmax(x)).sum(1, keepdims=True)),
)
right(
    "product", positive((4, 6)), lambda x: x.prod(axis=1), lambda dy, x: dy[:, None] * x.prod(axis=1, keepdims=True) / x
)
right(
    "cumulative sum",
    gaussian((10, 1000)),
    lambda x: np.cumsum(x, axis=1),
    lambda dy, x: np.cumsum(dy[:, ::-1], axis=1)[:, ::-1].copy(),
)
right(
    "cumulative maximum",
    gaussian((20, 60)),
    lambda x: np.maximum.accumulate(x, axis=1),
    lambda dy, x: _cummax_gradient(dy, x),
)
right(
    "total variation",
    gaussian((64, 64)),
    lambda x: np.abs(np.diff(x, axis=0)).sum() + np.abs(np.diff(x, axis=1)).sum(),
    lambda dy, x: dy * _variation_gradient(x),
)
right(
    "Huber",
    gaussian((40_000,), scale=2),
    lambda x: np.where(np.abs(x) < 1, x * x / 2, np.abs(x) - 0.5).mean(),
    lambda dy, x: dy * np.clip(x, -1, 1) / x.size,
)


def _gelu_slope(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * 0.79788456 * (1 + 0.134145 * x**2)


def _scattered(values: np.ndarray, places: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    out = np.zeros(shape)
    np.put_along_axis(out, places, values, axis=1)
    return out


def _between(x: np.ndarray, cut: int) -> np.ndarray:
    order = np.sort(x)
    return (x >= order[cut]) & (x <= order[-cut - 1])


def _logsumexp(x: np.ndarray) -> np.ndarray:
    top = x.max(axis=1, keepdims=True)
    return (top + np.log(np.exp(x - top).sum(axis=1, keepdims=True)))[:, 0]


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - np.max(x, axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def _cummax_gradient(dy: np.ndarray, x: np.ndarray) -> np.ndarray:
    new = np.concatenate([np.ones((len(x), 1), bool), x[:, 1:] > np.maximum.accumulate(x, axis=1)[:, :-1]], axis=1)
    source = np.maximum.accumulate(np.where(new, np.arange(x.shape[1]), 0), axis=1)
    dx = np.zeros(x.shape)
    np.add.at(dx, (np.arange(len(x))[:, None], source), dy)
    return dx


def _variation_gradient(x: np.ndarray) -> np.ndarray:
    dx = np.zeros(x.shape)
    for axis in (0, 1):
        signs = np.moveaxis(np.sign(np.diff(x, axis=axis)), axis, 0)
        view = np.moveaxis(dx, axis, 0)
        view[1:] += signs
        view[:-1] -= signs
    return dx


# Linear algebra, Fourier
right("matrix product", gaussian((50, 60), (60, 40)), lambda a, b: a @ b, lambda dy, a, b: (dy @ b.T, a.T @ dy))
right(
    "einsum", gaussian((6, 7, 8), (8, 7, 5)), lambda a, b: np.einsum("ijk,kjl->il", a, b),
    lambda dy, a, b: (np.einsum("il,kjl->ijk", dy, b), np.einsum("il,ijk->kjl", dy, a)),
)  # fmt: skip
right(
    "solve", gaussian((20, 20), (20, 3), scale=0.1), lambda a, b: np.linalg.solve(a + np.eye(20), b),
    lambda dy, a, b: _solve_gradient(dy, a + np.eye(20), b),
)  # fmt: skip
right(
    "inverse",
    gaussian((8, 8)),
    lambda a: np.linalg.inv(a + 5 * np.eye(8)),
    lambda dy, a: -np.linalg.inv(a + 5 * np.eye(8)).T @ dy @ np.linalg.inv(a + 5 * np.eye(8)).T,
)
right("determinant", gaussian((5, 5)), np.linalg.det, lambda dy, a: dy * np.linalg.det(a) * np.linalg.inv(a).T)
right("log determinant", gaussian((30, 30)), lambda a: np.linalg.slogdet(a)[1], lambda dy, a: dy * np.linalg.inv(a).T)
right("nuclear norm", gaussian((40, 30)), lambda a: np.linalg.norm(a, "nuc"), lambda dy, a: dy * _without_values(a))
right(
    "spectral norm",
    gaussian((40, 30)),
    lambda a: np.linalg.norm(a, 2),
    lambda dy, a: dy * np.outer(np.linalg.svd(a)[0][:, 0], np.linalg.svd(a)[2][0]),
)
right(
    "eigenvalues",
    gaussian((12, 12)),
    lambda a: np.linalg.eigvalsh(a + a.T),
    lambda dy, a: 2 * (np.linalg.eigh(a + a.T)[1] * dy) @ np.linalg.eigh(a + a.T)[1].T,
)
right(
    "Cholesky to log determinant", gaussian((10, 10)),
    lambda a: 2 * np.log(np.diag(np.linalg.cholesky(a @ a.T + np.eye(10)))).sum(),
    lambda dy, a: 2 * dy * np.linalg.solve(a @ a.T + np.eye(10), a),
)  # fmt: skip
right(
    "Fourier power",
    gaussian((1024,)),
    lambda x: (np.abs(np.fft.rfft(x)) ** 2).sum(),
    lambda dy, x: dy * np.real(_power_gradient(x)),
)
right(
    "Fourier filter",
    gaussian((64, 64)),
    lambda x: np.fft.ifft2(np.fft.fft2(x) * _KERNEL).real,
    lambda dy, x: np.fft.ifft2(np.fft.fft2(dy) * np.conj(_KERNEL)).real,
)
right(
    "trace of a product",
    gaussian((30, 30), (30, 30)),
    lambda a, b: np.trace(a @ b),
    lambda dy, a, b: (dy * b.T, dy * a.T),
)
right(
    "pairwise distances",
    gaussian((40, 5)),
    lambda x: np.sqrt(((x[:, None] - x[None]) ** 2).sum(-1) + 1e-9),
    lambda dy, x: _distance_gradient(dy, x),
)
right(
    "cosine similarity",
    gaussian((50, 20), (50, 20)),
    lambda a, b: (_unit(a) * _unit(b)).sum(1),
    lambda dy, a, b: _cosine_gradient(dy, a, b),
)
_KERNEL = np.exp(-np.add.outer(np.fft.fftfreq(64) ** 2, np.fft.fftfreq(64) ** 2) * 50)


def _power_gradient(x: np.ndarray) -> np.ndarray:
    spectrum = np.fft.rfft(x)
    both = np.fft.fft(x)
    weights = np.zeros(len(x))
    weights[: len(spectrum)] = 1
    return 2 * np.fft.ifft(both * weights) * len(x)


def _solve_gradient(dy: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    db = np.linalg.solve(a.T, dy)
    return -db @ np.linalg.solve(a, b).T, db


def _without_values(a: np.ndarray) -> np.ndarray:
    u, _, v = np.linalg.svd(a, full_matrices=False)
    return u @ v


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def _cosine_gradient(dy: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    u, v = _unit(a), _unit(b)
    cosine = (u * v).sum(1, keepdims=True)
    sizes = [np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b)]
    return dy[:, None] * (v - cosine * u) / sizes[0], dy[:, None] * (u - cosine * v) / sizes[1]


def _distance_gradient(dy: np.ndarray, x: np.ndarray) -> np.ndarray:
    gaps = x[:, None] - x[None]
    pull = (dy / np.sqrt((gaps**2).sum(-1) + 1e-9))[..., None] * gaps
    return pull.sum(1) - pull.sum(0)
