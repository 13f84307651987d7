"""Numbers, constants, and dictionaries, lists and tuples of arrays, taken apart into the flat arrays of a `Point`.

A leaf that is a float or an array of floats is a tensor, named by its path: `x.scores`, `layers.0.weight`. Whole
numbers, truth values and all other objects are constants: they are passed on, never moved, and need no gradient.
Several outputs are laid end to end into one vector, and dy is taken apart again for backward.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from scratchnet.backend import Array, Params, array_module
from scratchnet.errors import ScratchnetError
from scratchnet.gradcheck.faults import no_layer
from scratchnet.gradcheck.point import MalformedError, NestedError, Point, argument_names
from scratchnet.gradcheck.report import Report


def flat_point(layer: Any, params: Any, inputs: Any, options: Mapping[str, Any]) -> Point:
    """A Point of a layer with nested arguments. Raises ScratchnetError where an argument cannot be what was meant."""
    if isinstance(layer, type) or not hasattr(layer, "forward"):
        raise ScratchnetError(no_layer(layer))
    flat = Flat(layer, params, tuple(inputs))
    for name, value in zip(flat.names, inputs, strict=True):
        if isinstance(value, tuple) and value and all(isinstance(number, int) for number in value):
            raise ScratchnetError(
                f"{name} is the tuple {value}, expected an array; to draw one of this shape: "
                f"params, inputs = draw(layer, {value}), then check(layer, params, *inputs)"
            )
    tensors = dict(_leaves(params, ""))
    return Point(
        flat,
        {name: np.asarray(leaf) for name, leaf in tensors.items() if is_tensor(leaf)},
        tuple(np.asarray(leaf) if isinstance(leaf, float) else leaf for leaf in flat.tensors.values()),
        options,
    )


def point_of(layer: Any, params: Any, inputs: Any, options: Mapping[str, Any]) -> Point:
    """A Point of any layer; its structures are taken apart if it has some."""
    try:
        point = Point(layer, params, tuple(inputs), options)
        point.forward()
    except NestedError:
        return flat_point(layer, params, inputs, options)
    return point


def point_like(point: Point, params: Any, inputs: Any) -> Point:
    """Other parameters and inputs of the layer of a point, taken apart as those were."""
    if isinstance(point.layer, Flat):
        return flat_point(point.layer.flat_from, params, inputs, point.options)
    return Point(point.layer, dict(params), tuple(inputs), point.options)


def tried_again(
    checker: Any, point: Point, report: Report, redraw: Any, attempts: int, rng: np.random.Generator
) -> Report:
    """The report, with tensors whose gradient vanished checked again at new points, until it vanishes nowhere."""
    for _ in range(attempts - 1):
        if not report or not report.vacuous:
            break
        again = checker.at(point_like(point, *redraw(rng)), rng, contract=False, only=report.vacuous)
        proved = {tensor.name: tensor for tensor in again.tensors if not tensor.vanishing}
        report = replace(
            report,
            problems=report.problems + again.problems,
            tensors=tuple(proved.get(tensor.name, tensor) for tensor in report.tensors),
        )
    return report


@dataclass(frozen=True)
class Flat:
    """The layer protocol on flat arrays, around a layer with nested arguments and results."""

    flat_from: Any
    params: Any
    inputs: tuple[Any, ...]

    @cached_property
    def names(self) -> list[str]:
        """Of all inputs, as in forward's signature, or x1, x2, ..."""
        named = argument_names(self.flat_from, len(self.inputs))
        if len(named) == len(self.inputs) and not set(named) & {
            name.split(".")[0] for name in dict(_leaves(self.params, ""))
        }:
            return named
        return ["x"] if len(self.inputs) == 1 else [f"x{i + 1}" for i in range(len(self.inputs))]

    @cached_property
    def tensors(self) -> dict[str, Any]:
        """The leaves of the inputs that have a gradient, by name."""
        return {name: leaf for name, leaf in self._input_leaves() if is_tensor(leaf)}

    @property
    def input_names(self) -> list[str]:
        """The names of those leaves."""
        return list(self.tensors)

    @property
    def constants(self) -> dict[str, Any]:
        """The arguments of whole numbers, by name."""
        leaves = [*self._input_leaves(), *_leaves(self.params, "")]
        return {name: np.asarray(leaf) for name, leaf in leaves if np.asarray(leaf).dtype.kind in "iu"}

    @property
    def notes(self) -> tuple[str, ...]:
        """Which arguments were held constant."""
        leaves = [*self._input_leaves(), *_leaves(self.params, "")]
        constant = [f"{name} ({_kind(leaf)})" for name, leaf in leaves if not is_tensor(leaf) and leaf is not None]
        return (f"held constant: {', '.join(constant[:6])}",) if constant else ()

    def forward(self, params: Params, *inputs: Array, **options: Any) -> tuple[Array, Any]:
        """y, with several outputs laid end to end, and what `backward` needs to take dy apart."""
        now = dict(zip(self.tensors, inputs, strict=True))
        rebuilt = [_rebuilt(value, name, now) for name, value in zip(self.names, self.inputs, strict=True)]
        result = self.flat_from.forward(_rebuilt(self.params, "", params), *rebuilt, **options)
        if not isinstance(result, tuple) or len(result) != 2:
            raise MalformedError(f"forward returned a {type(result).__name__}, expected (y, cache)")
        y, cache = result
        leaves = [np.asarray(leaf) if not hasattr(leaf, "dtype") else leaf for _, leaf in _leaves(y, "y")]
        if hasattr(y, "dtype") or isinstance(y, float | complex):
            return leaves[0], (y, cache)
        if not leaves or any(leaf.dtype.kind not in "fc" for leaf in leaves):
            raise MalformedError(f"forward returned a {type(y).__name__} for y, expected arrays of floats")
        return array_module(*leaves).concatenate([leaf.reshape(-1) for leaf in leaves]), (y, cache)

    def backward(self, dy: Array, cache: Any) -> tuple[Any, Params]:
        """The gradients of the tensors; None where the layer returned none."""
        y, inner = cache
        result = self.flat_from.backward(_split(dy, y), inner)
        if not isinstance(result, tuple) or len(result) != 2:
            raise MalformedError(f"backward returned a {type(result).__name__}, expected (dinput, gradients by name)")
        dinputs, grads = result
        found = dict(_leaves_of_all(self._as_lists(self._by_name(dinputs))))
        constants = {name for name, leaf in _leaves(self.params, "") if not is_tensor(leaf)}
        flat = {name: _array(value) for name, value in _leaves(grads, "") if name not in constants}
        unknown = {
            name: value for name, value in found.items() if name not in dict(self._input_leaves()) and value is not None
        }
        return tuple(_array(found.get(name)) for name in self.tensors), flat | unknown

    def _input_leaves(self) -> Iterator[tuple[str, Any]]:
        return _leaves_of_all(dict(zip(self.names, self.inputs, strict=True)))

    def _as_lists(self, gradients: dict[str, Any]) -> dict[str, Any]:
        """An array as the gradient of a list of numbers is taken apart like it."""
        for name, value in zip(self.names, self.inputs, strict=True):
            given = gradients.get(name)
            if isinstance(value, list | tuple) and isinstance(given, np.ndarray) and given.shape == (len(value),):
                gradients[name] = type(value)(given.tolist())
        return gradients

    def _by_name(self, dinputs: Any) -> dict[str, Any]:
        """The gradient of each input: given by name, in order, or in order without those of constants."""
        if isinstance(dinputs, Mapping) and dinputs.keys() <= set(self.names):
            return dict(dinputs)
        if len(self.names) == 1:
            return {self.names[0]: dinputs[0] if isinstance(dinputs, tuple) and len(dinputs) == 1 else dinputs}
        given = list(dinputs) if isinstance(dinputs, tuple | list) else [dinputs]
        moved = [name for name in self.names if any(leaf.split(".")[0] == name for leaf in self.tensors)]
        for names in (self.names, moved):
            if len(given) == len(names):
                return dict(zip(names, given, strict=True))
        if len(given) == 1 and given[0] is None:
            return {}
        raise MalformedError(f"backward returned {len(given)} input gradients for {len(self.names)} inputs")


