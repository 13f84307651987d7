"""A forward whose decisions are held as they were at the point, so that no step of a difference crosses a kink.

Comparisons, maxima, absolute values, clips, sorts and index choices are recorded once, in the order in which forward
makes them, and repeated at every step: |x| stays x where x was positive, and a maximum stays the entry that it was.
What is left is smooth, with the derivative of forward itself wherever the point is at no tie. Decisions that cannot be
watched, after np.asarray or in compiled code, are made anew, as without this module.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from scratchnet.backend import Array, Params
from scratchnet.errors import ScratchnetError
from scratchnet.gradcheck.differences import central
from scratchnet.gradcheck.lifted import COMPARISONS, STEPS
from scratchnet.gradcheck.numeric import same_bits
from scratchnet.gradcheck.point import dot

INDEX_CHOICES = ("argmax", "argmin", "argsort", "argpartition")
FUNCTIONS = (np.searchsorted, np.digitize, np.nonzero, np.flatnonzero, np.argwhere)
_running: "list[Tape]" = []


@dataclass
class Tape:
    """The decisions in the order in which they were made, and the place in it of the forward that runs."""

    decisions: list[Any] = field(default_factory=list)
    place: int = -1  # -1 while they are recorded

    def hold(self, decide: Callable[[], Any]) -> Any:
        """The decision made here: a new one, or that of the recording."""
        if self.place < 0:
            self.decisions.append(decide())
            return self.decisions[-1]
        self.place += 1
        return self.decisions[self.place - 1]


@dataclass(frozen=True)
class HeldForward:
    """A layer whose forward repeats the decisions of its first call."""

    layer: Any
    input_names: tuple[str, ...]
    tape: Tape = field(default_factory=Tape)

    def forward(self, params: Params, *inputs: Array, **options: Any) -> tuple[Array, Any]:
        """As the layer's own, with the decisions of the first call; the cache is of no use."""
        _running.append(self.tape)
        try:
            held = {name: holding(value) for name, value in params.items()}
            y, _ = self.layer.forward(held, *map(holding, inputs), **options)
        finally:
            _running.pop()
        if 0 <= self.tape.place < len(self.tape.decisions):
            raise IndexError("forward made fewer decisions than at the point")
        self.tape.place = 0
        return plain(y), None


class Held(np.ndarray):
    """An array that asks the tape wherever it decides."""

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        """The ufunc on plain arrays, with its decision held."""
        arrays = [plain(value) for value in inputs]
        if out is None:
            return holding(_decided(ufunc, method, arrays, options))
        where = options.pop("where", True)
        np.copyto(plain(out[0]), _decided(ufunc, method, arrays, options), casting="same_kind", where=where)
        return out[0]

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """NumPy's function on held arrays; of those that choose places, the places are held."""
        if function in FUNCTIONS:
            return _hold(lambda: function(*map(plain, args), **kwargs))
        return holding(super().__array_function__(function, types, args, kwargs))

    def sort(self, axis: int = -1, **options: Any) -> None:  # type: ignore[override]
        """In place, in the order held."""
        order = _hold(lambda: np.argsort(plain(self), axis=axis, **options))
        self[...] = np.take_along_axis(plain(self), order, axis)

    def partition(self, kth: Any, axis: int = -1, **options: Any) -> None:  # type: ignore[override]
        """In place, in the order held."""
        order = _hold(lambda: np.argpartition(plain(self), kth, axis=axis, **options))
        self[...] = np.take_along_axis(plain(self), order, axis)


def _choosing(name: str) -> Callable[..., Any]:
    def method(self: Held, *args: Any, **kwargs: Any) -> Any:
        return _hold(lambda: getattr(np.ndarray, name)(plain(self), *args, **kwargs))

    method.__name__ = name
    return method


for _name in INDEX_CHOICES:
    setattr(Held, _name, _choosing(_name))


def holding(value: Any) -> Any:
    """Arrays of floats and of complex numbers as Held, also those in tuples and lists; other values as they are."""
    if isinstance(value, tuple | list):
        parts = [holding(part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "fc":
        return np.asarray(value).view(Held)
    return value


def plain(value: Any) -> Any:
    """The plain array of a Held one; other values as they are."""
    return value.view(np.ndarray) if isinstance(value, Held) else value


def _hold(decide: Callable[[], Any]) -> Any:
    return _running[-1].hold(decide) if _running else decide()


def _decided(ufunc: Any, method: str, arrays: list[Any], options: dict[str, Any]) -> Any:
    name, x = ufunc.__name__, arrays[0]
    if name in COMPARISONS | STEPS:
        return _hold(lambda: getattr(ufunc, method)(*arrays, **options))
    if name in ("absolute", "fabs") and np.isrealobj(x):
        return np.where(_hold(lambda: np.asarray(x) < 0), -x, x)
    if name == "clip":
        below, above = _hold(lambda: (x < arrays[1], x > arrays[2]))
        return np.where(below, arrays[1], np.where(above, arrays[2], x))
    if name in ("maximum", "minimum", "fmax", "fmin"):
        larger = "max" in name
        if method == "__call__":
            first = _hold(lambda: np.asarray(x) >= arrays[1] if larger else np.asarray(x) <= arrays[1])
            return np.where(first, x, arrays[1])
        axis = options.get("axis", 0)
        if method == "reduce" and (axis is None or isinstance(axis, int)):
            places = _hold(lambda: (np.argmax if larger else np.argmin)(x, axis=axis, keepdims=True))
            flat = x.reshape((-1,) + (1,) * (x.ndim - 1)) if axis is None else x
            kept = np.take_along_axis(flat, places, axis or 0)
            return (
                kept
                if options.get("keepdims")
                else kept.reshape(np.delete(x.shape, range(x.ndim) if axis is None else axis))
            )
    return getattr(ufunc, method)(*arrays, **options)


def gaps_with_branches_held(at: Any, directions: list[Array], order: int, ladders: Any) -> np.ndarray | None:
    """For each direction the gap of backward and its error bar, by the best of several ladders of steps.

    None where nothing could be held, or forward does not compute the same on held arrays.
    """
    layer = HeldForward(at.point.layer, tuple(at.point.input_names))
    point = replace(at.point, layer=layer)
    try:
        if not same_bits(point.forward()[0], at.y) or not layer.tape.decisions:
            return None
        best = [
            min((central(point, at.name, r, at.dy, order, steps) for steps in ladders), key=lambda found: found.error)
            for r in directions
        ]
    except (ScratchnetError, IndexError):
        return None
    return np.array(
        [(abs(one.value - dot(at.gradient, r)), one.error) for one, r in zip(best, directions, strict=True)]
    )
