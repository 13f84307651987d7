"""A layer at a point: named tensors that can be moved, forward and backward from there."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from scratchnet.backend import Array, Params, device_of, to_host
from scratchnet.errors import BackendError, ScratchnetError


@dataclass(frozen=True)
class Point:
    """A layer with the tensors at which its gradient is taken, and what forward takes besides."""

    layer: Any
    params: Params
    inputs: tuple[Array, ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises ScratchnetError for tensors that are not float64, and for names that mean two of them."""
        if shared := sorted(self.params.keys() & set(self.input_names)):
            raise ScratchnetError(f"a parameter is called {shared[0]} like an input: give it another name")
        for name, tensor in self.tensors.items():
            if tensor.dtype.name != "float64":
                raise ScratchnetError(f"{name} is {tensor.dtype}, expected float64: layer.init(rng, np.float64)")

    @property
    def input_names(self) -> list[str]:
        """x for one input, x1, x2, ... for several."""
        return ["x"] if len(self.inputs) == 1 else [f"x{i + 1}" for i in range(len(self.inputs))]

    @cached_property
    def tensors(self) -> dict[str, Array]:
        """The inputs and then the parameters, by name."""
        return dict(zip(self.input_names, self.inputs, strict=True)) | self.params

    @cached_property
    def widened(self) -> dict[str, Array]:
        """All tensors as complex128."""
        return {name: tensor.astype("complex128") for name, tensor in self.tensors.items()}

    def forward(self, tensors: Mapping[str, Array] | None = None) -> tuple[Array, Any]:
        """(y, cache), with some `tensors` in the place of the point's own. Raises MalformedError for other things."""
        now = {**self.tensors, **(tensors or {})}
        params = {name: now[name] for name in self.params}
        answer = self.layer.forward(params, *(now[name] for name in self.input_names), **self.options)
        if not isinstance(answer, tuple) or len(answer) != 2:
            raise MalformedError(f"forward returned {_kind(answer)}, expected (y, cache)")
        if not hasattr(answer[0], "dtype"):
            raise MalformedError(f"forward returned {_kind(answer[0])} for y, expected an array")
        return answer

    def at_step(self, name: str, step: Array) -> tuple[Array, Any]:
        """(y, cache) with `step` added to one tensor."""
        return self.forward({name: self.tensors[name] + step})

    def backward(self, dy: Array, cache: Any) -> dict[str, Array]:
        """Every gradient that backward returns, by the name of its tensor. Raises MalformedError if they are none."""
        answer = self.layer.backward(dy, cache)
        if not isinstance(answer, tuple) or len(answer) != 2 or not isinstance(answer[1], Mapping):
            raise MalformedError(f"backward returned {_kind(answer)}, expected (dinput, gradients by name)")
        dinputs = answer[0] if isinstance(answer[0], tuple) else (answer[0],)
        if len(dinputs) != len(self.inputs):
            raise MalformedError(f"backward returned {len(dinputs)} input gradients for {len(self.inputs)} inputs")
        return dict(zip(self.input_names, dinputs, strict=True)) | {
            name if name not in self.input_names else f"{name} (parameter)": gradient
            for name, gradient in answer[1].items()
        }


class MalformedError(ScratchnetError):
    """A forward or backward that does not return a pair of the right things; caught and reported."""


def misfits(point: Point, gradients: Mapping[str, Any], without_gradient: Collection[str]) -> Iterator[str]:
    """What is wrong with the form of the gradients, a line each: names, shapes, dtypes, devices, NaN."""
    if forgotten := sorted(point.tensors.keys() - gradients.keys() - set(without_gradient)):
        yield f"backward returned no gradient of {', '.join(forgotten)}: name what has none in without_gradient"
    if unknown := sorted(gradients.keys() - point.tensors.keys()):
        yield f"backward returned gradients of {', '.join(unknown)}, which are no parameters"
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
    """Where an array holds NaN or infinity, in words; empty where it holds none."""
    values = to_host(array)
    bad = ~np.isfinite(values)
    if not bad.any():
        return ""
    index = tuple(int(i) for i in np.argwhere(bad)[0])
    return f"holds {values[index]} at {index}; {int(bad.sum())} of its {values.size} entries are not finite"


def gaussian_like(array: Array, rng: np.random.Generator) -> Array:
    """Standard normal numbers of the same shape, in the same memory."""
    return device_of(array).upload(np.asarray(rng.standard_normal(array.shape)))


def dot(a: Array, b: Array) -> float:
    """The sum of all products, on the host."""
    return float(to_host((a * b).sum()))


def norm(array: Array) -> float:
    """The square root of the sum of squares, on the host."""
    return float(np.linalg.norm(to_host(array)))


def _kind(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
