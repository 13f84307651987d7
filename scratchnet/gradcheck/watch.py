"""Watches which branches a forward takes: its comparisons, maxima, clips, absolute values, sorts and index choices.

A `Watched` array computes what a plain one does, bit for bit, and notes for each place in the code which outcomes it
has had. A place is a line of a file and what is decided there. What NumPy does with arrays that are no longer watched,
after np.asarray, or copied into np.zeros, leaves no note; `coverage.py` finds such places in the source.
"""

import os
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from scratchnet.backend import Array
from scratchnet.gradcheck.point import Point

NUMPY = os.path.dirname(np.__file__)
COMPARISONS = {"less", "less_equal", "greater", "greater_equal", "equal", "not_equal"}
PAIRS = {
    "maximum": "first is larger",
    "minimum": "first is smaller",
    "fmax": "first is larger",
    "fmin": "first is smaller",
}
SIGNS = {"absolute": "abs", "fabs": "abs", "sign": "sign", "heaviside": "heaviside"}
CHOICES = ("argmax", "argmin", "argsort", "sort", "argpartition", "partition")
NEEDED = {"clip": ("below", "inside", "above")}


class Place(NamedTuple):
    """A line of code, and what is decided there."""

    file: str
    line: int
    what: str


Seen = dict[Place, set[Any]]
_seen: Seen = {}


class Watched(np.ndarray):
    """An array that notes its comparisons and choices."""

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        """The ufunc on plain arrays, with a note of what it decides."""
        plain = [plain_of(value) for value in inputs]
        if out is not None:
            options["out"] = tuple(plain_of(value) for value in out)
        _note_ufunc(ufunc.__name__, method, plain, options)  # before `out` overwrites an input
        result = getattr(ufunc, method)(*plain, **options)
        if ufunc.__name__ in COMPARISONS and method == "__call__":
            _note("comparison", result)
        return out[0] if out is not None and len(out) == 1 else watched(result)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """NumPy's function on watched arrays; np.where is noted here, the rest by the ufuncs and methods inside."""
        if function is np.where and len(args) == 3:
            _note("where", np.asarray(plain_of(args[0]), bool))
        if function in (np.searchsorted, np.digitize, np.interp, np.select, np.nonzero):
            plain = function(*map(plain_of, args), **kwargs)
            _note(function.__name__, plain[0] if isinstance(plain, tuple) else plain)
            return watched(plain)
        return watched(super().__array_function__(function, types, args, kwargs))

    def __float__(self) -> float:
        _note_lost("float()")
        return float(plain_of(self))

    def __int__(self) -> int:
        _note_lost("int()")
        return int(plain_of(self))

    def item(self, *index: Any) -> Any:
        """The number, of which nobody can tell what becomes."""
        _note_lost("item()")
        return plain_of(self).item(*index)

    def tolist(self) -> Any:
        """The numbers, of which nobody can tell what becomes."""
        _note_lost("tolist()")
        return plain_of(self).tolist()


def _choosing(name: str) -> Callable[..., Any]:
    """A method that chooses an index or an order."""

    def method(self: Watched, *args: Any, **kwargs: Any) -> Any:
        plain = plain_of(self)
        if self.size > 1:
            axis = kwargs.get(
                "axis", args[0] if args and "partition" not in name else None if "max" in name or "min" in name else -1
            )
            by = np.argmin if "min" in name else np.argmax
            _note(name.removeprefix("arg") if "sort" in name else name, by(plain, axis=axis))
        return watched(getattr(np.ndarray, name)(plain, *args, **kwargs))

    method.__name__ = name
    return method


for _name in CHOICES:
    setattr(Watched, _name, _choosing(_name))


def watch(point: Point) -> tuple[Array, Seen]:
    """(y, the outcomes of each place) of a forward on watched arrays."""
    _seen.clear()
    y = point.forward({name: watched(tensor) for name, tensor in point.tensors.items()})[0]
    return y, {place: set(outcomes) for place, outcomes in _seen.items()}


def is_two_sided(place: Place, outcomes: set[Any]) -> bool:
    """Whether a place has had all its outcomes, or of many possible ones, at least two."""
    return len(outcomes) >= len(NEEDED.get(place.what, (0, 1)))


def watched(value: Any) -> Any:
    """Arrays of floats as Watched, also those in tuples and lists; other values as they are."""
    if isinstance(value, tuple | list):
        parts = [watched(part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind == "f":
        return np.asarray(value).view(Watched)
    return value


def plain_of(value: Any) -> Any:
    """The plain array of a Watched one; other values as they are."""
    return value.view(np.ndarray) if isinstance(value, Watched) else value


def _note_ufunc(name: str, method: str, inputs: list[Any], options: dict[str, Any]) -> None:
    if name in PAIRS and method == "__call__":
        first, second = inputs[:2]
        _note(name, np.asarray(first) >= second if "max" in name else np.asarray(first) <= second)
    elif name in PAIRS and method == "reduce":
        axis = options.get("axis", 0)
        if isinstance(axis, int) and inputs[0].shape[axis] > 1:
            _note(name, (np.argmax if "max" in name else np.argmin)(inputs[0], axis=axis))
        elif inputs[0].size > 1 and not isinstance(axis, int):
            _note(name, np.argmax(inputs[0]) if "max" in name else np.argmin(inputs[0]))
    elif name in SIGNS and method == "__call__":
        _note(SIGNS[name], np.asarray(inputs[0]) < 0)
    elif name == "clip" and method == "__call__":
        x, low, high = inputs[:3]
        sides = np.where(x < low, "below", np.where(x > high, "above", "inside"))
        _note("clip", sides)


def _note(what: str, outcomes: Any) -> None:
    file, line = _where()
    _seen.setdefault(Place(file, line, what), set()).update(np.unique(outcomes).tolist())


def _note_lost(how: str) -> None:
    file, line = _where()
    _seen.setdefault(Place(file, line, f"not watched after {how}"), set())


def _where() -> tuple[str, int]:
    """The innermost line of code that is neither NumPy's nor of this file."""
    frame: Any = sys._getframe(1)
    while frame.f_back is not None and (
        frame.f_code.co_filename == __file__ or frame.f_code.co_filename.startswith((NUMPY, "<__array_function__"))
    ):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno
