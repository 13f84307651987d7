"""What a function demands of its arrays, checked at the door and said in axis letters.

H, W: rows and columns of an image; N: images; C, O: channels in and out; D: features;
kh, kw: rows and columns of a kernel. They mean the same everywhere.
"""

from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module
from typing import Any

from scratchnet.backend.device import Array, array_module
from scratchnet.errors import ShapeError

PRECISIONS = {"f": "single", "d": "double", "D": "double"}  # float32, float64 and complex128, by dtype.char


def expect(where: str, shapes: str, *arrays: Array | None, **sizes: int) -> Any:
    """The module, NumPy or CuPy, of arrays that fit together; the first line of most functions of a layer.

        xp = expect("Linear", "x: N C, weight: C O, bias: O", x, weight, bias, C=3, O=2)

    shapes: a name and axes for each array; an array may be None, where there is no bias. A letter has one size
    throughout: the one in `sizes`, else the first that it has. `1` is an axis of size 1, `...` stands
    for any axes, and `*shape`, alone, for any shape, the same wherever it appears.

    Raises BackendError for arrays on different devices, ShapeError for shapes that do not fit, for dtypes other than
    float32, float64 and complex128, and for single beside double precision, which would silently promote.
    """
    named = [(part, array) for part, array in zip(_parsed(shapes), arrays, strict=True) if array is not None]
    xp = array_module(*(array for _, array in named))
    known: dict[str, Any] = dict(sizes)
    for (name, axes), array in named:
        _expect_shape(where, name, tuple(array.shape), axes, known)
    _expect_precision(where, {name: array for (name, _), array in named})
    return xp


@lru_cache(maxsize=256)
def _parsed(shapes: str) -> list[tuple[str, tuple[str, ...]]]:
    """("x", ("N", "C")) for each "x: N C"."""
    parts = (part.partition(":") for part in shapes.split(","))
    return [(name.strip(), tuple(axes.split())) for name, _, axes in parts]


def _expect_shape(where: str, name: str, shape: tuple[int, ...], axes: tuple[str, ...], known: dict[str, Any]) -> None:
    """Raise ShapeError unless the shape has these axes with the known sizes; record the sizes of new letters."""
    if axes[0].startswith("*"):
        first, expected = known.setdefault(axes[0], (name, shape))
        if shape != expected:
            raise ShapeError(f"{where}: {name} has shape {shape}, expected {expected} like {first}")
        return
    letters = axes[1:] if axes[0] == "..." else axes
    last = shape[len(shape) - len(letters) :] if len(shape) > len(letters) and axes[0] == "..." else shape
    sizes = dict(zip(letters, last, strict=False)) | known | {"1": 1}
    fits = len(last) == len(letters) and all(size == sizes[letter] for letter, size in zip(letters, last, strict=True))
    if not fits:
        hint = _hints().of_shape(name, shape, axes, known)
        raise ShapeError(f"{where}: {name} has shape {_given(shape, axes)}, expected {_wanted(axes, known)}{hint}")
    known.update((letter, size) for letter, size in zip(letters, last, strict=True) if letter != "1")


def _given(shape: tuple[int, ...], axes: tuple[str, ...]) -> str:
    """(N=5, C=4), or (5, 4) where the axes are others."""
    if len(shape) == len(axes) and axes[0] not in ("...", "1"):
        return "(" + ", ".join(f"{letter}={size}" for letter, size in zip(axes, shape, strict=True)) + ")"
    return "(" + ", ".join(map(str, shape)) + ")"


def _wanted(axes: tuple[str, ...], known: Mapping[str, Any]) -> str:
    """(N, C=3)."""
    return "(" + ", ".join(f"{letter}={known[letter]}" if letter in known else letter for letter in axes) + ")"


def expect_window(where: str, kind: str, x: Array, window: tuple[int, int], padding: tuple[int, int] = (0, 0)) -> None:
    """Raise ShapeError when x (H, W, N, C), with its padding, is smaller than a window, a kernel's or a pool's."""
    (kh, kw), (p, q) = window, padding
    H, W = x.shape[0] + 2 * p, x.shape[1] + 2 * q
    if kh > H or kw > W:
        padded = " with its padding" if any(padding) else ""
        raise ShapeError(
            f"{where}: x is (H={H}, W={W}){padded}, smaller than the {kind} (kh={kh}, kw={kw})"
            f"{_hints().of_images_first(x.shape, kh, kw)}"
        )


def expect_to_broadcast(where: str, a: str, a_axes: tuple[int, ...], b: str, b_axes: tuple[int, ...]) -> None:
    """Raise ShapeError unless the leading axes of arrays called a and b broadcast."""
    if any(1 != m != n != 1 for m, n in zip(reversed(a_axes), reversed(b_axes), strict=False)):
        raise ShapeError(f"{where}: {a} has leading axes {a_axes} and {b} {b_axes}, expected axes that broadcast")


def _hints() -> Any:
    """`layout_hints.py`, which only errors need."""
    return import_module("scratchnet.backend.layout_hints")


def _expect_precision(where: str, arrays: Mapping[str, Array]) -> None:
    for name, array in arrays.items():
        if array.dtype.char not in PRECISIONS:
            raise ShapeError(f"{where}: {name} is {array.dtype}, expected float32, float64 or complex128: use .astype")
    if len({PRECISIONS[array.dtype.char] for array in arrays.values()}) > 1:
        given = ", ".join(f"{name} is {array.dtype}" for name, array in arrays.items())
        raise ShapeError(f"{where}: {given}, expected one precision for all of them: use .astype")
