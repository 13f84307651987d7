"""Is a result in float32, on whatever device, as good as float32 can be? A bound that nobody tuned.

A sum of n products computed in a precision with unit roundoff u is the exact sum of terms that are each off by a
factor 1 + theta with |theta| <= gamma_n = n u / (1 - n u), in any order of summation (Higham, Accuracy and Stability
of Numerical Algorithms, 2002, section 3.1). Such a factor on a term is the same factor on one of the numbers in it: a
layer that computes with sums of n products gives what the exact layer gives at numbers changed by gamma_n at most.
How much that is, the layer itself tells in float64: multiply every number of the point and of the cotangent by
1 + a or 1 - a at random, and see how far the results move. Along random signs n terms t add up like a sqrt(sum t^2);
rounding at its worst makes gamma_n (|t_1| + ... + |t_n|), which is at most gamma_n sqrt(n sum t^2) (Cauchy-Schwarz).
So in norm over each tensor

    |float32 - float64|  <=  |move of float64| + u |float64|   with a = sqrt(n) gamma_n,                     (1)

a theorem for one sum of products. Rounding errors behave as independent ones do, and then gamma_n may be replaced by
lambda sqrt(n) u, except with a probability of 2 n exp(-lambda^2 / 2) (Higham and Mary 2019, theorem 2.4, to first
order): the same bound

    with a = lambda n u   and lambda such that the probability is 1e-9.                                      (2)

Hardware may round both factors of a product before it multiplies them, to a relative error of v (TF32 keeps 11 bits,
so v = 2^-11). That is a change of the numbers themselves, in products of independent errors again:

    with a = lambda (n u + v).                                                                               (3)

The last is used here, with v = 0 as a rule; (1) says nothing of sums beyond a few thousand. The move is measured, as
the mean square over a few draws of signs, and u |float64| stands for rounding the result itself. For a layer of
several steps (batch norm, a network) it is a rule and no theorem: each step is taken to round like a change of its
arguments.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from scratchnet.backend import Array, Device, Params, device_of, get_device, to_host
from scratchnet.errors import ScratchnetError
from scratchnet.gradcheck.point import not_finite

UNIT_ROUNDOFF = 2.0**-24  # of float32
TF32_ROUNDOFF = 2.0**-11  # of the factors of products in TF32
PROBABILITY = 1e-9
MOVES = 4  # random changes, of which the mean square counts
FLOOR = 1e-13  # of the largest tensor: in float64 a result below it is rounding, and tells nothing of float32


@dataclass(frozen=True)
class PrecisionReport:
    """Errors and bounds of y and of every gradient, each relative to the norm of the tensor in float64."""

    errors: dict[str, float]
    bounds: dict[str, float]
    summands: int
    problems: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return (
            bool(self.errors)
            and not self.problems
            and all(self.errors[name] <= bound for name, bound in self.bounds.items())
        )

    def __str__(self) -> str:
        lines = [
            f"{'ok  ' if self.errors[name] <= bound else 'FAIL'}  {name}: float32 is off by {self.errors[name]:.1e}, "
            f"at most {bound:.1e} for sums of {self.summands}"
            for name, bound in self.bounds.items()
        ]
        return "\n".join([*(f"FAIL  {problem}" for problem in self.problems), *lines])


def check_precision(
    layer: Any,
    params: Params,
    inputs: tuple[Array, ...] | list[Array],
    summands: int,
    seed: int = 0,
    device: str | Device | None = None,
    operand_roundoff: float = 0.0,
    **options: Any,
) -> PrecisionReport:
    """Run a layer in float32 on a device, and in float64 on the host, from the same numbers.

    params and inputs: of any precision, rounded to float32 first. summands: the largest number of products in any sum
    of forward or backward; for a convolution the largest of kh kw C (in y), kh kw O (in dx) and Ho Wo N (in dweight).
    device: where float32 runs; None leaves the arrays where they are. operand_roundoff: the relative error to which
    the device rounds the factors of its products, TF32_ROUNDOFF for TF32. Raises ScratchnetError for summands below 1
    or so many that the bound says nothing.
    """
    amplitude = _amplitude(summands, operand_roundoff)
    there = None if device is None else get_device(device)
    arrays = {f"input {i}": x for i, x in enumerate(inputs)} | params
    narrow = {name: to_host(array).astype(np.float32) for name, array in arrays.items()}
    placed = {name: (there or device_of(arrays[name])).upload(array) for name, array in narrow.items()}
    wide = {name: array.astype(np.float64) for name, array in narrow.items()}
    rng = np.random.default_rng(seed)

    y = layer.forward(*_arguments(placed, params, inputs), **options)[0]
    dy = np.asarray(rng.standard_normal(y.shape)).astype(np.float32)
    found = _results(layer, placed, params, inputs, device_of(y).upload(dy), options)
    problems = tuple(
        f"{name} {f'is {array.dtype}, expected float32' if array.dtype != np.float32 else not_finite(array)}"
        for name, array in found.items()
        if array.dtype != np.float32 or not_finite(array)
    )
    if problems:
        return PrecisionReport({}, {}, summands, problems)
    exact = _results(layer, wide, params, inputs, dy.astype(np.float64), options)

    moves = dict.fromkeys(exact, 0.0)
    for _ in range(MOVES):
        moved = {name: _moved(array, amplitude, rng) for name, array in wide.items()}
        results = _results(layer, moved, params, inputs, _moved(dy.astype(np.float64), amplitude, rng), options)
        for name, array in results.items():
            moves[name] += float(np.sum((array - exact[name]) ** 2)) / MOVES
    sizes = {name: float(np.linalg.norm(array)) for name, array in exact.items()}
    floor = FLOOR * max(sizes.values(), default=0.0)
    telling = {name: size for name, size in sizes.items() if size > floor}
    errors = {name: float(np.linalg.norm(found[name] - exact[name])) / size for name, size in telling.items()}
    bounds = {name: math.sqrt(moves[name]) / size + UNIT_ROUNDOFF for name, size in telling.items()}  # (3)
    return PrecisionReport(errors, bounds, summands)


def _amplitude(summands: int, operand_roundoff: float) -> float:
    """How far the numbers are moved: a in (3)."""
    if summands < 1:
        raise ScratchnetError(f"summands is {summands}, expected the number of products in a sum, 1 or more")
    likely = math.sqrt(2 * math.log(2 * summands / PROBABILITY))
    amplitude = likely * (summands * UNIT_ROUNDOFF + operand_roundoff)
    if amplitude > 0.1:
        raise ScratchnetError(f"sums of {summands} products say nothing in float32: check a smaller layer")
    return amplitude


def _arguments(arrays: Params, params: Params, inputs: Any) -> tuple[Any, ...]:
    return {name: arrays[name] for name in params}, *(arrays[f"input {i}"] for i in range(len(inputs)))


def _results(
    layer: Any, arrays: Params, params: Params, inputs: Any, dy: Array, options: dict[str, Any]
) -> dict[str, np.ndarray]:
    """y and every gradient, on the host."""
    y, cache = layer.forward(*_arguments(arrays, params, inputs), **options)
    dinputs, grads = layer.backward(dy, cache)
    dinputs = dinputs if isinstance(dinputs, tuple) else (dinputs,)
    names = ["dx"] if len(dinputs) == 1 else [f"dx{i + 1}" for i in range(len(dinputs))]
    named = {"y": y} | dict(zip(names, dinputs, strict=True)) | {f"d{name}": value for name, value in grads.items()}
    return {name: to_host(array) for name, array in named.items()}


def _moved(array: np.ndarray, amplitude: float, rng: np.random.Generator) -> np.ndarray:
    """Every number larger or smaller by a factor 1 +- amplitude."""
    return array * (1 + amplitude * rng.choice([-1.0, 1.0], array.shape))
