"""Layers one after the other."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scratchnet.backend import Array, Params
from scratchnet.layers.base import Layer, backward_params, branches, prefixed, running_statistics, under


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
        return self._backward_through(list(self.layers), dy, cache)

    def backward_params(self, dy: Array, cache: dict[str, Any]) -> Params:
        """The gradients of the parameters alone; the first layer need not find its dx."""
        first, *others = self.layers
        dy, grads = self._backward_through(others, dy, cache)
        return prefixed(first, backward_params(self.layers[first], dy, cache[first])) | grads

    def _backward_through(self, names: list[str], dy: Array, cache: dict[str, Any]) -> tuple[Array, Params]:
        grads: Params = {}
        for name in reversed(names):
            dy, own = self.layers[name].backward(dy, cache[name])
            grads = prefixed(name, own) | grads
        return dy, grads

    def branches(self, cache: dict[str, Any]) -> dict[str, Any]:
        """Those of the layers, by name."""
        return {name: branches(layer, cache[name]) for name, layer in self.layers.items()}

    def running_statistics(self, cache: dict[str, Any]) -> Params:
        """What the layers measured in a forward in training, by dotted name."""
        measured: Params = {}
        for name, layer in self.layers.items():
            measured |= prefixed(name, running_statistics(layer, cache[name]))
        return measured
