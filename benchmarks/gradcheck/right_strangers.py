"""The battery, third part: as an unfriendly stranger would write it, with every habit that defeats a checker.

Scales that differ by twelve orders, nearly equal eigenvalues, arguments beside a branch cut, complex intermediates,
dropout, state, loops with ifs on single numbers, writes in place, interpolation, dynamic programming.
"""

import math
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from right_functions import add, gaussian, positive, right
from right_layers import BATTERY

Array = np.ndarray


def sigmoid(x: Array) -> Array:
    return 0.5 * (1 + np.tanh(x / 2))


# Scales, tails, branch cuts
def unlike(rng: np.random.Generator) -> list[Array]:
    return [rng.standard_normal(1000) * 10.0 ** rng.uniform(-6, 6, 1000)]


right("entries from 1e-6 to 1e6", unlike, lambda x: np.log1p(x * x), lambda dy, x: dy * 2 * x / (1 + x * x))
right(
    "softplus at 700", lambda rng: [rng.choice([-700.0, 0.0, 700.0], (20, 30)) + rng.standard_normal((20, 30))],
    lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
    lambda dy, x: dy * np.where(x >= 0, 1, np.exp(np.minimum(x, 0))) / (1 + np.exp(-np.abs(x))),
)  # fmt: skip
right(
    "log sigmoid at 700", lambda rng: [rng.choice([-700.0, 700.0], 400) * rng.random(400)],
    lambda x: -np.logaddexp(0, -x), lambda dy, x: dy * np.exp(-np.logaddexp(0, x)),
)  # fmt: skip
right(
    "logaddexp", gaussian((50, 60), (50, 60), scale=30), np.logaddexp,
    lambda dy, a, b: (dy * sigmoid(a - b), dy * sigmoid(b - a)),
)  # fmt: skip
right(
    "arctan2 at the cut", lambda rng: [1e-3 * rng.standard_normal(300), -rng.random(300) - 0.1], np.arctan2,
    lambda dy, a, b: (dy * b / (a * a + b * b), -dy * a / (a * a + b * b)),
)  # fmt: skip
right(
    "division by tiny numbers", lambda rng: [rng.standard_normal(200), 1e-12 * rng.standard_normal(200)],
    lambda a, b: a / b, lambda dy, a, b: (dy / b, -dy * a / b**2),
)  # fmt: skip
right(
    "entropy of small shares", lambda rng: [rng.dirichlet(np.full(500, 0.05)) + 1e-12],
    lambda p: -(p * np.log(p)).sum(), lambda dy, p: -dy * (np.log(p) + 1),
)  # fmt: skip
right(
    "polar coordinates", gaussian((500,), (500,)), lambda a, b: np.stack([np.hypot(a, b), np.arctan2(b, a)]),
    lambda dy, a, b: (
        dy[0] * a / np.hypot(a, b) - dy[1] * b / (a * a + b * b),
        dy[0] * b / np.hypot(a, b) + dy[1] * a / (a * a + b * b),
    ),
)  # fmt: skip
right("numbers near 1e-200", gaussian((30,), scale=1e-200), lambda x: 3 * x, lambda dy, x: 3 * dy)
right("cancellation", gaussian((40,), scale=1e-4), lambda x: 1 - np.cos(x), lambda dy, x: dy * np.sin(x))
right(
    "a small change of a large number", gaussian((64,)), lambda x: (1e8 + x) - 1e8, lambda dy, x: dy.copy(),
)  # fmt: skip

