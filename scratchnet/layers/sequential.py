"""Layers one after the other."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scratchnet.backend import Array, Params
from scratchnet.layers.base import Layer, prefixed, running_statistics, under


@dataclass(frozen=True)
class Sequential:
    """y = layer_k(... layer_2(layer_1(x))); backward is the chain rule, read from the last layer to the first.

    The parameters of the layer called "conv1" are "conv1.weight", "conv1.bias". The cache is theirs, by name.
    """

    layers: Mapping[str, Layer]

    def init(self, rng: np.random.Generator, dtype: Any = np.float32) -> Params:
        params: Params = {}
        for name, layer in self.layers.items():
            params |= prefixed(name, layer.init(rng, dtype))
        return params

    def forward(self, params: Params, x: Array, training: bool = False) -> tuple[Array, dict[str, Any]]:
        caches = {}
        for name, layer in self.layers.items():
            x, caches[name] = layer.forward(under(name, params), x, training)
        return x, caches

    def backward(self, dy: Array, cache: dict[str, Any]) -> tuple[Array, Params]:
        grads: dict[str, Params] = {}
        for name in reversed(list(self.layers)):
            dy, grads[name] = self.layers[name].backward(dy, cache[name])
        in_order = (prefixed(name, grads[name]) for name in self.layers)
        return dy, {name: grad for part in in_order for name, grad in part.items()}

    def running_statistics(self, cache: dict[str, Any]) -> Params:
        """What the layers measured in a forward in training, by dotted name."""
        measured: Params = {}
        for name, layer in self.layers.items():
            measured |= prefixed(name, running_statistics(layer, cache[name]))
        return measured
