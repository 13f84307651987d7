"""What a function demands of its arrays, checked at the door and said in axis letters.

H, W: rows and columns of an image; N: images; C, O: channels in and out; D: features;
kh, kw: rows and columns of a kernel. They mean the same everywhere.
"""

from typing import Any

from scratchnet.errors import ShapeError

MAP = ["H", "W", "N", "C"]
CHANNELS_ELSEWHERE = {  # the layouts of other libraries, by the place of their channels
    1: ("(N, C, H, W)", (2, 3, 0, 1)),
    0: ("(C, H, W, N)", (1, 2, 3, 0)),
    2: ("(H, W, C, N)", (0, 1, 3, 2)),
}
PRECISIONS = {"float32": "single", "float64": "double", "complex128": "double"}


def expect_shape(name: str, array: Any, axes: str, **sizes: int) -> None:
    """Raise ShapeError unless `array` has the axes named in `axes`, with the `sizes` that are given.

    expect_shape("x", x, "H W N C", C=3)
    -> x has shape (H=5, W=7, N=2, C=4), expected (H, W, N, C=3)
    """
    letters = axes.split()
    shape = tuple(array.shape)
    fits = len(shape) == len(letters) and all(
        sizes.get(letter, size) == size for letter, size in zip(letters, shape, strict=True)
    )
    if fits:
        return
    if len(shape) == len(letters):
        given = ", ".join(f"{letter}={size}" for letter, size in zip(letters, shape, strict=True))
    else:
        given = ", ".join(map(str, shape))
    expected = ", ".join(f"{letter}={sizes[letter]}" if letter in sizes else letter for letter in letters)
    hint = _layout_hint(name, shape, sizes.get("C")) if letters == MAP else ""
    raise ShapeError(f"{name} has shape ({given}), expected ({expected}){hint}")


def images_first_hint(name: str, shape: tuple[int, ...], kh: int, kw: int) -> str:
    """What to add for a map (H, W, N, C) smaller than a kernel, if it is large enough read as (N, H, W, C)."""
    if shape[1] < kh or shape[2] < kw:
        return ""
    return f"; images first, (N, H, W, C), become {_variable(name)}.transpose(1, 2, 0, 3)"


def _layout_hint(name: str, shape: tuple[int, ...], C: int | None) -> str:
    """What to do about a map whose channels are in the place of another axis, or that has no axis for the only one."""
    x = _variable(name)
    if len(shape) == 3 and C in (1, None):
        return f": images (N, H, W) become {x}.transpose(1, 2, 0)[..., None]"
    if len(shape) == 4 and C is not None:
        for axis, (layout, axes) in CHANNELS_ELSEWHERE.items():
            if shape[axis] == C:
                return f": it looks like {layout}, which becomes {x}.transpose{axes}"
    return ""


def _variable(name: str) -> str:
    """The array in "Conv2d: x"."""
    return name.rpartition(" ")[2]


def expect_precision(where: str, **arrays: Any) -> None:
    """Raise ShapeError unless all arrays are float32, or all are float64 or complex128.

    A silent promotion from float32 to float64 would halve the speed of everything after it.
    """
    for name, array in arrays.items():
        if array.dtype.name not in PRECISIONS:
            raise ShapeError(f"{where}: {name} is {array.dtype}, expected float32, float64 or complex128: use .astype")
    if len({PRECISIONS[array.dtype.name] for array in arrays.values()}) > 1:
        given = ", ".join(f"{name} is {array.dtype}" for name, array in arrays.items())
        raise ShapeError(f"{where}: {given}, expected one precision for all of them: use .astype")


def expect_same_shape(name: str, array: Any, other_name: str, other: Any) -> None:
    """Raise ShapeError unless `array` is shaped like `other`."""
    if tuple(array.shape) != tuple(other.shape):
        raise ShapeError(f"{name} has shape {tuple(array.shape)}, expected {tuple(other.shape)} like {other_name}")