# Order statistics, choices, interpolation
right(
    "three quantiles", gaussian((20, 101)), lambda x: np.quantile(x, [0.25, 0.5, 0.777], axis=1),
    lambda dy, x: quantile_gradient(dy, x, [0.25, 0.5, 0.777]),
)  # fmt: skip
right(
    "softmax of the ten largest", gaussian((30, 200)), lambda x: softmax_of_largest(x)[0],
    lambda dy, x: softmax_of_largest_gradient(dy, x),
)  # fmt: skip
right(
    "distance between sorted sets", gaussian((50_000,), (50_000,)), lambda a, b: np.abs(np.sort(a) - np.sort(b)).mean(),
    lambda dy, a, b: sorted_distance_gradient(dy, a, b),
)  # fmt: skip
right(
    "median absolute deviation", gaussian((2001,)), lambda x: np.median(np.abs(x - np.median(x))),
    lambda dy, x: deviation_gradient(dy, x),
)  # fmt: skip
right(
    "Gini index", positive((100_000,)),
    lambda x: 2 * (np.arange(1, x.size + 1) * np.sort(x)).sum() / (x.size * x.sum()),
    lambda dy, x: gini_gradient(dy, x),
)  # fmt: skip
right(
    "np.interp", lambda rng: [rng.uniform(0.01, 8.9, 3000), rng.standard_normal(10)],
    lambda x, table: np.interp(x, np.arange(10.0), table), lambda dy, x, table: interp_gradient(dy, x, table),
)  # fmt: skip
right(
    "bilinear sampling",
    lambda rng: [rng.standard_normal((30, 40)), rng.uniform(0.01, 28.9, 5000), rng.uniform(0.01, 38.9, 5000)],
    lambda image, u, v: bilinear(image, u, v)[0], lambda dy, image, u, v: bilinear_gradient(dy, image, u, v),
)  # fmt: skip
right(
    "piecewise by select", gaussian((100, 100), scale=2),
    lambda x: np.select([x < -1, x < 1], [-x - 0.5, 0.5 * x * x], x - 0.5), lambda dy, x: dy * np.clip(x, -1, 1),
)  # fmt: skip
right(
    "pinball loss of a million", gaussian((1_000_000,)), lambda x: np.where(x > 0, 0.9 * x, -0.1 * x).mean(),
    lambda dy, x: dy * np.where(x > 0, 0.9, -0.1) / x.size,
)  # fmt: skip
right(
    "logsumexp of a million", gaussian((1_000_000,)), lambda x: x.max() + np.log(np.exp(x - x.max()).sum()),
    lambda dy, x: dy * np.exp(x - x.max()) / np.exp(x - x.max()).sum(),
)  # fmt: skip
right(
    "sorted and weighed, a million", gaussian((1_000_000,)),
    lambda x: (np.sort(x) * np.linspace(-1, 1, x.size)).sum() / x.size,
    lambda dy, x: dy * np.linspace(-1, 1, x.size)[np.argsort(np.argsort(x))] / x.size,
)  # fmt: skip
right(
    "running maximum of a long signal", gaussian((10, 10_000)), lambda x: np.maximum.accumulate(x, axis=1),
    lambda dy, x: running_maximum_gradient(dy, x),
)  # fmt: skip
right(
    "maximum of windows", gaussian((20, 1000)), lambda x: sliding_window_view(x, 5, axis=1).max(axis=-1),
    lambda dy, x: window_maximum_gradient(dy, x),
)  # fmt: skip


def quantile_gradient(dy: Array, x: Array, shares: list[float]) -> Array:
    dx, order = np.zeros(x.shape), np.argsort(x, axis=1)
    rows = np.arange(len(x))
    for k, share in enumerate(shares):
        place = share * (x.shape[1] - 1)
        low = int(place)
        high = min(low + 1, x.shape[1] - 1)
        np.add.at(dx, (rows, order[:, low]), dy[k] * (1 - (place - low)))
        np.add.at(dx, (rows, order[:, high]), dy[k] * (place - low))
    return dx


def softmax_of_largest(x: Array) -> tuple[Array, Array]:
    chosen = np.sort(np.argpartition(x, -10, axis=1)[:, -10:], axis=1)
    top = np.take_along_axis(x, chosen, axis=1)
    e = np.exp(top - top.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True), chosen


def softmax_of_largest_gradient(dy: Array, x: Array) -> Array:
    p, chosen = softmax_of_largest(x)
    dx = np.zeros(x.shape)
    np.put_along_axis(dx, chosen, p * (dy - (dy * p).sum(axis=1, keepdims=True)), axis=1)
    return dx


def sorted_distance_gradient(dy: float, a: Array, b: Array) -> tuple[Array, Array]:
    signs = dy * np.sign(np.sort(a) - np.sort(b)) / a.size
    return signs[np.argsort(np.argsort(a))], -signs[np.argsort(np.argsort(b))]


