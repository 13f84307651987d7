"""Layers that keep their parameters, caches and gradients on themselves, in the layer protocol.

Every forward works on a copy of the layer, which is the cache; so nothing that a layer keeps, or adds up, outlives it.
Its arrays of floats are its parameters, and each needs a gradient, which is found where people put it:

    layer.W and layer.dW                 or weight_grad, grad_weight, dweights, gW     from-scratch books and courses
    layer.params and layer.grads         dictionaries with the same keys, or lists of the same length
    layer.parameters, layer.gradients    the same, as in numpy-ml
    layer.W.data and layer.W.grad        parameters that are objects of their own, as in MyGrad and DeZero; or .value
"""

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping, MutableMapping, MutableSequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scratchnet.backend import Array, Params, to_host
from scratchnet.errors import ScratchnetError
from scratchnet.gradcheck.point import positional_names

STORES = {
    "params": ("grads", "gradients"), "parameters": ("gradients", "grads"), "_params": ("_grads",),
    "weights": ("gradients", "grads", "grad_weights", "weight_grads", "dweights"),
}  # fmt: skip
PATTERNS = ("d{}", "{}_grad", "grad_{}", "g{}", "d_{}", "{}_gradient", "grad{}", "delta_{}")
OUTPUTS, INPUT_GRADIENTS = ("output", "out", "y", "Y"), ("dinputs", "dinput", "dx", "dX", "grad_input", "dA_prev")


def from_attributes(
    layer: Any,
    gradients: Mapping[str, str] | None = None,
    *,
    forward: str = "",
    backward: str = "",
    variable: Callable[[Any], Any] | None = None,
) -> "Attributes":
    """Wrap a layer that keeps its parameters and gradients as attributes.

    gradients: the attribute of the gradient for that of each parameter, {"W": "dW"}; by default they are found by the
    usual names, after a backward has made them. forward, backward: the names of the methods, by default forward or
    the call of the layer, and backward. variable: wraps each input, for layers that take objects with .data, such as
    mygrad.Tensor or dezero.Variable. Raises ScratchnetError for a layer without such methods.
    """
    if isinstance(layer, type):
        raise ScratchnetError(f"{layer.__name__} is a class, expected a layer: from_attributes({layer.__name__}(...))")
    forward = forward or next((name for name in ("forward", "__call__") if hasattr(layer, name)), "")
    if variable and callable(layer):
        forward = "__call__"
    backward = backward or next((name for name in ("backward_var", "backward") if hasattr(layer, name)), "")
    for name in (forward or "forward", backward or "backward"):
        if not hasattr(layer, name):
            raise ScratchnetError(
                f"{type(layer).__name__} has no method {name}: name it, from_attributes(layer, forward=...)"
            )
    return Attributes(layer, dict(gradients or {}), forward, backward, variable)


