"""A trace: every array on a network's way forward and back, layer by layer. For looking at a network, not to run it."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from scratchnet.backend import Array, Params, device_of, to_host
from scratchnet.common.spelling import hint
from scratchnet.common.tables import Table
from scratchnet.errors import ScratchnetError
from scratchnet.layers.activations import ReLU, Sigmoid
from scratchnet.layers.conv2d import Conv2d
from scratchnet.layers.linear import Linear
from scratchnet.layers.protocol import add_prefix, complete, strip_prefix

SATURATED = 4.0  # a sigmoid is called saturated where its input is beyond: there its slope is below 0.018
AXES = {1: "N", 2: "N D", 4: "H W N C"}


@dataclass(frozen=True)
class LayerTrace:
    """One layer on the way forward and, in a trace that went back, on the way back.

    x, y: what the layer took and gave. dy, dx: the gradients with respect to them; grads: those of its parameters.
    seconds, backward_seconds: what forward and backward took, once. dy, dx, grads and backward_seconds are None until
    a backward pass has filled them in.
    """

    name: str
    layer: Any
    params: Params = field(repr=False)
    x: Any = field(repr=False)
    y: Array = field(repr=False)
    cache: Any = field(repr=False)
    seconds: float
    dy: Any = field(default=None, repr=False)
    dx: Any = field(default=None, repr=False)
    grads: Params | None = field(default=None, repr=False)
    backward_seconds: float | None = None

    def backward(self, dy: Array) -> "LayerTrace":
        """The same layer, with its way back from dy."""
        started = time.perf_counter()
        dx, grads = self.layer.backward(dy, self.cache)
        _wait(dx)
        return replace(self, dy=dy, dx=dx, grads=grads, backward_seconds=time.perf_counter() - started)

    @property
    def shape(self) -> str:
        """The shape of y with its axis letters: "H=24 W=24 N=2 C=64"."""
        letters = AXES.get(self.y.ndim, "").split() or [str(axis) for axis in range(self.y.ndim)]
        return " ".join(f"{letter}={size}" for letter, size in zip(letters, self.y.shape, strict=True))

    @property
    def parameters(self) -> int:
        """How many numbers training adjusts: all its parameters but the running statistics of batch norm."""
        return sum(value.size for name, value in self.params.items() if "running_" not in name)

    @property
    def flops(self) -> int | None:
        """Multiplications and additions of forward for all of x in matrix products; None for layers without any."""
        if isinstance(self.layer, Conv2d):
            kh, kw, C, _ = self.layer.weight_shape
            return 2 * kh * kw * C * self.y.size
        if isinstance(self.layer, Linear):
            return 2 * self.layer.in_features * self.y.size
        return None

    @property
    def spread(self) -> float:
        """The standard deviation of y."""
        return float(to_host(self.y).std())

    @property
    def dead(self) -> float | None:
        """For a ReLU, the share of channels or features that are 0 for every image and pixel; else None."""
        if not isinstance(self.layer, ReLU):
            return None
        return float((to_host(self.y).reshape(-1, self.y.shape[-1]).max(axis=0) <= 0).mean())

    @property
    def saturated(self) -> float | None:
        """For a Sigmoid, the share of inputs with |x| > 4, where the slope is below 0.018; else None."""
        return float((abs(to_host(self.x)) > SATURATED).mean()) if isinstance(self.layer, Sigmoid) else None

    def figures(self) -> dict[str, Any]:
        """Everything that is told of the layer in numbers, by name; times in seconds, gradients as their norms."""
        back = {} if self.grads is None else {name: _norm(grad) for name, grad in self.grads.items()}
        return {
            "name": self.name,
            "type": type(self.layer).__name__,
            "shape": list(self.y.shape),
            "parameters": self.parameters,
            "flops": self.flops,
            "seconds": self.seconds,
            "backward_seconds": self.backward_seconds,
            "spread": self.spread,
            "dead": self.dead,
            "saturated": self.saturated,
            "gradient": None if self.dy is None else _norm(self.dy),
            "parameter_gradients": back,
        }


def table(layers: Sequence[LayerTrace]) -> Table:
    """A row for each layer: shape, parameters, cost, and how the numbers spread on the way forward and back."""
    columns: dict[str, list[Any]] = {
        "layer": [at.name for at in layers],
        "type": [type(at.layer).__name__ for at in layers],
        "y": [at.shape for at in layers],
        "parameters": [at.parameters or None for at in layers],
        "Mflop": [_millions(at.flops) for at in layers],
        "ms": [1e3 * at.seconds for at in layers],
        "ms back": [at.backward_seconds and 1e3 * at.backward_seconds for at in layers],
        "spread": [at.spread for at in layers],
        "dead": [_percent(at.dead) for at in layers],
        "saturated": [_percent(at.saturated) for at in layers],
        "|dy|": [None if at.dy is None else _norm(at.dy) for at in layers],
        "|dparams|": [_together(at.grads) for at in layers],
    }
    shown = {heading: cells for heading, cells in columns.items() if any(cell is not None for cell in cells)}
    return Table(list(shown), list(zip(*shown.values(), strict=True)))


@dataclass(frozen=True)
class Trace:
    """All layers of a network in the order of forward. trace["conv1"] is the layer of that name."""

    layers: tuple[LayerTrace, ...]

    def __iter__(self) -> Iterator[LayerTrace]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, name: str) -> LayerTrace:
        found = {layer.name: layer for layer in self.layers}
        if name not in found:
            raise KeyError(f"no layer called {name!r}{hint(name, found)}: there are {', '.join(found)}")
        return found[name]

    @property
    def y(self) -> Array:
        """The output of the network."""
        return self.layers[-1].y

    @property
    def dx(self) -> Any:
        """The gradient with respect to the network's input; None in a trace that did not go back."""
        return self.layers[0].dx

    @property
    def grads(self) -> Params:
        """The gradients of all parameters, by dotted name; empty in a trace that did not go back."""
        grads: Params = {}
        for layer in self.layers:
            grads |= add_prefix(layer.name, layer.grads or {})
        return grads

    def backward(self, dy: Array) -> "Trace":
        """The same trace, with the way back from dy, the gradient with respect to the output."""
        layers: list[LayerTrace] = []
        for at in reversed(self.layers):
            layers.insert(0, at.backward(dy))
            dy = layers[0].dx
        return Trace(tuple(layers))

    def table(self) -> Table:
        """Shapes, parameters, cost, and how the numbers spread on the way forward and back."""
        return table(list(self.layers))

    def summary(self) -> Table:
        """Shapes, parameters and cost alone."""
        rows = [
            (at.name, type(at.layer).__name__, at.shape, at.parameters or None, _millions(at.flops))
            for at in self.layers
        ]
        parameters = sum(at.parameters for at in self.layers)
        flops = sum(at.flops or 0 for at in self.layers)
        total = f"{parameters:,} parameters; {flops / 1e6:,.4g} million multiplications and additions"
        return Table(("layer", "type", "y", "parameters", "Mflop"), rows, [total])

    def __str__(self) -> str:
        return str(self.table())

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()


