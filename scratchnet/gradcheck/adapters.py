"""Makes a layer of what has no forward and backward of that form."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from scratchnet.backend import Array, Params


class _Arguments(NamedTuple):
    inputs: tuple[Array, ...]
    params: Params


@dataclass(frozen=True)
class Functions:
    """A function and its gradient, as a layer without a cache: backward gets the arguments of forward again."""

    function: Callable[..., Array]
    gradient: Callable[..., Any]

    def __str__(self) -> str:
        return getattr(self.function, "__name__", repr(self.function))

    def forward(self, params: Params, *inputs: Array) -> tuple[Array, _Arguments]:
        return self.function(*inputs, **params), _Arguments(inputs, params)

    def backward(self, dy: Array, cache: _Arguments) -> tuple[Any, Params]:
        answer = self.gradient(dy, *cache.inputs, **cache.params)
        return answer if cache.params else (answer, {})


def from_functions(function: Callable[..., Array], gradient: Callable[..., Any]) -> Functions:
    """A pair of plain functions as a layer that `check` takes.

    y = function(*inputs, **params), and dinputs = gradient(dy, *inputs), one array or a tuple for several inputs; with
    parameters, (dinputs, grads) = gradient(dy, *inputs, **params).
    """
    return Functions(function, gradient)
