"""Convolution in four algorithms that agree.

What the field calls convolution is a cross-correlation: the kernel is not flipped. With x (H, W, N, C),
weight (kh, kw, C, O), stride s, and the zeros of the padding in x, the output y (Ho, Wo, N, O) and the gradients are

    y[i, j]               = sum over a, b of   x[s i + a, s j + b] @ weight[a, b]           (1)
    dweight[a, b]         = sum over i, j of   x[s i + a, s j + b].T @ dy[i, j]             (2)
    dx[s i + a, s j + b] += dy[i, j] @ weight[a, b].T                                       (3)

`x[i, j]` is an (N, C) matrix and `weight[a, b]` a (C, O) matrix, so this is the dense layer summed over
offsets (a, b). "offsets" is these three lines, one product for each offset. The others are faster, each in a file
of its own that says why it is the same sum:

    "im2col"  one product for all offsets, on windows copied side by side: each pixel kh kw times
    "bands"   one product for each output pixel, on windows that share their memory: each pixel copied kh times
    "dft"     one product for each frequency, on spectra: the same cost for a kernel of any size
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from scratchnet.backend import Array, array_module
from scratchnet.ops.fast.conv_bands import backward_bands, forward_bands
from scratchnet.ops.fast.conv_dft import backward_dft, forward_dft
from scratchnet.ops.fast.conv_im2col import backward_im2col, forward_im2col
from scratchnet.ops.windows import windows


def pad(x: Array, padding: int) -> Array:
    """x with `padding` rows and columns of zeros on each side."""
    if padding == 0:
        return x
    xp = array_module(x)
    return xp.pad(x, ((padding, padding), (padding, padding), (0, 0), (0, 0)))


def unpad(dx: Array, padding: int) -> Array:
    """The backward of `pad`: the gradient of what was padded, without the zeros around it."""
    if padding == 0:
        return dx
    return dx[padding:-padding, padding:-padding]


def forward_offsets(x: Array, weight: Array, stride: int) -> Array:
    """Equation (1), one product for each offset: y (Ho, Wo, N, O)."""
    terms = (x_ab @ weight[a, b] for a, b, x_ab in windows(x, weight.shape[:2], stride))
    y = next(terms)
    for term in terms:
        y += term
    return y


def backward_offsets(
    dy: Array, x: Array, weight: Array, stride: int, needs_dx: bool = True
) -> tuple[Array | None, Array]:
    """Equations (2) and (3), one product for each offset: dx (H, W, N, C), dweight (kh, kw, C, O)."""
    xp = array_module(dy, x, weight)
    dx = xp.zeros(x.shape, dtype=xp.result_type(dy.dtype, weight.dtype))
    dweight = xp.empty(weight.shape, dtype=xp.result_type(dy.dtype, x.dtype))
    dx_windows = windows(dx, weight.shape[:2], stride)
    for (a, b, x_ab), (_, _, dx_ab) in zip(windows(x, weight.shape[:2], stride), dx_windows, strict=True):
        dweight[a, b] = xp.tensordot(x_ab, dy, axes=((0, 1, 2), (0, 1, 2)))  # (2)
        if needs_dx:
            dx_ab += dy @ weight[a, b].T  # (3)
    return dx if needs_dx else None, dweight


class Algorithm(NamedTuple):
    """forward(x, weight, stride, padding) -> (y, kept), and its backward.

    backward(dy, x, weight, stride, padding, kept, needs_dx) -> (dx, dweight). x is without its padding, and so is dx.
    Without needs_dx, which the first layer of a network has no use for, dx is None.
    """

    forward: Callable[[Array, Array, int, int], tuple[Array, Any]]
    backward: Callable[[Array, Array, Array, int, int, Any, bool], tuple[Array | None, Array]]


def _on_padded(forward: Any, backward: Any) -> Algorithm:
    """An algorithm that wants x padded, and whose backward has no use for anything that its forward computed."""

    def backward_padded(
        dy: Array, x: Array, weight: Array, stride: int, padding: int, kept: None, needs_dx: bool
    ) -> tuple[Array | None, Array]:
        dx, dweight = backward(dy, pad(x, padding), weight, stride, needs_dx)
        return unpad(dx, padding) if needs_dx else None, dweight

    return Algorithm(
        lambda x, weight, stride, padding: (forward(pad(x, padding), weight, stride), None), backward_padded
    )


ALGORITHMS = {
    "offsets": _on_padded(forward_offsets, backward_offsets),
    "im2col": _on_padded(forward_im2col, backward_im2col),
    "bands": Algorithm(forward_bands, backward_bands),
    "dft": Algorithm(forward_dft, backward_dft),
}


def to_torch(weight: Array) -> Array:
    """(kh, kw, C, O) in PyTorch's order (O, C, kh, kw)."""
    return weight.transpose(3, 2, 0, 1)


def from_torch(weight: Array) -> Array:
    """PyTorch's (O, C, kh, kw) in our order (kh, kw, C, O)."""
    return weight.transpose(2, 3, 1, 0)
