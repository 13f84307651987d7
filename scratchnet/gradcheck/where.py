"""Describes in words where the wrong entries of a gradient are."""

from collections.abc import Callable
from functools import partial

import numpy as np

COUNTED = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
Place = tuple[str, Callable[[np.ndarray], np.ndarray]]  # a name, and a mask (M,) of the indices (M, ndim) inside


def describe(indices: np.ndarray, off: np.ndarray, relevant: np.ndarray, shape: tuple[int, ...]) -> str:
    """Where the wrong entries are among those checked; a place is named only if it contains all of them.

    indices: (M, ndim), the entries checked. off: (M,) bool, the wrong ones. relevant: (M,) bool, those that could show
    an error because either gradient is nonzero there. shape: that of the tensor.
    """
    wrong = indices[off]
    if not len(wrong):
        return "no single entry"
    if len(wrong) == 1:
        return f"only this entry of {'x'.join(map(str, shape)) or 'one'}"
    if off[relevant].all():
        return "everywhere"
    places = [*_along_axes(wrong, shape), *_blocks(wrong, shape), *_border(wrong, shape), *_strides(wrong, shape)]
    for place, inside in places:
        share = off[relevant & inside(indices)].mean()
        if share > 0.9:
            return place
    return f"in {places[0][0]}, {off[relevant & places[0][1](indices)].mean():.0%} of it" if places else "scattered"


def _along_axes(wrong: np.ndarray, shape: tuple[int, ...]) -> list[Place]:
    """A fixed index along one or more axes: a row, a column, a channel, a sample."""
    fixed = {
        axis: int(wrong[0, axis])
        for axis, size in enumerate(shape)
        if size > 1 and (wrong[:, axis] == wrong[0, axis]).all()
    }
    if not fixed:
        return []

    def inside(indices: np.ndarray) -> np.ndarray:
        return np.all([indices[:, axis] == value for axis, value in fixed.items()], axis=0)

    return [(" and ".join(f"{_position(value, shape[axis])} of axis {axis}" for axis, value in fixed.items()), inside)]


def _blocks(wrong: np.ndarray, shape: tuple[int, ...]) -> list[Place]:
    """A run of neighbouring indices along an axis, such as the gate of an LSTM, a head or a group."""

    def inside(axis: int, first: int, last: int, indices: np.ndarray) -> np.ndarray:
        return (first <= indices[:, axis]) & (indices[:, axis] <= last)

    places: list[Place] = []
    for axis, size in enumerate(shape):
        first, last = int(wrong[:, axis].min()), int(wrong[:, axis].max())
        length = last - first + 1
        if 1 < length < size and len(np.unique(wrong[:, axis])) == length:
            name = f"indices {first} to {last} of axis {axis}"
            if size % length == 0 and first % length == 0 and size // length <= len(COUNTED):
                which, parts = COUNTED[first // length], size // length
                name += f": the {which} of {parts} equal blocks (a gate, a head, a group)"
            places.append((name, partial(inside, axis, first, last)))
    return places


def _border(wrong: np.ndarray, shape: tuple[int, ...]) -> list[Place]:
    """Both ends of one axis or of two adjacent ones (the border of an image)."""

    def at_ends(axes: tuple[int, ...], indices: np.ndarray) -> np.ndarray:
        return np.any([(indices[:, a] == 0) | (indices[:, a] == shape[a] - 1) for a in axes], axis=0)

    groups = [(a,) for a in range(len(shape))] + [(a, a + 1) for a in range(len(shape) - 1)]
    return [
        (f"the border of {'axis' if len(axes) == 1 else 'axes'} {' and '.join(map(str, axes))}", partial(at_ends, axes))
        for axes in groups
        if min(shape[a] for a in axes) > 2 and at_ends(axes, wrong).all()
    ]


def _strides(wrong: np.ndarray, shape: tuple[int, ...]) -> list[Place]:
    """Every second, third or fourth index along an axis."""

    def on_grid(axis: int, stride: int, first: int, indices: np.ndarray) -> np.ndarray:
        return indices[:, axis] % stride == first

    places: list[Place] = []
    for axis, size in enumerate(shape):
        values = np.unique(wrong[:, axis])
        for stride in (4, 3, 2):
            first = int(values[0]) % stride
            if size > stride and len(values) > 1 and (values % stride == first).all():
                name = f"every {_ordinal(stride)} index of axis {axis}, from {first}"
                places.append((name, partial(on_grid, axis, stride, first)))
                break
    return places


def _position(value: int, size: int) -> str:
    name = {0: "the first index", size - 1: "the last index"}.get(value, "index")
    return f"{name} ({value})" if name != "index" else f"index {value}"


def _ordinal(number: int) -> str:
    return {2: "second", 3: "third", 4: "fourth"}[number]
