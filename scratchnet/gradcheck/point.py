"""A layer at a point: named tensors that can be perturbed, and forward and backward there."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from scratchnet.backend import Array, Params, device_of, to_host
from scratchnet.common.spelling import hint
from scratchnet.errors import BackendError, ScratchnetError


@dataclass(frozen=True)
class Point:
    """A layer, the tensors at which its gradient is taken, and further keyword arguments of forward."""

    layer: Any
    params: Params
    inputs: tuple[Array, ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises ScratchnetError if a tensor is not float64, or a parameter has the name of an input."""
        if shared := sorted(self.params.keys() & set(self.input_names)):
            raise ScratchnetError(f"{shared[0]} is both a parameter and an input: rename the parameter")
        for name, tensor in self.tensors.items():
            if tensor.dtype.name != "float64":
                raise ScratchnetError(f"{name} is {tensor.dtype}, expected float64: {name}.astype(np.float64)")

    @property
    def input_names(self) -> list[str]:
        """x for one input, x1, x2, ... for several."""
        return ["x"] if len(self.inputs) == 1 else [f"x{i + 1}" for i in range(len(self.inputs))]

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
        result = self.layer.forward(params, *(now[name] for name in self.input_names), **self.options)
        if not isinstance(result, tuple) or len(result) != 2:
            raise MalformedError(f"forward returned {_kind(result)}, expected (y, cache)")
        if not hasattr(result[0], "dtype"):
            raise MalformedError(f"forward returned {_kind(result[0])} for y, expected an array")
        return result

    def at_step(self, name: str, step: Array) -> tuple[Array, Any]:
        """(y, cache) with `step` added to one tensor."""
        return self.forward({name: self.tensors[name] + step})

    def backward(self, dy: Array, cache: Any) -> dict[str, Array]:
        """The gradients from backward, by tensor name. Raises MalformedError if it returns something else."""
        result = self.layer.backward(dy, cache)
        if not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[1], Mapping):
            raise MalformedError(f"backward returned {_kind(result)}, expected (dinput, gradients by name)")
        dinputs = result[0] if isinstance(result[0], tuple) else (result[0],)
        if len(dinputs) != len(self.inputs):
            raise MalformedError(f"backward returned {len(dinputs)} input gradients for {len(self.inputs)} inputs")
        return dict(zip(self.input_names, dinputs, strict=True)) | {
            name if name not in self.input_names else f"{name} (parameter)": gradient
            for name, gradient in result[1].items()
        }


def expect_tensor(point: Point, name: str) -> None:
    """Raises ScratchnetError unless the point has a tensor of that name."""
    if name not in point.tensors:
        known = ", ".join(point.tensors)
        raise ScratchnetError(f"no tensor is called {name}{hint(name, point.tensors)}: choose from {known}")


class MalformedError(ScratchnetError):
    """forward or backward returned the wrong kind of object; caught by `check` and reported."""


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
            yield f"d{name} has shape {tuple(gradient.shape)}, expected an array of shape {shape}"
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
    """The square root of the sum of squares, on the host."""
    return float(np.linalg.norm(to_host(array)))


def _kind(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
