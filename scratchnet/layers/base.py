"""The layer protocol: everything is passed by hand.

    params    = layer.init(rng, dtype)           # a flat dictionary: {"weight": (C, O), "bias": (O,)}
    y, cache  = layer.forward(params, x)         # cache: what backward needs, nothing else
    dx, grads = layer.backward(dy, cache)        # grads: the keys and shapes of the trainable params

A layer is a frozen dataclass of its hyperparameters. It holds no activation and no parameter, so it can run
twice (twin 1, twin 2) before any backward. forward and backward are pure: they write into none of their
arguments and return no view of dy. They raise ShapeError for arrays whose shapes or dtypes do not fit, and BackendError
for arrays on different devices. `d<name>` is dL/d<name>, shaped like <name>.

Axis letters: H, W rows and columns; N images; C, O channels in and out; D features; kh, kw kernel.
Feature maps are (H, W, N, C). A map whose channels are in the place of another axis is refused, with the line that
turns it; one with images first and channels last, (N, H, W, C), cannot be told from ours unless it is smaller than a
kernel: it would be taken for N rows of images. The same holds for images (H, W, N) in place of (N, H, W).
Arrays are float32 or float64, or complex128 where a derivative is checked.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from scratchnet.backend import Array, Params


class Layer(Protocol):
    """What a network needs of a layer; anything with these three methods is one."""

    def init(self, rng: np.random.Generator, dtype: Any = np.float32) -> Params:
        """Fresh parameters on the host, drawn from `rng`."""

    def forward(self, params: Params, x: Array, training: bool = False) -> tuple[Array, Any]:
        """The output y and the cache. Only batch norm minds whether it is training."""

    def backward(self, dy: Array, cache: Any) -> tuple[Array, Params]:
        """dx and the gradients of the parameters, from dy and the cache of the same forward."""


def backward_params(layer: Layer, dy: Array, cache: Any) -> Params:
    """The gradients of the parameters alone, without dx where the layer knows how to save it."""
    shortcut = getattr(layer, "backward_params", None)
    return shortcut(dy, cache) if shortcut else layer.backward(dy, cache)[1]


def under(prefix: str, params: Mapping[str, Array]) -> Params:
    """The parameters of one part of a network, without its prefix: "conv1.weight" under "conv1" is "weight"."""
    start = prefix + "."
    return {name.removeprefix(start): value for name, value in params.items() if name.startswith(start)}


def prefixed(prefix: str, params: Mapping[str, Array]) -> Params:
    """The inverse of `under`: the parameters of a part, by their names in the whole."""
    return {f"{prefix}.{name}": value for name, value in params.items()}


def branches(layer: Any, cache: Any) -> Any:
    """Which branch a layer took at each of its kinks, as arrays; () of a layer that is smooth.

    Two forwards with the same branches lie on one smooth piece, which is what a difference between them needs.
    """
    tell = getattr(layer, "branches", None)
    return tell(cache) if tell else ()


def running_statistics(layer: Layer, cache: Any) -> Params:
    """The statistics that a forward in training mode measured, for the caller to write back; most layers have none."""
    measure = getattr(layer, "running_statistics", None)
    return measure(cache) if measure else {}
