"""The layer protocol: three methods, and everything is passed by hand.

    params    = layer.init(rng)                  # a flat dictionary: {"weight": (C, O), "bias": (O,)}
    y, cache  = layer.forward(params, x)         # cache: what backward needs
    dx, grads = layer.backward(dy, cache)        # grads: the keys and shapes of the trainable params

A layer is a frozen dataclass of its hyperparameters. It holds no activation and no parameter, so several forwards may
precede their backwards. forward and backward are pure: they write into none of their arguments, and backward returns no
view of any. They raise ShapeError for arrays whose shapes or dtypes do not fit, and BackendError for arrays on
different devices. `d<name>` is dL/d<name>, shaped like <name>.

A layer that knows more takes more, by keyword:

    init(rng, dtype=np.float32)                  the dtype of the parameters
    forward(params, x, training=False)           batch norm behaves differently in training
    backward(dy, cache, needs_dx=True)           without, dx may be None: the first layer of a network saves the work

and its cache may report, as attributes,

    cache.branches             which side of each kink the inputs were on: masks, winners, signs
    cache.running_statistics   parameters that forward measured and the training step writes back

Axis letters: H, W rows and columns; N images; C, O channels in and out; D features; kh, kw kernel.
Feature maps are (H, W, N, C). A map whose channels are in the place of another axis is refused, with the transpose that
fixes it; one with images first and channels last, (N, H, W, C), cannot be told apart from ours unless it is smaller
than a kernel: it would be taken for N rows of images. The same holds for images (H, W, N) in place of (N, H, W). Arrays
are float32 or float64, or complex128 where a derivative is checked.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import Any, Protocol

import numpy as np

from scratchnet.backend import Array, Params

OPTIONS = ("dtype", "training", "needs_dx")


class Layer(Protocol):
    """What a network needs of a layer; anything with these three methods is one."""

    def init(self, rng: np.random.Generator) -> Params:
        """Fresh parameters on the host, drawn from `rng`."""

    def forward(self, params: Params, x: Array) -> tuple[Array, Any]:
        """The output y and the cache."""

    def backward(self, dy: Array, cache: Any) -> tuple[Any, Params]:
        """dx and the gradients of the parameters, from dy and the cache of the same forward."""


class CompleteLayer(Protocol):
    """A layer that takes every option; `complete` makes one of any layer."""

    def init(self, rng: np.random.Generator, dtype: Any = np.float32) -> Params:
        """Fresh parameters of that dtype on the host, drawn from `rng`."""

    def forward(self, params: Params, x: Array, training: bool = False) -> tuple[Array, Any]:
        """The output y and the cache."""

    def backward(self, dy: Array, cache: Any, needs_dx: bool = True) -> tuple[Any, Params]:
        """dx, which may be None without `needs_dx`, and the gradients of the parameters."""


def complete(layer: Any) -> CompleteLayer:
    """The layer itself if it takes all OPTIONS, else one around it that does and passes on those that it takes."""
    methods = zip((layer.init, layer.forward, layer.backward), OPTIONS, strict=True)
    takes = frozenset(option for method, option in methods if _takes(method, option))
    return layer if len(takes) == len(OPTIONS) else _Completed(layer, takes)


def _takes(method: Callable[..., Any], option: str) -> bool:
    parameters = signature(method).parameters
    return option in parameters or any(p.kind is Parameter.VAR_KEYWORD for p in parameters.values())


@dataclass(frozen=True)
class _Completed:
    layer: Any
    takes: frozenset[str]

    def init(self, rng: np.random.Generator, dtype: Any = np.float32) -> Params:
        params = self.layer.init(rng, **self._passed_on(dtype=dtype))
        return {name: value.astype(dtype, copy=False) for name, value in params.items()}

    def forward(self, params: Params, x: Array, training: bool = False) -> tuple[Array, Any]:
        return self.layer.forward(params, x, **self._passed_on(training=training))

    def backward(self, dy: Array, cache: Any, needs_dx: bool = True) -> tuple[Any, Params]:
        return self.layer.backward(dy, cache, **self._passed_on(needs_dx=needs_dx))

    def _passed_on(self, **options: Any) -> dict[str, Any]:
        return {name: value for name, value in options.items() if name in self.takes}


def strip_prefix(prefix: str, params: Mapping[str, Array]) -> Params:
    """The parameters of one part of a network, without its prefix: "conv1.weight" of "conv1" is "weight"."""
    start = prefix + "."
    return {name.removeprefix(start): value for name, value in params.items() if name.startswith(start)}


def add_prefix(prefix: str, params: Mapping[str, Array]) -> Params:
    """The inverse of `strip_prefix`: the parameters of a part, by their names in the whole."""
    return {f"{prefix}.{name}": value for name, value in params.items()}
