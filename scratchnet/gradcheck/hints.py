"""Recognises wrong gradients that are a multiple or a rearrangement of the correct one."""

import math
from collections.abc import Iterator
from itertools import combinations

import numpy as np

SAME = 1e-5  # relative; the accuracy of central differences of single entries


def hint(analytic: np.ndarray, numeric: np.ndarray, off: np.ndarray, sums: dict[int, str]) -> str:
    """A single mistake that turns the numeric gradient into the analytic one; "" if none is recognised.

    analytic, numeric, off: corresponding entries of both and a mask of those that differ. Rearrangements are found only
    in whole tensors in their original shape. sums: lengths that a sum may run over, each with a description.
    """
    if not analytic.any():
        return "forgotten: backward leaves it at zero"
    if off.any() and not analytic[off].any():
        return "lost: backward leaves these entries at zero"
    relevant = off & (np.abs(numeric) > SAME * np.abs(numeric).max(initial=0.0))
    if relevant.sum() > (numeric.size > 1):
        ratios = analytic[relevant] / numeric[relevant]
        factor = float(np.median(ratios))
        if factor and np.abs(ratios - factor).max() < SAME * abs(factor):
            return _of_factor(factor, sums)
    for name, rearranged in rearrangements(numeric):
        if same(rearranged, analytic):
            return f"analytic equals numeric {name}"
    return ""


def rearrangements(array: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """(name, array) for each reordering that keeps the shape: flips, transposes, memory orders and shifts."""
    axes, shape = range(array.ndim), array.shape
    pairs = [(0, 1), (array.ndim - 2, array.ndim - 1)] if array.ndim >= 2 else []
    for pair in dict.fromkeys(pairs):
        yield f"flipped along axes {pair[0]} and {pair[1]}: kernel not flipped", np.flip(array, pair)
    for axis in axes:
        yield f"flipped along axis {axis}", np.flip(array, axis)
    for a, b in combinations(axes, 2):
        if shape[a] == shape[b]:
            yield f"transposed in axes {a} and {b}", array.swapaxes(a, b)
    if array.ndim > 1:
        yield "read in Fortran order", array.ravel("F").reshape(shape)
        yield "written in Fortran order", array.ravel().reshape(shape, order="F")
    for axis in axes:
        for shift in (1, -1):
            yield f"shifted by {shift} along axis {axis}", np.roll(array, shift, axis)


def sums_of(arrays: dict[str, tuple[int, ...]]) -> dict[int, str]:
    """The number of terms in a sum over any axes of these shapes, with a description; the first match wins."""
    sums: dict[int, str] = {}
    for name, shape in arrays.items():
        for number in range(1, len(shape) + 1):
            for axes in combinations(range(len(shape)), number):
                meaning = f"the length of {name} {shape} along {'axes' if number > 1 else 'axis'} {_listed(axes)}"
                sums.setdefault(math.prod(shape[axis] for axis in axes), meaning)
    return sums


def same(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal to within the error of a difference, and not both zero."""
    size = float(np.abs(b).max(initial=0.0))
    return size > 0 and float(np.abs(a - b).max()) < SAME * size


def _listed(numbers: tuple[int, ...]) -> str:
    *first, last = map(str, numbers)
    return f"{', '.join(first)} and {last}" if first else last


def _of_factor(factor: float, sums: dict[int, str]) -> str:
    if abs(factor - 1) < SAME:
        return f"analytic is (1 {factor - 1:+.2g}) times numeric: a slightly wrong constant, or too low a precision"
    known = {-1.0: "factor -1: wrong sign"}
    for length, meaning in sums.items():
        if length > 2:
            known[1 / length] = f"factor 1/{length}, {meaning}: averaged instead of summed, or divided twice"
            known[length] = f"factor {length}, {meaning}: summed instead of averaged, or counted {length} times"
    known[2.0] = "factor 2: counted twice"
    known[0.5] = "factor 1/2: a factor of 2 is missing, or only one of the two twins is counted"
    count = round(max(abs(factor), abs(1 / factor)))
    if count > 2:  # a sum inside a network, whose length does not show in its inputs and outputs
        known.setdefault(1 / count, f"factor 1/{count}: averaged over {count} instead of summed, or divided twice")
        known.setdefault(count, f"factor {count}: summed over {count} instead of averaged, or counted {count} times")
    nearest = min(known, key=lambda value: abs(factor / value - 1))
    return known[nearest] if abs(factor / nearest - 1) < SAME else f"a constant factor of {factor:.6g}"
