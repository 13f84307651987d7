"""Alignment: a smooth field that warps one drawing onto another, fitted by Gauss-Newton steps.

Two people draw the same character with other proportions. A field moves each point t = (x, y), in half sides of the
image from its centre, by a weighted sum of K functions B_k,

    u_a(t) = sum over k of p[a, k] B_k(t),  for a = x and y        (1)

They are 1, x and y, with which a field is an affine map, and cos(pi m (x + 1) / 2) cos(pi n (y + 1) / 2) for
m, n = 0 to 3 and m + n >= 2. One image, q, is read where the field leads and compared with another, s, at P pixels:

    r[i] = q(t_i + u(t_i)) - s(t_i)        (2)

Between pixels, an image is a sum of quadratic B-splines, one at each pixel, so that its slopes have no jumps: with
bilinear interpolation, whose slopes jump from pixel to pixel, the steps below overshoot.

The p[a, k] are taken to be normal with the standard deviations w[k], which are small, and less for higher frequencies;
residuals, with the variance v. The most probable p then minimises (twice the negative logarithm of its probability)

    F(p) = |r|^2 / v + e(p),  where the energy of the field is  e(p) = sum over a, k of (p[a, k] / w[k])^2        (3)

By the chain rule, with g[i, a] the slope of q along a at the point where it is read,

    J[i, (a, k)] = dr[i] / dp[a, k] = g[i, a] B[i, k]        (4)

A Gauss-Newton step takes r for linear, r + J d after a step d. F is then quadratic in d, with its minimum where half of
its gradient, J' (r + J d) / v + (p + d) / w^2, is zero:

    d = -(J' J / v + diag(1 / w^2))^-1 (J' r / v + p / w^2)        (5)

No line search is needed: from p = 0, each of them lowers F, and the first STEPS take it nine tenths of its way down
(tests/images/test_align.py).
"""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from scratchnet.backend import CPU, Array, array_module, device_of, for_each
from scratchnet.images.warp import sample

SIDE = 24  # pixels a side of what is fitted: a smooth field needs no finer detail
BLUR = 0.7  # standard deviation of the blur, in these pixels, so that strokes that are apart still feel each other
WAVES = 4  # frequencies of the cosines along an axis, 0 to 3
SHIFT, LINEAR, BEND = 0.1, 0.12, 0.08  # w for 1, for x and y, and for a cosine of frequency 1, in half sides
VARIANCE = 0.72  # v, for images of a mean square of 1/4
STEPS = 8
BLOCK = 16  # pairs at a time on the CPU, so that their Jacobians stay in the cache of the processor


class Fit(NamedTuple):
    """The field (N, 2, K) that warps each of N images onto another: p, x before y.

    residual: (N,), the mean of r^2 that is left. energy: (N,), e(p). Two drawings of one character have less of both.
    """

    field: Array
    residual: Array
    energy: Array


def align(moving: Array, fixed: Array) -> Fit:
    """Fit the fields that warp each of the images `moving` onto that of `fixed`, (N, S, S) each, float, ink 1, paper 0.

    Both are blurred, shrunk to SIDE pixels and scaled to the same mean square, so that thick and thin strokes compare.
    """
    xp, N = array_module(moving, fixed), len(moving)
    step = BLOCK if device_of(moving) is CPU else max(1, N)
    (q, _), (_, s) = _simplified(moving), _simplified(fixed)
    fields = xp.zeros((N, 2, len(spreads())), dtype=q.dtype)
    residual, energy = xp.empty(N, dtype=q.dtype), xp.empty(N, dtype=q.dtype)

    def fit(start: int) -> None:
        some = slice(start, min(start + step, N))
        p = fields[some]
        for _ in range(STEPS):
            p = p + gauss_newton_step(p, *residuals(p, q[some], s[some]))
        r, _ = residuals(p, q[some], s[some])
        fields[some], residual[some], energy[some] = p, (r * r).mean(axis=1), energies(p)

    for_each(fit, range(0, N, step), like=q)
    return Fit(fields, residual, energy)


def residuals(p: Array, q: Array, s: Array) -> tuple[Array, Array]:
    """r (N, P) under the fields p (N, 2, K), and its Jacobian J (N, P, 2 K), where P = S S.

    q: (N, S, S), the weights of the B-splines of the images that are moved. s: (N, P), the others at the pixels.
    """
    xp = array_module(p, q, s)
    B = _upload(basis(q.shape[-1]), p)
    u = p @ B.T  # (1)
    moved, slopes = _read(q, u)
    r = moved - s  # (2)
    J = xp.concatenate([slopes[:, a, :, None] * B for a in (0, 1)], axis=2)  # (4)
    return r, J


def gauss_newton_step(p: Array, r: Array, J: Array) -> Array:
    """The step d (N, 2, K) from p (N, 2, K), where the residuals are r (N, P) and their Jacobian J (N, P, 2 K)."""
    xp = array_module(p, r, J)
    precision = _upload(np.tile(spreads() ** -2.0, 2), p)  # (2 K,)
    curvature = J.swapaxes(1, 2) @ J / VARIANCE + xp.diag(precision)
    slope = (r[:, None, :] @ J)[:, 0] / VARIANCE + precision * p.reshape(len(p), -1)
    return -xp.linalg.solve(curvature, slope[:, :, None]).reshape(p.shape)  # (5)


def energies(p: Array) -> Array:
    """e(p), (N,), of fields (N, 2, K)."""
    scaled = p / _upload(spreads(), p)
    return (scaled * scaled).sum(axis=(1, 2))  # (3)