def deviation_gradient(dy: float, x: Array) -> Array:
    middle = np.argsort(x)[x.size // 2]
    far = np.abs(x - x[middle])
    chosen = np.argsort(far)[x.size // 2]
    dx = np.zeros(x.shape)
    sign = np.sign(x[chosen] - x[middle])
    dx[chosen] += dy * sign
    dx[middle] -= dy * sign
    return dx


def gini_gradient(dy: float, x: Array) -> Array:
    ranks = np.argsort(np.argsort(x)) + 1
    weighed = (ranks * x).sum()
    return 2 * dy * (ranks / (x.size * x.sum()) - weighed / (x.size * x.sum() ** 2))


def interp_gradient(dy: Array, x: Array, table: Array) -> tuple[Array, Array]:
    cell = np.floor(x).astype(int)
    dtable = np.zeros(table.shape)
    np.add.at(dtable, cell, dy * (cell + 1 - x))
    np.add.at(dtable, cell + 1, dy * (x - cell))
    return dy * (table[cell + 1] - table[cell]), dtable


def bilinear(image: Array, u: Array, v: Array) -> tuple[Array, Any]:
    i, j = np.floor(u).astype(int), np.floor(v).astype(int)
    s, t = u - i, v - j
    corners = image[i, j], image[i, j + 1], image[i + 1, j], image[i + 1, j + 1]
    weights = (1 - s) * (1 - t), (1 - s) * t, s * (1 - t), s * t
    return sum(w * c for w, c in zip(weights, corners, strict=True)), (i, j, s, t, corners, weights)


def bilinear_gradient(dy: Array, image: Array, u: Array, v: Array) -> tuple[Array, Array, Array]:
    i, j, s, t, (a, b, c, d), weights = bilinear(image, u, v)[1]
    dimage = np.zeros(image.shape)
    for (down, over), weight in zip(((0, 0), (0, 1), (1, 0), (1, 1)), weights, strict=True):
        np.add.at(dimage, (i + down, j + over), dy * weight)
    return dimage, dy * ((1 - t) * (c - a) + t * (d - b)), dy * ((1 - s) * (b - a) + s * (d - c))


def running_maximum_gradient(dy: Array, x: Array) -> Array:
    first = np.ones(x.shape, bool)
    first[:, 1:] = x[:, 1:] > np.maximum.accumulate(x, axis=1)[:, :-1]
    source = np.maximum.accumulate(np.where(first, np.arange(x.shape[1]), 0), axis=1)
    dx = np.zeros(x.shape)
    np.add.at(dx, (np.arange(len(x))[:, None], source), dy)
    return dx


def window_maximum_gradient(dy: Array, x: Array) -> Array:
    winners = sliding_window_view(x, 5, axis=1).argmax(axis=-1) + np.arange(x.shape[1] - 4)
    dx = np.zeros(x.shape)
    np.add.at(dx, (np.arange(len(x))[:, None], winners), dy)
    return dx


# Linear algebra with little room, complex intermediates, Fourier
def nearly_degenerate(rng: np.random.Generator) -> list[Array]:
    q = np.linalg.qr(rng.standard_normal((8, 8)))[0]
    values = np.array([1, 1 + 1e-6, 1 + 2e-6, 2, 2 + 1e-4, 3, 4, 5.0])
    return [(q * values) @ q.T]


right("exponential by near-equal eigenvalues", nearly_degenerate, lambda a: matrix_exponential(a)[0],
    lambda dy, a: matrix_exponential_gradient(dy, a))  # fmt: skip
right(
    "near-equal eigenvalues", nearly_degenerate, lambda a: (np.linalg.eigvalsh((a + a.T) / 2) ** 3).sum(),
    lambda dy, a: 3 * dy * np.linalg.matrix_power((a + a.T) / 2, 2),
)  # fmt: skip
right("pseudo-inverse", gaussian((12, 5)), np.linalg.pinv, lambda dy, a: pinv_gradient(dy, a))
right(
    "least squares", gaussian((40, 6), (40,)), lambda a, b: np.linalg.lstsq(a, b, rcond=None)[0],
    lambda dy, a, b: lstsq_gradient(dy, a, b),
)  # fmt: skip
right(
    "modulus of a complex polynomial", gaussian((300,), (300,)), lambda a, b: np.abs((a + 1j * b) ** 2 + 0.3j),
    lambda dy, a, b: complex_gradient(dy, a, b),
)  # fmt: skip
right(
    "phase", gaussian((300,), (300,)), lambda a, b: np.angle(a + 1j * b),
    lambda dy, a, b: (-dy * b / (a * a + b * b), dy * a / (a * a + b * b)),
)  # fmt: skip
right(
    "real part of exp(ix)", gaussian((40, 50)), lambda x: np.exp(1j * x).real + np.exp(2j * x).imag,
    lambda dy, x: dy * (2 * np.cos(2 * x) - np.sin(x)),
)  # fmt: skip
right(
    "convolution by FFT", gaussian((16, 256), (31,)), lambda x, k: fft_convolution(x, k),
    lambda dy, x, k: fft_convolution_gradient(dy, x, k),
)  # fmt: skip
right(
    "magnitude of a spectrum", gaussian((8, 512)), lambda x: np.abs(np.fft.rfft(x, axis=1)),
    lambda dy, x: spectrum_gradient(dy, x),
)  # fmt: skip
right(
    "log of a power spectrum, large", gaussian((65_536,)), lambda x: np.log(np.abs(np.fft.fft(x)) ** 2 + 1e-3).mean(),
    lambda dy, x: log_power_gradient(dy, x),
)  # fmt: skip
right(
    "exponential by squaring", gaussian((10, 10), scale=0.3), lambda a: np.linalg.matrix_power(np.eye(10) + a / 64, 64),
    lambda dy, a: power_gradient(dy, np.eye(10) + a / 64, 64) / 64,
)  # fmt: skip


def symmetric_eigh(a: Array) -> tuple[Array, Array]:
    w, v = np.linalg.eigh((a + a.T) / 2)
    return w, v


def matrix_exponential(a: Array) -> tuple[Array, Array, Array]:
    w, v = symmetric_eigh(a)
    return (v * np.exp(w)) @ v.T, w, v


def matrix_exponential_gradient(dy: Array, a: Array) -> Array:
    _, w, v = matrix_exponential(a)
    half = (w[:, None] - w[None]) / 2
    slope = np.exp((w[:, None] + w[None]) / 2) * np.where(
        np.abs(half) < 1e-4, 1 + half**2 / 6, np.sinh(half) / np.where(half == 0, 1, half)
    )
    da = v @ ((v.T @ dy @ v) * slope) @ v.T
    return (da + da.T) / 2


def pinv_gradient(dy: Array, a: Array) -> Array:
    p = np.linalg.pinv(a)
    gram = np.linalg.inv(a.T @ a)
    return -p.T @ dy @ p.T + (np.eye(len(a)) - a @ p) @ dy.T @ gram.T


def lstsq_gradient(dy: Array, a: Array, b: Array) -> tuple[Array, Array]:
    x = np.linalg.lstsq(a, b, rcond=None)[0]
    u = np.linalg.solve(a.T @ a, dy)
    return np.outer(b - a @ x, u) - np.outer(a @ u, x), a @ u


def complex_gradient(dy: Array, a: Array, b: Array) -> tuple[Array, Array]:
    z = a + 1j * b
    w = z**2 + 0.3j
    dz = dy * np.conj(w) / np.abs(w) * 2 * z
    return dz.real, -dz.imag


def fft_convolution(x: Array, k: Array) -> Array:
    n = x.shape[1] + len(k) - 1
    return np.fft.irfft(np.fft.rfft(x, n) * np.fft.rfft(k, n), n)


def fft_convolution_gradient(dy: Array, x: Array, k: Array) -> tuple[Array, Array]:
    n = dy.shape[1]
    spectrum = np.fft.rfft(dy, n)
    dx = np.fft.irfft(spectrum * np.conj(np.fft.rfft(k, n)), n)[:, : x.shape[1]]
    dk = np.fft.irfft((spectrum * np.conj(np.fft.rfft(x, n))).sum(axis=0), n)[: len(k)]
    return dx.copy(), dk.copy()


def spectrum_gradient(dy: Array, x: Array) -> Array:
    z = np.fft.rfft(x, axis=1)
    full = np.zeros(x.shape, complex)
    full[:, : z.shape[1]] = dy * z / np.abs(z)
    return np.fft.ifft(full, axis=1).real * x.shape[1]


def log_power_gradient(dy: float, x: Array) -> Array:
    z = np.fft.fft(x)
    return dy * np.fft.ifft(2 * z / (np.abs(z) ** 2 + 1e-3)).real


def power_gradient(dy: Array, a: Array, n: int) -> Array:
    powers = [np.linalg.matrix_power(a, k).T for k in range(n)]
    return sum(powers[k] @ dy @ powers[n - 1 - k] for k in range(n))


# Gathers and scatters, writes in place, loops, dropout, state
SEGMENTS = np.random.default_rng(7).integers(0, 50, 20_000)
right(
    "sums of segments", gaussian((20_000,)), lambda x: np.bincount(SEGMENTS, weights=x, minlength=50),
    lambda dy, x: dy[SEGMENTS],
)  # fmt: skip
right(
    "largest of segments", gaussian((20_000,)), lambda x: segment_maximum(x),
    lambda dy, x: segment_maximum_gradient(dy, x)
)  # fmt: skip
right(
    "sparse matrix times vector", gaussian((20_000,), (50,)), lambda values, x: sparse_product(values, x),
    lambda dy, values, x: (dy[SPARSE_ROWS] * x[SEGMENTS], np.bincount(SEGMENTS, dy[SPARSE_ROWS] * values, 50)),
)  # fmt: skip
SPARSE_ROWS = np.sort(np.random.default_rng(8).integers(0, 300, 20_000))
right(
    "written in place",
    gaussian((100, 150)),
    lambda x: in_place(x),
    lambda dy, x: dy * np.where(x < 0, 0.1, 1) * (1 + 2 * x),
)
right("a loop with ifs", gaussian((60,)), lambda x: loop_with_ifs(x), lambda dy, x: loop_with_ifs_gradient(dy, x))
right(
    "math on floats", lambda rng: [float(rng.random() + 0.5), float(rng.standard_normal())],
    lambda a, b: math.exp(a) * math.sin(b) + math.hypot(a, b),
    lambda dy, a, b: (
        dy * (math.exp(a) * math.sin(b) + a / math.hypot(a, b)), dy * (math.exp(a) * math.cos(b) + b / math.hypot(a, b))
    ),
)  # fmt: skip
right(
    "dropout by a seed", lambda rng: [rng.standard_normal((64, 200)), int(rng.integers(100))],
    lambda x, seed: np.maximum(x, 0) * dropped(x.shape, seed),
    lambda dy, x, seed: (dy * (x > 0) * dropped(x.shape, seed), None),
)  # fmt: skip
right(
    "soft dynamic time warping", gaussian((12,), (10,)), lambda a, b: soft_dtw(a, b)[0],
    lambda dy, a, b: soft_dtw_gradient(dy, a, b),
)  # fmt: skip
right("Lorenz, 50 steps", gaussian((3,)), lambda x: lorenz(x)[-1], lambda dy, x: lorenz_gradient(dy, x))
right(
    "recursive filter, clipped",
    gaussian((20, 200)),
    lambda x: clipped_filter(x)[0],
    lambda dy, x: clipped_filter_gradient(dy, x),
)
right("focal loss, clipped", gaussian((500, 20), scale=4), lambda x: focal(x), lambda dy, x: focal_gradient(dy, x))
right(
    "absolute error in float32", gaussian((5000,), (5000,)),
    lambda a, b: float(np.abs(a.astype(np.float32) - b.astype(np.float32)).mean()),
    lambda dy, a, b: (dy * np.sign(a - b) / a.size, -dy * np.sign(a - b) / a.size),
)  # fmt: skip
right(
    "leaky relu in float32", gaussian((64, 64)),
    lambda x: np.where(x > 0, x, 0.01 * x).astype(np.float32).astype(float),
    lambda dy, x: dy * np.where(x > 0, 1, 0.01),
)  # fmt: skip
right(
    "reflecting pad", gaussian((6, 30)), lambda x: np.pad(x, ((0, 0), (4, 4)), mode="reflect"),
    lambda dy, x: reflect_gradient(dy, x),
)  # fmt: skip
right(
    "rotation by a quaternion", gaussian((4,), (100, 3)), lambda q, x: x @ rotation(q / np.linalg.norm(q)).T,
    lambda dy, q, x: rotated_gradient(dy, q, x),
)  # fmt: skip


class RunningNorm:
    """Batch norm that keeps running statistics on itself, which its outputs do not depend on in training."""

    def __init__(self) -> None:
        self.mean = np.zeros(6)

    def forward(self, params: Any, x: Array) -> tuple[Array, Any]:
        self.mean = 0.9 * self.mean + 0.1 * np.real(np.asarray(x)).mean(axis=0)
        std = np.sqrt(((x - x.mean(0)) ** 2).mean(0) + 1e-5)
        return (x - x.mean(0)) / std, ((x - x.mean(0)) / std, std)

    def backward(self, dy: Array, cache: Any) -> tuple[Array, dict[str, Any]]:
        z, std = cache
        return (dy - dy.mean(0) - z * (dy * z).mean(0)) / std, {}


class Gru:
    """A gated recurrent unit that keeps its last states on itself."""

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        return {name: 0.5 * rng.standard_normal((9, 5)) for name in ("z", "r", "n")}

    def forward(self, params: Any, x: Array) -> tuple[Array, Any]:
        h, self.steps = np.zeros((x.shape[1], 5)), []
        for x_t in x:
            both = np.concatenate([x_t, h], axis=1)
            z, r = 1 / (1 + np.exp(-both @ params["z"])), 1 / (1 + np.exp(-both @ params["r"]))
            gated = np.concatenate([x_t, r * h], axis=1)
            n = np.tanh(gated @ params["n"])
            self.steps.append((both, gated, z, r, n, h))
            h = (1 - z) * n + z * h
        return h, (self.steps, params)

    def backward(self, dy: Array, cache: Any) -> tuple[Array, dict[str, Array]]:
        steps, params = cache
        grads, dx, dh = {name: np.zeros((9, 5)) for name in params}, [], dy
        for both, gated, z, r, n, h in reversed(steps):
            dn = dh * (1 - z) * (1 - n * n)
            dz = dh * (h - n) * z * (1 - z)
            dgated = dn @ params["n"].T
            dr = dgated[:, 4:] * h * r * (1 - r)
            dboth = dz @ params["z"].T + dr @ params["r"].T
            grads["n"] += gated.T @ dn
            grads["z"] += both.T @ dz
            grads["r"] += both.T @ dr
            dx.append(dgated[:, :4] + dboth[:, :4])
            dh = dh * z + dgated[:, 4:] * r + dboth[:, 4:]
        return np.array(dx[::-1]), grads


add("batch norm with running statistics", RunningNorm(), gaussian((40, 6)))
add("GRU", Gru(), gaussian((7, 3, 4)), Gru().init)


def segment_maximum(x: Array) -> Array:
    out = np.full(50, -np.inf)
    np.maximum.at(out, SEGMENTS, x)
    return out


def segment_maximum_gradient(dy: Array, x: Array) -> Array:
    return dy[SEGMENTS] * (x == segment_maximum(x)[SEGMENTS])


def sparse_product(values: Array, x: Array) -> Array:
    out = np.zeros(300)
    np.add.at(out, SPARSE_ROWS, values * x[SEGMENTS])
    return out


def in_place(x: Array) -> Array:
    out = np.empty_like(x)
    np.multiply(x, x, out=out)
    out += x
    out[x < 0] *= 0.1
    return out


def loop_with_ifs(x: Array) -> Array:
    out, level = np.zeros(len(x)), 0.0
    for i in range(len(x)):
        if x[i] > level:  # noqa: SIM108, as people write it
            level = level + 0.5 * (x[i] - level)
        else:
            level = 0.9 * level
        out[i] = level
    return out


def loop_with_ifs_gradient(dy: Array, x: Array) -> Array:
    levels, rose = [0.0, *loop_with_ifs(x)], []
    rose = [x[i] > levels[i] for i in range(len(x))]
    dx, dlevel = np.zeros(len(x)), 0.0
    for i in reversed(range(len(x))):
        dlevel += dy[i]
        dx[i] = 0.5 * dlevel if rose[i] else 0.0
        dlevel *= 0.5 if rose[i] else 0.9
    return dx


def dropped(shape: tuple[int, ...], seed: int) -> Array:
    return (np.random.default_rng(seed).random(shape) < 0.8) / 0.8


def soft_dtw(a: Array, b: Array) -> tuple[Any, Array, Array]:
    n, m = len(a), len(b)
    cost = (a[:, None] - b[None]) ** 2
    r = np.full((n + 1, m + 1), np.inf)
    r[0, 0] = 0.0
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            three = np.array([r[i - 1, j - 1], r[i - 1, j], r[i, j - 1]])
            least = three.min()
            r[i, j] = cost[i - 1, j - 1] + least - np.log(np.exp(-(three - least)).sum())
    return r[n, m], r, cost


def soft_dtw_gradient(dy: Any, a: Array, b: Array) -> tuple[Array, Array]:
    _, r, cost = soft_dtw(a, b)
    n, m = cost.shape
    e = np.zeros((n + 2, m + 2))
    e[n, m] = 1.0
    for i in range(n, 0, -1):
        for j in range(m, 0, -1):
            for di, dj in ((0, 1), (1, 0), (1, 1)):
                if i + di <= n and j + dj <= m:
                    share = np.exp(r[i + di, j + dj] - cost[i + di - 1, j + dj - 1] - r[i, j])
                    e[i, j] += e[i + di, j + dj] * share
    dcost = dy * e[1:-1, 1:-1] * 2 * (a[:, None] - b[None])
    return dcost.sum(axis=1), -dcost.sum(axis=0)


def lorenz(x: Array, dt: float = 0.01) -> list[Array]:
    path = [x]
    for _ in range(50):
        a, b, c = path[-1]
        path.append(path[-1] + dt * np.array([10 * (b - a), a * (28 - c) - b, a * b - 8 / 3 * c]))
    return path


def lorenz_gradient(dy: Array, x: Array, dt: float = 0.01) -> Array:
    for a, b, c in reversed(lorenz(x)[:-1]):
        jacobian = np.array([[-10, 10, 0], [28 - c, -1, -a], [b, a, -8 / 3]])
        dy = dy + dt * jacobian.T @ dy
    return dy


def clipped_filter(x: Array) -> tuple[Array, Array]:
    y, free = np.zeros_like(x), np.zeros(x.shape, bool)
    last = np.zeros(len(x))
    for t in range(x.shape[1]):
        now = 0.8 * last + x[:, t]
        free[:, t] = np.abs(now) < 1.5
        y[:, t] = last = np.clip(now, -1.5, 1.5)
    return y, free


def clipped_filter_gradient(dy: Array, x: Array) -> Array:
    free = clipped_filter(x)[1]
    dx, dlast = np.zeros(x.shape), np.zeros(len(x))
    for t in reversed(range(x.shape[1])):
        dx[:, t] = (dy[:, t] + dlast) * free[:, t]
        dlast = 0.8 * dx[:, t]
    return dx


def focal(x: Array) -> float:
    p = np.clip(1 / (1 + np.exp(-x)), 1e-3, 1 - 1e-3)
    return float(-((1 - p) ** 2 * np.log(p)).sum() / len(x))


def focal_gradient(dy: float, x: Array) -> Array:
    q = 1 / (1 + np.exp(-x))
    p = np.clip(q, 1e-3, 1 - 1e-3)
    dp = -dy * ((1 - p) ** 2 / p - 2 * (1 - p) * np.log(p)) / len(x)
    return dp * (p == q) * q * (1 - q)


def reflect_gradient(dy: Array, x: Array) -> Array:
    index = np.pad(np.arange(x.shape[1]), 4, mode="reflect")
    dx = np.zeros(x.shape)
    np.add.at(dx, (slice(None), index), dy)
    return dx


def rotation(q: Array) -> Array:
    w, x, y, z = q
    return np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip


def rotated_gradient(dy: Array, q: Array, points: Array) -> tuple[Array, Array]:
    size = np.linalg.norm(q)
    w, x, y, z = u = q / size
    dr = dy.T @ points
    slopes = [
        [[0, -z, y], [z, 0, -x], [-y, x, 0]],
        [[0, y, z], [y, -2 * x, -w], [z, w, -2 * x]],
        [[-2 * y, x, w], [x, 0, z], [-w, z, -2 * y]],
        [[-2 * z, -w, x], [w, -2 * z, y], [x, y, 0]],
    ]
    du = 2 * np.array([(dr * np.array(slope)).sum() for slope in slopes])
    return (du - u * (u @ du)) / size, dy @ rotation(u)


__all__ = ["BATTERY"]
