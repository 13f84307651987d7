"""What a function demands of its arrays, checked at the door and said in axis letters.

H, W: rows and columns of an image; N: images; C, O: channels in and out; D: features;
kh, kw: rows and columns of a kernel. They mean the same everywhere.
"""

from typing import Any

from scratchnet.errors import ShapeError

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
    raise ShapeError(f"{name} has shape ({given}), expected ({expected})")


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