def warped(images: Array, field: Array) -> Array:
    """Images (N, S, S), float, each read where its field (N, 2, K) leads; outside there is paper. Returns (N, S, S)."""
    N, side = len(images), images.shape[-1]
    shifts = (field @ _upload(basis(side), field).T).reshape(N, 2, side, side) * (side / 2)  # in pixels
    identity = np.tile(np.eye(2, 3), (N, 1, 1))
    return sample(images, _upload(identity, images), shifts)


@lru_cache(maxsize=8)
def basis(side: int) -> np.ndarray:
    """B (P, K), float64: the K functions at the centres of the pixels of an image, row by row; P = side side."""
    t = (np.arange(side) + 0.5) / side * 2 - 1
    y, x = np.meshgrid(t, t, indexing="ij")
    return basis_at(x.reshape(-1), y.reshape(-1))


def basis_at(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The K functions at points x and y (P,), in half sides from the centre: (P, K)."""
    cosines = [np.cos(np.pi * m * (x + 1) / 2) * np.cos(np.pi * n * (y + 1) / 2) for m, n in _frequencies()]
    return np.stack([np.ones_like(x), x, y, *cosines], axis=1)


@lru_cache(maxsize=1)
def spreads() -> np.ndarray:
    """The standard deviations w (K,), float64; of a cosine, inversely proportional to its frequency."""
    return np.array([SHIFT, LINEAR, LINEAR, *(BEND / np.hypot(m, n) for m, n in _frequencies())])


def _frequencies() -> list[tuple[int, int]]:
    return [(m, n) for m in range(WAVES) for n in range(WAVES) if m + n >= 2]


def _read(images: Array, u: Array) -> tuple[Array, Array]:
    """Images (N, S, S), read where u (N, 2, P) leads, as sums of B-splines; and the slopes there, (N, 2, P)."""
    xp, (N, side) = array_module(images, u), images.shape[:2]
    paper = 3  # pixels on every side; what is read further out is clipped to them
    padded = xp.pad(images, ((0, 0), (paper, paper), (paper, paper))).reshape(-1)
    pitch = side + 2 * paper
    at = _upload(basis(side)[:, 1:3].T, u) + u  # the points (x, y) in half sides
    pixels = [xp.clip((at[:, a] + 1) * (side / 2) - 0.5, 1 - paper, side + paper - 2) for a in (0, 1)]
    nearest = [xp.floor(pixel.real + 0.5) for pixel in pixels]
    (across, across_slopes), (down, down_slopes) = (_splines(p - n) for p, n in zip(pixels, nearest, strict=True))
    column, row = (pixel.astype(xp.int64) + paper for pixel in nearest)
    corner = xp.arange(N)[:, None] * (pitch * pitch) + (row - 1) * pitch + column - 1
    value: Any
    value, slope_x, slope_y = 0, 0, 0
    for j in range(3):
        ink = [padded[corner + (j * pitch + i)] for i in range(3)]
        line = sum(share * each for share, each in zip(across, ink, strict=True))
        line_slope = sum(share * each for share, each in zip(across_slopes, ink, strict=True))
        value, slope_x, slope_y = (
            value + down[j] * line,
            slope_x + down[j] * line_slope,
            slope_y + down_slopes[j] * line,
        )
    return value, xp.stack([slope_x, slope_y], axis=1) * (side / 2)


def _splines(f: Array) -> tuple[list[Array], list[Array]]:
    """The quadratic B-splines of the pixels before, at and after, f from -1/2 to 1/2 from the middle; and slopes."""
    return [(0.5 - f) ** 2 / 2, 0.75 - f * f, (0.5 + f) ** 2 / 2], [f - 0.5, -2 * f, f + 0.5]


def _simplified(images: Array) -> tuple[Array, Array]:
    """Images (N, S, S) blurred, shrunk to SIDE pixels and scaled to a mean square of 1/4; blank ones stay blank.

    Returns the weights (N, SIDE, SIDE) of their B-splines, and their values (N, P) at the pixels, P = SIDE SIDE.
    """
    xp = array_module(images)
    blur, at_pixels = _upload(_blur(images.shape[-1]), images), _upload(_at_pixels(), images)
    weights = blur @ images @ blur.T
    values = (at_pixels @ weights @ at_pixels).reshape(len(images), SIDE * SIDE)
    size = xp.sqrt((values * values).mean(axis=1, keepdims=True))
    scale = 0.5 / xp.where(size > 0, size, 1)
    return weights * scale[:, :, None], values * scale


@lru_cache(maxsize=8)
def _blur(side: int) -> np.ndarray:
    """Weights (SIDE, side), float64, of a Gaussian around the centre of each of SIDE pixels, on endless paper."""
    distance = (np.arange(SIDE)[:, None] + 0.5) - (np.arange(side) + 0.5) * SIDE / side
    return np.exp(-((distance / BLUR) ** 2) / 2) / (BLUR * np.sqrt(2 * np.pi)) * SIDE / side


@lru_cache(maxsize=1)
def _at_pixels() -> np.ndarray:
    """What the splines of the pixels beside and at a pixel add up to there, (SIDE, SIDE), float64."""
    return 0.75 * np.eye(SIDE) + 0.125 * (np.eye(SIDE, k=1) + np.eye(SIDE, k=-1))


def _upload(values: np.ndarray, like: Array) -> Any:
    """An array of the host where another is, and in its precision."""
    return device_of(like).upload(values.astype(like.dtype.name))
