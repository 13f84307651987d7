"""A layer at a point: named tensors that can be perturbed, and forward and backward there."""

import inspect
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from scratchnet.backend import Array, Params, device_of, to_host
from scratchnet.errors import BackendError, ScratchnetError


@dataclass(frozen=True)
class Point:
    """A layer, the tensors at which its gradient is taken, and further keyword arguments of forward."""

    layer: Any
    params: Params
    inputs: tuple[Array, ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises NestedError unless all are arrays, and ScratchnetError if one is not float64 or a name is taken."""
        arrays = [*self.params.values(), *self.inputs] if isinstance(self.params, dict) else [None]
        if isinstance(self.layer, type) or any(getattr(a, "dtype", np.dtype(bool)).kind not in "fc" for a in arrays):
            raise NestedError("an argument is no array of floating-point numbers")
        if shared := sorted(self.params.keys() & set(self.input_names)):
            raise ScratchnetError(f"{shared[0]} is both a parameter and an input: rename the parameter")
        for name, tensor in self.tensors.items():
            if tensor.dtype.name != "float64":
                how = f"{name}.real and {name}.imag" if tensor.dtype.kind == "c" else f"{name}.astype(np.float64)"
                raise ScratchnetError(f"{name} is {tensor.dtype}, expected float64: {how}")

    @cached_property
    def input_names(self) -> list[str]:
        """Those in forward's signature; x, or x1, x2, ..., where it names too few, or one as a parameter is named."""
        named = argument_names(self.layer, len(self.inputs))
        return self.numbered if len(named) < len(self.inputs) or self.params.keys() & set(named) else named

    @property
    def numbered(self) -> list[str]:
        """x for one input, x1, x2, ... for several."""
        return ["x"] if len(self.inputs) == 1 else [f"x{i + 1}" for i in range(len(self.inputs))]

    def named(self, names: Collection[str]) -> list[str]:
        """The same names, with x1, x2, ... replaced by those of the inputs."""
        names_of = {f"x{i + 1}": name for i, name in enumerate(self.input_names)} | dict(
            zip(["x"], self.input_names, strict=False)
        )
        return [name if name in self.tensors else names_of.get(name, name) for name in names]

    @cached_property
    def tensors(self) -> dict[str, Array]:
        """Inputs, then parameters, by name."""
        return dict(zip(self.input_names, self.inputs, strict=True)) | self.params

    @cached_property
    def widened(self) -> dict[str, Array]:
        """All tensors as complex128."""
        return {name: tensor.astype("complex128") for name, tensor in self.tensors.items()}

    def forward(self, tensors: Mapping[str, Array] | None = None) -> tuple[Array, Any]:
        """(y, cache), with `tensors` replacing those of the point. Raises MalformedError if forward returns no pair."""
        now = {**self.tensors, **(tensors or {})}
        params = {name: now[name] for name in self.params}
        try:
            result = self.layer.forward(params, *(now[name] for name in self.input_names), **self.options)
        except Exception as error:  # any exception: it is the layer's own
            from scratchnet.gradcheck.faults import raised  # noqa: PLC0415, needed by layers that raise

            raise raised("forward", error, ScratchnetError) from error
        if not isinstance(result, tuple) or len(result) != 2:
            raise MalformedError(f"forward returned {_kind(result)}, expected (y, cache)")
        if not hasattr(result[0], "dtype"):
            raise NestedError(f"forward returned {_kind(result[0])} for y, expected an array")
        return result

    def at_step(self, name: str, step: Array) -> tuple[Array, Any]:
        """(y, cache) with `step` added to one tensor; y is NaN where forward raises, beyond the edge of its domain."""
        with np.errstate(all="ignore"), suppress(ScratchnetError):
            return self.forward({name: self.tensors[name] + step})
        y, cache = self.forward()  # which has just worked
        return y * np.nan, cache

    def backward(self, dy: Array, cache: Any) -> dict[str, Array]:
        """The gradients from backward, by tensor name. Raises MalformedError if it returns something else."""
        try:
            result = self.layer.backward(dy, cache)
        except Exception as error:  # any exception: it is the layer's own
            from scratchnet.gradcheck.faults import raised  # noqa: PLC0415, needed by layers that raise

            raise raised("backward", error, MalformedError) from error
        if not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[1], Mapping):
            raise MalformedError(f"backward returned {_kind(result)}, expected (dinput, gradients by name)")
        dinputs = result[0] if isinstance(result[0], tuple | list) else (result[0],)
        if len(dinputs) != len(self.inputs):
            raise MalformedError(f"backward returned {len(dinputs)} input gradients for {len(self.inputs)} inputs")
        named = dict(zip(self.input_names, dinputs, strict=True)) | {
            name if name not in self.input_names else f"{name} (parameter)": gradient
            for name, gradient in result[1].items()
        }
        given = {name: value for name, value in named.items() if value is not None}
        return {name: np.asarray(value) if isinstance(value, float) else value for name, value in given.items()}


