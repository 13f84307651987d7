"""What a function demands of its arrays, checked at the door and said in axis letters.

H, W: rows and columns of an image; N: images; C, O: channels in and out; D: features;
kh, kw: rows and columns of a kernel. They mean the same everywhere.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from scratchnet.backend.device import Array, array_module
from scratchnet.errors import ShapeError

MAP = ("H", "W", "N", "C")
CHANNELS_ELSEWHERE = {  # the layouts of other libraries, by the place of their channels
    1: ("(N, C, H, W)", (2, 3, 0, 1)),
    0: ("(C, H, W, N)", (1, 2, 3, 0)),
    2: ("(H, W, C, N)", (0, 1, 3, 2)),
}
PRECISIONS = {"float32": "single", "float64": "double", "complex128": "double"}


def expect(where: str, shapes: str, *arrays: Array, **sizes: int) -> Any:
    """The module, NumPy or CuPy, of arrays that fit together; the first line of every function of a layer.

        xp = expect("Linear", "x: N C, weight: C O, bias: O", x, weight, bias, C=3, O=2)

    shapes: a name and axes for each array; an array may be None, where there is no bias. A letter has one size
    throughout: the one in `sizes`, else that of the first array that has it. `1` is an axis of size 1, `...` stands
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
    """Raise ShapeError unless the shape has these axes with the sizes that are known; add those that it is the first
    to have."""
    if axes[0].startswith("*"):
        first, expected = known.setdefault(axes[0], (name, shape))
        if shape != expected:
            raise ShapeError(f"{where}: {name} has shape {shape}, expected {expected} like {first}")
        return
    letters = axes[1:] if axes[0] == "..." else axes
    last = shape[len(shape) - len(letters) :] if len(shape) > len(letters) and axes[0] == "..." else shape
    fits = len(last) == len(letters) and all(
        size == (1 if letter == "1" else known.get(letter, size)) for letter, size in zip(letters, last, strict=True)
    )
    if not fits:
        hint = _map_hint(name, shape, known.get("C")) if axes == MAP else _images_hint(name, shape, axes, known)
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
            f"{_images_first_hint(x.shape, kh, kw)}"
        )


def _images_first_hint(shape: tuple[int, ...], kh: int, kw: int) -> str:
    """What to add about a map (H, W, N, C) smaller than a window, if it is large enough read as (N, H, W, C)."""
    if shape[1] < kh or shape[2] < kw:
        return ""
    return "; images first, (N, H, W, C), become x.transpose(1, 2, 0, 3)"


def _map_hint(x: str, shape: tuple[int, ...], C: int | None) -> str:
    """What to do about a map whose channels are in the place of another axis, or that has no axis for the only one."""
    if len(shape) == 3 and C in (1, None):
        return f": images (N, H, W) become {x}.transpose(1, 2, 0)[..., None]"
    if len(shape) == 4 and C is not None:
        for axis, (layout, axes) in CHANNELS_ELSEWHERE.items():
            if shape[axis] == C:
                return f": it looks like {layout}, which becomes {x}.transpose{axes}"
    return ""


def _images_hint(name: str, shape: tuple[int, ...], axes: tuple[str, ...], known: Mapping[str, Any]) -> str:
    """What to do about images (..., H, W) in a layout of other libraries."""
    size = known.get("H"), known.get("W")
    if axes[-2:] == ("H", "W") and len(shape) == 3 and shape[:2] == size:
        return f": it looks like (H, W, N), which becomes {name}.transpose(2, 0, 1)"
    if axes[-2:] == ("H", "W") and len(shape) > 3 and shape[-3:] == (*size, 1):
        return f": the channel goes as {name}[..., 0]"
    return ""


def _expect_precision(where: str, arrays: Mapping[str, Array]) -> None:
    for name, array in arrays.items():
        if array.dtype.name not in PRECISIONS:
            raise ShapeError(f"{where}: {name} is {array.dtype}, expected float32, float64 or complex128: use .astype")
    if len({PRECISIONS[array.dtype.name] for array in arrays.values()}) > 1:
        given = ", ".join(f"{name} is {array.dtype}" for name, array in arrays.items())
        raise ShapeError(f"{where}: {given}, expected one precision for all of them: use .astype")
