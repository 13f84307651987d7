"""Convolution: what every algorithm for it computes.

What the field calls convolution is a cross-correlation: the kernel is not flipped. With x (H, W, N, C) padded by zeros,
weight (kh, kw, C, O) and stride (s, t), the output y (Ho, Wo, N, O) and the gradients are

    y[i, j]               = sum over a, b of   x[s i + a, t j + b] @ weight[a, b]           (1)
    dweight[a, b]         = sum over i, j of   x[s i + a, t j + b].T @ dy[i, j]             (2)
    dx[s i + a, t j + b] += dy[i, j] @ weight[a, b].T                                       (3)

`x[i, j]` is an (N, C) matrix and `weight[a, b]` a (C, O) matrix, so this is the dense layer summed over the offsets
(a, b). `forward` and `backward` are these three lines, with one product for each offset. `ops/fast/` has algorithms
that find the same sums faster, each in a file that says why they are the same; `ops/choose.py` picks one.
"""

from typing import Any, NamedTuple

from scratchnet.backend import Array, array_module
from scratchnet.ops.accelerated import accelerated
from scratchnet.ops.windows import Pair, windows


class Saved(NamedTuple):
    """What `forward` leaves for `backward`: the algorithm that ran, and what it computed and can use again."""

    algorithm: str
    state: Any = None


@accelerated
def forward(x: Array, weight: Array, stride: Pair, padding: Pair, algorithm: str) -> tuple[Array, Saved]:
    """Equation (1): y (Ho, Wo, N, O). algorithm: which equivalent to use, or "auto"; this one is "offsets"."""
    terms = (x_ab @ weight[a, b] for a, b, x_ab in windows(pad(x, padding), weight.shape[:2], stride))
    y = next(terms)
    for term in terms:
        y += term  # (1)
    return y, Saved("offsets")


@accelerated
def backward(
    dy: Array, x: Array, weight: Array, saved: Saved, stride: Pair, padding: Pair, needs_dx: bool
) -> tuple[Array | None, Array]:
    """Equations (2) and (3): dx (H, W, N, C), or None without `needs_dx`, and dweight (kh, kw, C, O)."""
    x, kernel_size = pad(x, padding), weight.shape[:2]
    xp = array_module(dy, x, weight)
    dweight = xp.empty(weight.shape, dtype=xp.result_type(dy.dtype, x.dtype))
    for a, b, x_ab in windows(x, kernel_size, stride):
        dweight[a, b] = xp.tensordot(x_ab, dy, axes=((0, 1, 2), (0, 1, 2)))  # (2)
    if not needs_dx:
        return None, dweight
    dx = xp.zeros(x.shape, dtype=xp.result_type(dy.dtype, weight.dtype))
    for a, b, dx_ab in windows(dx, kernel_size, stride):
        dx_ab += dy @ weight[a, b].T  # (3)
    return unpad(dx, padding), dweight


def pad(x: Array, padding: Pair) -> Array:
    """x (H, W, N, C) with `padding` rows and columns of zeros on each side."""
    if not any(padding):
        return x
    p, q = padding
    return array_module(x).pad(x, ((p, p), (q, q), (0, 0), (0, 0)))


def unpad(dx: Array, padding: Pair) -> Array:
    """The backward of `pad`: the gradient of what was padded, without the zeros around it."""
    p, q = padding
    return dx[p : dx.shape[0] - p, q : dx.shape[1] - q]