def is_tensor(leaf: Any) -> bool:
    """A float, or an array of anything but whole numbers and truth values."""
    return isinstance(leaf, float) or getattr(leaf, "dtype", np.dtype(bool)).kind in "fc"


def _leaves(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """(path, leaf) for everything in nested dictionaries, lists and tuples."""
    parts: Any
    if isinstance(value, Mapping):
        parts = value.items()
    elif isinstance(value, tuple | list):
        parts = zip(getattr(value, "_fields", range(len(value))), value, strict=True)
    else:
        yield name, value
        return
    for key, part in parts:
        yield from _leaves(part, f"{name}.{key}" if name else str(key))


def _leaves_of_all(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        yield from _leaves(value, name)


def _rebuilt(value: Any, name: str, now: Mapping[str, Any]) -> Any:
    """The structure of `value` with the tensors of `now` in place of its own; a float stays a number."""
    if isinstance(value, Mapping):
        return {key: _rebuilt(part, f"{name}.{key}" if name else str(key), now) for key, part in value.items()}
    if isinstance(value, tuple | list):
        keys = getattr(value, "_fields", range(len(value)))
        parts = [
            _rebuilt(part, f"{name}.{key}" if name else str(key), now) for key, part in zip(keys, value, strict=True)
        ]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if not is_tensor(value):
        return value
    if type(value) is float and type(now[name]) in (np.ndarray, np.float64, np.complex128):
        return now[name].item()
    return now[name]


def _split(dy: Array, y: Any) -> Any:
    """dy in the structure of y."""
    if isinstance(y, float | complex):
        return dy.item()
    if hasattr(y, "dtype"):
        return dy
    now, start = {}, 0
    for name, leaf in _leaves(y, "y"):
        size = np.size(leaf)
        now[name] = dy[start : start + size].reshape(np.shape(leaf))
        start += size
    return _rebuilt(y, "y", now)


def _array(value: Any) -> Any:
    return np.asarray(value) if isinstance(value, float) else value


def _kind(leaf: Any) -> str:
    return str(leaf.dtype) if hasattr(leaf, "dtype") else type(leaf).__name__
