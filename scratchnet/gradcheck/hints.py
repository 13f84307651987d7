"""What a wrong gradient is instead: a multiple of the right one, or a rearrangement of it."""

import math
from collections.abc import Iterator
from itertools import combinations

import numpy as np

SAME = 1e-5  # relative; central differences of single entries give no more


def hint(analytic: np.ndarray, numeric: np.ndarray, off: np.ndarray, sums: dict[int, str]) -> str:
    """The one thing that turns the right gradient into the wrong one, or "".

    analytic, numeric, off: the same entries of both, and which of them differ; the whole tensor, in its shape, where
    rearrangements are to be found. sums: lengths over which a sum may run, each with what it is.
    """
    if not analytic.any():
        return "forgotten: backward leaves it zero"
    if off.any() and not analytic[off].any():
        return "lost: backward leaves these entries zero"
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
    """(name, array) of the same shape with its entries in another order: flips, transposes, memory orders, shifts."""
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
    """How many terms a sum over any axes of these shapes has, and over which; the first name counts."""
    found: dict[int, str] = {}
    for name, shape in arrays.items():
        for number in range(1, len(shape) + 1):
            for axes in combinations(range(len(shape)), number):
                meaning = f"the length of {name} {shape} along {'axes' if number > 1 else 'axis'} {_listed(axes)}"
                found.setdefault(math.prod(shape[axis] for axis in axes), meaning)
    return found


def same(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal but for the error of a difference, and not both zero."""
    size = float(np.abs(b).max(initial=0.0))
    return size > 0 and float(np.abs(a - b).max()) < SAME * size


def _listed(numbers: tuple[int, ...]) -> str:
    *first, last = map(str, numbers)
    return f"{', '.join(first)} and {last}" if first else last


def _of_factor(factor: float, sums: dict[int, str]) -> str:
    if abs(factor - 1) < SAME:
        return f"analytic is numeric times 1 {factor - 1:+.2g}: a constant or a precision that is nearly right"
    known = {-1.0: "factor -1: the sign is wrong"}
    for length, meaning in sums.items():
        if length > 2:
            known[1 / length] = f"factor 1/{length}, {meaning}: averaged instead of summed, or divided twice"
            known[length] = f"factor {length}, {meaning}: summed instead of averaged, or counted as often"
    known[2.0] = "factor 2: counted twice"
    known[0.5] = "factor 1/2: a factor 2 is missing, or only one of two twins is counted"
    count = round(max(abs(factor), abs(1 / factor)))
    if count > 2:  # a sum inside of a network, whose length its inputs and outputs do not show
        known.setdefault(1 / count, f"factor 1/{count}: averaged over {count} instead of summed, or divided twice")
        known.setdefault(count, f"factor {count}: summed over {count} instead of averaged, or counted as often")
    nearest = min(known, key=lambda value: abs(factor / value - 1))
    return known[nearest] if abs(factor / nearest - 1) < SAME else f"a constant factor of {factor:.6g}"