def trace(network: Any, params: Params, x: Array, training: bool = False) -> Trace:
    """The way of x through a Sequential, forward; `Trace.backward` adds the way back.

    A Sequential inside is opened, and the names of its layers are dotted. Raises ScratchnetError for a network that has
    no layers by name.
    """
    layers = []
    for name, layer in layers_of(network):
        at = trace_layer(name, complete(layer), strip_prefix(name, params), x, training=training)
        layers.append(replace(at, layer=layer))
        x = layers[-1].y
    return Trace(tuple(layers))


def trace_layer(name: str, layer: Any, params: Params, *inputs: Array, **options: bool) -> LayerTrace:
    """The way of one or several inputs through one layer, forward."""
    started = time.perf_counter()
    y, cache = layer.forward(params, *inputs, **options)
    _wait(y)
    x = inputs[0] if len(inputs) == 1 else inputs
    return LayerTrace(name, layer, params, x, y, cache, time.perf_counter() - started)


def layers_of(network: Any) -> list[tuple[str, Any]]:
    """The layers of a Sequential by dotted name, those of a Sequential inside it among them."""
    if not isinstance(getattr(network, "layers", None), Mapping):
        raise ScratchnetError(f"{type(network).__name__} has no layers by name to trace: put them into a Sequential")
    found: list[tuple[str, Any]] = []
    for name, layer in network.layers.items():
        inside = isinstance(getattr(layer, "layers", None), Mapping)
        found += [(f"{name}.{inner}", each) for inner, each in layers_of(layer)] if inside else [(name, layer)]
    return found


def _wait(arrays: Any) -> None:
    """Wait until a device that computes asynchronously is done with one array or several."""
    for array in arrays if isinstance(arrays, tuple) else (arrays,):
        device_of(array).synchronise()


def _norm(array: Any) -> float:
    return float(np.linalg.norm(to_host(array)))


def _together(grads: Params | None) -> float | None:
    """The norm of several gradients as one vector; None for none."""
    return math.hypot(*map(_norm, grads.values())) if grads else None


def _millions(count: int | None) -> float | None:
    return None if count is None else count / 1e6


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{share:.0%}"