@dataclass(frozen=True)
class Attributes:
    """The layer protocol around a layer that keeps everything on itself."""

    layer: Any
    gradients: dict[str, str]
    forward_name: str
    backward_name: str
    variable: Callable[[Any], Any] | None

    def __str__(self) -> str:
        return type(self.layer).__name__

    @property
    def input_names(self) -> list[str]:
        """Those of forward's signature."""
        return positional_names(getattr(self.layer, self.forward_name))

    def init(self, rng: np.random.Generator) -> Params:
        """The parameters that the layer has now, as float64."""
        if getattr(self.layer, "is_initialized", True) is False:
            raise ScratchnetError(f"{self} makes its parameters in its first forward: call layer.forward(x) before")
        return {name: np.array(_read(self.layer, name), dtype=np.float64) for name in self._names()}

    def forward(self, params: Params, *inputs: Array, **options: Any) -> tuple[Any, Any]:
        """y of a copy of the layer with these parameters, and the copy."""
        layer = copy.deepcopy(self.layer)
        if hasattr(layer, "flush_gradients"):  # of numpy-ml: forget the inputs of earlier forwards
            layer.flush_gradients()
        for name, value in params.items():
            _write(layer, name, value)
        given = inputs if self.variable is None else tuple(map(self.variable, inputs))
        y = getattr(layer, self.forward_name)(*given, **options)
        if y is None:
            y = _first(layer, OUTPUTS, "forward returned nothing, and the layer has no attribute ")
        return _data(y), (layer, given, y)

    def backward(self, dy: Any, cache: Any) -> tuple[Any, Params]:
        """The gradients of inputs, and those of parameters as the layer holds them after backward."""
        layer, inputs, y = copy.deepcopy(cache)
        method = getattr(layer, self.backward_name)
        if self.backward_name == "backward_var":  # MyGrad's operations, one input at a time
            layer.variables = inputs
            return tuple(np.asarray(_data(method(dy, index))) for index in range(len(inputs))), {}
        if not inspect.signature(method).parameters:  # of a loss, which is the end of its chain
            return _scaled(dy, method(), len(inputs)), {name: dy * value for name, value in self._gradients(layer)}
        wrapped = self.variable(dy) if self.variable is not None and type(y) is type(inputs[0]) else dy
        result = method(wrapped)
        if result is None:
            result = _first(layer, INPUT_GRADIENTS, "backward returned nothing, and the layer has no attribute ")
        dinputs = tuple(map(_data, result)) if isinstance(result, tuple | list) else _data(result)
        if isinstance(dinputs, tuple) and len(dinputs) == 1:
            dinputs = dinputs[0]
        return dinputs, dict(self._gradients(layer))

    @property
    def notes(self) -> tuple[str, ...]:
        """That no parameters were found, since then their gradients are not checked."""
        how = 'if it has some: from_attributes(layer, gradients={"W": "dW"})'
        return () if self._names() else (f"no parameters were found on {self}; {how}",)

    def _names(self) -> list[str]:
        if self.gradients:
            return list(self.gradients)
        for name in STORES:
            store = getattr(self.layer, name, None)
            if isinstance(store, dict | list) and store:
                pairs = store.items() if isinstance(store, dict) else enumerate(store)
                return [f"{name}.{key}" for key, value in pairs if _is_array(value)]
        kept = {*self.input_names, *OUTPUTS, *INPUT_GRADIENTS}  # by earlier calls
        own = {
            name: value
            for name, value in getattr(self.layer, "__dict__", {}).items()
            if _is_array(value) and name not in kept
        }
        gradients = {pattern.format(name) for name in own for pattern in PATTERNS}
        return [name for name in own if name not in gradients]

    def _gradient_name(self, layer: Any, name: str) -> str:
        """The attribute of a layer, after its backward, that holds the gradient of a parameter."""
        known = [self.gradients[name]] if name in self.gradients else [pattern.format(name) for pattern in PATTERNS]
        return next((one for one in known if hasattr(layer, one)), "")

    def _gradients(self, layer: Any) -> Iterator[tuple[str, Any]]:
        for name in self._names():
            store, _, key = name.partition(".")
            if key:
                found = [getattr(layer, other) for other in STORES[store] if hasattr(layer, other)]
                grads = found[0] if found else {}
                value = grads.get(key) if isinstance(grads, dict) else grads[int(key)]
            elif gradient := self._gradient_name(layer, name):
                value = getattr(layer, gradient)
            else:
                value = getattr(getattr(layer, name), "grad", None)
            if value is not None:
                yield name, np.array(_data(value))


def _scaled(dy: Any, gradients: Any, number: int) -> Any:
    """dy times the gradients that a backward without arguments returns; one alone is that of the first input."""
    if np.ndim(dy):
        raise ScratchnetError("backward takes no dy, and y is not a number")
    if isinstance(gradients, tuple | list):
        return tuple(dy * part for part in gradients)
    return (dy * gradients, *[None] * (number - 1)) if number > 1 else dy * gradients


def _read(layer: Any, name: str) -> Any:
    store, _, key = name.partition(".")
    value = getattr(layer, store)
    if key:
        value = value[key] if isinstance(value, Mapping) else value[int(key)]
    return _data(value)


def _write(layer: Any, name: str, value: Any) -> None:
    store, _, key = name.partition(".")
    held = getattr(layer, store)
    if key and isinstance(held, MutableMapping):
        held[key] = value
    elif key and isinstance(held, MutableSequence):
        held[int(key)] = value
    elif isinstance(held, np.ndarray):
        setattr(layer, store, value)
    else:
        setattr(held, "data" if hasattr(held, "data") else "value", value)


def _is_array(value: Any) -> bool:
    inner = value if isinstance(value, np.ndarray) else getattr(value, "data", getattr(value, "value", None))
    return isinstance(inner, np.ndarray) and inner.dtype.kind == "f"


def _data(value: Any) -> Any:
    """The array in an object that holds one as .data or .value; arrays and numbers as they are."""
    if isinstance(value, np.ndarray | np.generic | float | int) or not (
        hasattr(value, "data") or hasattr(value, "value")
    ):
        return value
    return to_host(value.data if hasattr(value, "data") else value.value)


def _first(layer: Any, names: tuple[str, ...], problem: str) -> Any:
    for name in names:
        if hasattr(layer, name):
            return getattr(layer, name)
    raise ScratchnetError(problem + ", ".join(names))