def argument_names(layer: Any, number: int) -> list[str]:
    """The names of the first `number` inputs that forward takes after the parameters; fewer if it does not name them.

    A layer that wraps another one tells them in an attribute `input_names`.
    """
    if (told := getattr(layer, "input_names", None)) is not None:
        return list(told)[:number]
    return positional_names(getattr(layer, "forward", None))[1 : number + 1]


def positional_names(function: Any) -> list[str]:
    """The names of a function's positional arguments; none if Python cannot tell."""
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    return [one.name for one in found if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]


class MalformedError(ScratchnetError):
    """forward or backward returned the wrong kind of object; caught by `check` and reported."""


class NestedError(ScratchnetError):
    """An argument or y is a number, or a structure of arrays, which `structures.py` takes apart."""


def misfits(point: Point, gradients: Mapping[str, Any], without_gradient: Collection[str]) -> Iterator[str]:
    """A line for each gradient with the wrong name, shape, dtype or device, or with entries that are not finite."""
    if forgotten := sorted(point.tensors.keys() - gradients.keys() - set(without_gradient)):
        yield f"backward returned no gradient for {', '.join(forgotten)}: if that is right, list it in without_gradient"
    if unknown := sorted(gradients.keys() - point.tensors.keys()):
        yield f"backward returned gradients for unknown parameters: {', '.join(unknown)}"
    for name, tensor in point.tensors.items():
        if name not in gradients:
            continue
        gradient, shape = gradients[name], tuple(tensor.shape)
        try:
            device = device_of(gradient)
        except BackendError:
            yield f"d{name} is {_kind(gradient)}, expected an array of shape {shape}"
            continue
        if tuple(gradient.shape) != shape:
            how = ": sum over the axes that were broadcast" if gradient.size > tensor.size else ""
            yield f"d{name} has shape {tuple(gradient.shape)}, expected an array of shape {shape}{how}"
        elif gradient.dtype != tensor.dtype:
            yield f"d{name} is {gradient.dtype}, expected {tensor.dtype} like {name}"
        elif device is not device_of(tensor):
            yield f"d{name} is on {device.name}, expected it on {device_of(tensor).name} like {name}"
        elif trouble := not_finite(gradient):
            yield f"d{name} {trouble}"


def not_finite(array: Array) -> str:
    """Says where an array contains NaN or infinity; empty if it contains none."""
    values = to_host(array)
    bad = ~np.isfinite(values)
    if not bad.any():
        return ""
    index = tuple(int(i) for i in np.argwhere(bad)[0])
    return f"contains {values[index]} at {index}; {int(bad.sum())} of its {values.size} entries are not finite"


def gaussian_like(array: Array, rng: np.random.Generator) -> Array:
    """Standard normal numbers of the same shape, on the same device."""
    return device_of(array).upload(np.asarray(rng.standard_normal(array.shape)))


def dot(a: Array, b: Array) -> float:
    """The sum of the elementwise products, on the host."""
    return float(to_host((a * b).sum()))


def norm(array: Array) -> float:
    """The square root of the sum of squares, on the host; of numbers too large or small to square, too."""
    values = to_host(array)
    with np.errstate(over="ignore", under="ignore"):
        size = float(np.linalg.norm(values))
    if 1e-140 < size < 1e150 or not (largest := float(np.abs(values).max(initial=0.0))) or not np.isfinite(largest):
        return size
    return largest * float(np.linalg.norm(values / largest))


def said(error: Exception) -> str:
    """What the layer itself raised."""
    error = error.__cause__ if isinstance(error.__cause__, Exception) else error
    return f"{type(error).__name__}: {' '.join(str(error).split())[:80]}"


def _kind(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
