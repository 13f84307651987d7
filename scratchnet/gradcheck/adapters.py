"""Adapts code without forward and backward methods to the layer protocol."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from scratchnet.backend import Array, Params


class _Arguments(NamedTuple):
    inputs: tuple[Array, ...]
    params: Params


@dataclass(frozen=True)
class Functions:
    """A function and its gradient as a layer. Its cache holds the arguments of forward, which gradient takes again."""

    function: Callable[..., Array]
    gradient: Callable[..., Any]

    def __str__(self) -> str:
        return getattr(self.function, "__name__", repr(self.function))

    def forward(self, params: Params, *inputs: Array) -> tuple[Array, _Arguments]:
        """y, and the arguments as the cache."""
        return self.function(*inputs, **params), _Arguments(inputs, params)

    def backward(self, dy: Array, cache: _Arguments) -> tuple[Any, Params]:
        """(dinputs, grads); grads is empty for a function without parameters."""
        result = self.gradient(dy, *cache.inputs, **cache.params)
        return result if cache.params else (result, {})


def from_functions(function: Callable[..., Array], gradient: Callable[..., Any]) -> Functions:
    """Wrap a pair of plain functions as a layer for `check`.

    function(*inputs, **params) returns y. gradient(dy, *inputs) returns dinputs: one array, or a tuple if there are
    several inputs. With parameters, gradient(dy, *inputs, **params) returns (dinputs, grads), grads a dict by name.
    """
    return Functions(function, gradient)
