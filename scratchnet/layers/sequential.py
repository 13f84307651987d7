"""Layers one after the other."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scratchnet.backend import Array, Params
from scratchnet.errors import ScratchnetError
from scratchnet.layers.protocol import CompleteLayer, Layer, add_prefix, complete, strip_prefix


@dataclass(frozen=True)
class Sequential:
    """y = layer_k(... layer_2(layer_1(x))); backward is the chain rule, read from the last layer to the first.

    The parameters of the layer called "conv1" are "conv1.weight", "conv1.bias". The cache is theirs, by name.
    """

    layers: Mapping[str, Layer]
    _layers: dict[str, CompleteLayer] = field(init=False, repr=False, compare=False)  # signatures are read once

    def __post_init__(self) -> None:
        if not isinstance(self.layers, Mapping) or not self.layers:
            raise ScratchnetError("Sequential takes one layer or more, by name: {'conv1': Conv2d(1, 8, 3), ...}")
        object.__setattr__(self, "_layers", {name: complete(layer) for name, layer in self.layers.items()})

    def init(self, rng: np.random.Generator, dtype: Any = np.float32) -> Params:
        """The parameters of every layer, drawn in order."""
        params: Params = {}
        for name, layer in self._layers.items():
            params |= add_prefix(name, layer.init(rng, dtype=dtype))
        return params

    def forward(self, params: Params, x: Array, training: bool = False) -> tuple[Array, dict[str, Any]]:
        """The output of the last layer, and the caches by layer name."""
        caches = {}
        for name, layer in self._layers.items():
            x, caches[name] = layer.forward(strip_prefix(name, params), x, training=training)
        return x, caches

    def backward(self, dy: Array, cache: dict[str, Any], needs_dx: bool = True) -> tuple[Array | None, Params]:
        """dx, which may be None without `needs_dx`, and the gradients by dotted name."""
        grads: Params = {}
        first, *_ = self._layers
        for name, layer in reversed(self._layers.items()):
            dy, own = layer.backward(dy, cache[name], needs_dx=needs_dx or name != first)
            grads = add_prefix(name, own) | grads
        return dy, grads

    def trace(self, params: Params, x: Array, dy: Array | None = None, *, training: bool = False) -> Any:
        """Every layer's arrays on the way forward and, from `dy`, on the way back: a `trace.Trace`."""
        from scratchnet.layers.trace import trace  # noqa: PLC0415  # for looking at a network, not to run it

        forward = trace(self, params, x, training)
        return forward if dy is None else forward.backward(dy)

    def summary(self, params: Params, x: Array) -> Any:
        """A table of the layers for an input like x: their shapes, parameters and cost."""
        return self.trace(params, x).summary()
