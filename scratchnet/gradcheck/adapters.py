"""Adapts code that is written otherwise to the layer protocol, in one line for the usual habits.

from_functions(f, gradient)              y = f(x);  dx = gradient(dy, x)
from_pair(forward, backward)             y, cache = forward(x, w, b);  dx, dw, db = backward(dy, cache)
from_value_and_gradient(f)               value, gradient = f(x), as scipy.optimize wants them
from_callback(forward)                   y, backprop = forward(x);  dx = backprop(dy)
from_attributes(layer)                   layer.W, layer.dW and the like: see `attributes.py`
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from scratchnet.backend import Array, Params
from scratchnet.errors import ScratchnetError
from scratchnet.gradcheck.point import positional_names


class _Arguments(NamedTuple):
    inputs: tuple[Array, ...]
    params: Params
    options: dict[str, Any]


@dataclass(frozen=True)
class Wrapped:
    """A function that stands for a layer: the layer has its name, and inputs have the names of its arguments."""

    function: Callable[..., Any]

    def __str__(self) -> str:
        return getattr(self.function, "__name__", repr(self.function))

    @property
    def input_names(self) -> list[str]:
        """Those of the function's positional arguments."""
        return positional_names(self.function)


@dataclass(frozen=True)
class Functions(Wrapped):
    """A function and its gradient as a layer. Its cache holds the arguments of forward, which gradient takes again."""

    gradient: Callable[..., Any]

    def forward(self, params: Params, *inputs: Array, **options: Any) -> tuple[Array, _Arguments]:
        """y, and the arguments as the cache."""
        return self.function(*inputs, **params, **options), _Arguments(inputs, params, options)

    def backward(self, dy: Array, cache: _Arguments) -> tuple[Any, Params]:
        """(dinputs, grads); grads is empty for a function without parameters."""
        options = {name: value for name, value in cache.options.items() if _takes(self.gradient, name)}
        result = self.gradient(dy, *cache.inputs, **cache.params, **options)
        return result if cache.params else (result, {})


def from_functions(function: Callable[..., Any], gradient: Callable[..., Any]) -> Functions:
    """Wrap a pair of plain functions as a layer for `check`.

    function(*inputs, **params) returns y. gradient(dy, *inputs) returns dinputs: one array, or a tuple if there are
    several inputs. With parameters, gradient(dy, *inputs, **params) returns (dinputs, grads), grads a dict by name.
    Further keyword arguments of `check` go to function, and to gradient if it takes them.
    """
    for name, given in (("function", function), ("gradient", gradient)):
        _expect_callable(name, given, "from_functions(f, lambda dy, x: dy * slope(x))")
    return Functions(function, gradient)


@dataclass(frozen=True)
class Pair(Wrapped):
    """A forward that returns (y, cache), and a backward that returns all gradients in the order of the arguments."""

    gradient: Callable[..., Any]

    def forward(self, params: Params, *inputs: Array, **options: Any) -> tuple[Array, Any]:
        """(y, cache), the parameters by keyword."""
        result = self.function(*inputs, **params, **options)
        if not isinstance(result, tuple) or len(result) != 2:
            raise ScratchnetError(f"{self} returned a {type(result).__name__}, expected (y, cache)")
        return result

    def backward(self, dy: Array, cache: Any) -> tuple[Any, Params]:
        """All gradients as those of inputs; a dictionary among them as it is."""
        return self.gradient(dy, cache), {}


def from_pair(forward: Callable[..., Any], backward: Callable[..., Any]) -> Pair:
    """Wrap `y, cache = forward(x, w, b)` and `dx, dw, db = backward(dy, cache)`, as in CS231n's assignments.

    All arguments of forward are inputs of the check: `check(from_pair(affine_forward, affine_backward), {}, x, w, b)`.
    """
    for name, given in (("forward", forward), ("backward", backward)):
        _expect_callable(name, given, "from_pair(affine_forward, affine_backward)")
    return Pair(forward, backward)


@dataclass(frozen=True)
class ValueAndGradient(Wrapped):
    """A scalar function whose gradient comes with its value, or from a second function of the same arguments."""

    gradient: Callable[..., Any] | None

    def forward(self, params: Params, *inputs: Array, **options: Any) -> tuple[Any, Any]:
        """The value, and as the cache the number of inputs and the gradient."""
        if self.gradient is not None:
            return self.function(*inputs, **options), (len(inputs), lambda: self.gradient(*inputs, **options))
        result = self.function(*inputs, **options)
        if not isinstance(result, tuple | list) or len(result) != 2:
            raise ScratchnetError(
                f"{self} returned a {type(result).__name__}, expected (value, gradient); "
                "with the gradient in a function of its own: from_value_and_gradient(f, gradient)"
            )
        return result[0], (len(inputs), lambda: result[1])

    def backward(self, dy: Any, cache: Any) -> tuple[Any, Params]:
        """dy times the gradient; None for the arguments that it leaves out: one alone is that of the first."""
        number, gradient = cache
        scaled = _times(dy, gradient())
        return (scaled if number == 1 or isinstance(scaled, tuple) else (scaled, *[None] * (number - 1))), {}


def from_value_and_gradient(
    function: Callable[..., Any], gradient: Callable[..., Any] | None = None
) -> ValueAndGradient:
    """Wrap `value, gradient = function(x)`, or `function(x)` and `gradient(x)`, as scipy.optimize.minimize takes them.

    gradient has the structure of x: an array, or nested dictionaries and lists of them; a tuple is one gradient for
    each of several inputs.
    """
    _expect_callable("function", function, "from_value_and_gradient(f), where f(x) returns (value, gradient)")
    return ValueAndGradient(function, gradient)


@dataclass(frozen=True)
class Callback(Wrapped):
    """A forward that returns y and the function that takes dy back."""

    def forward(self, params: Params, *inputs: Array, **options: Any) -> tuple[Any, Any]:
        """(y, backprop)."""
        result = self.function(*inputs, **params, **options)
        if not isinstance(result, tuple) or len(result) != 2 or not callable(result[1]):
            raise ScratchnetError("forward returned no pair of y and a function: expected y, backprop = forward(x)")
        return result

    def backward(self, dy: Any, cache: Any) -> tuple[Any, Params]:
        """backprop(dy)."""
        return cache(dy), {}


def from_callback(forward: Callable[..., Any]) -> Callback:
    """Wrap `y, backprop = forward(x)` with `dx = backprop(dy)`, as in thinc."""
    _expect_callable("forward", forward, "from_callback(forward), where forward(x) returns (y, backprop)")
    return Callback(forward)


def _takes(function: Callable[..., Any], name: str) -> bool:
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    return any(one.kind is one.VAR_KEYWORD or one.name == name for one in found)


def _times(dy: Any, gradient: Any) -> Any:
    if isinstance(gradient, Mapping):
        return {name: _times(dy, part) for name, part in gradient.items()}
    if isinstance(gradient, tuple | list):
        return type(gradient)(_times(dy, part) for part in gradient)
    return None if gradient is None else dy * gradient


def _expect_callable(name: str, given: Any, example: str) -> None:
    if not callable(given):
        raise ScratchnetError(f"{name} is a {type(given).__name__}, expected a function: {example}")
