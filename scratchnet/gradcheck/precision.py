"""Is a float32 result, on any device, as accurate as float32 allows? The bound has no tuned constants.

A sum of n products computed with unit roundoff u is the exact sum of terms that are each perturbed by a factor
1 + theta with |theta| <= gamma_n = n u / (1 - n u), in any order of summation (Higham, Accuracy and Stability of
Numerical Algorithms, 2002, section 3.1). Perturbing a term by such a factor is the same as perturbing one of the
numbers in it: a layer of sums of n products returns what the exact layer returns for arguments perturbed by at most
gamma_n. How far that moves the results can be measured in float64: multiply every number in the arguments and the
cotangent by 1 + a or 1 - a at random. With random signs, n terms t add up to about a sqrt(sum t^2); worst-case
rounding gives gamma_n (|t_1| + ... + |t_n|), which is at most gamma_n sqrt(n sum t^2) by Cauchy-Schwarz. So, in norm
over each tensor,

    |float32 - float64|  <=  |shift of float64| + u |float64|   with a = sqrt(n) gamma_n,                    (1)

which is a theorem for a single sum of products. Rounding errors behave as if they were independent, and then gamma_n
may be replaced by lambda sqrt(n) u, except with probability 2 n exp(-lambda^2 / 2) (Higham and Mary 2019, theorem 2.4,
to first order). This gives the same bound

    with a = lambda n u   and lambda such that this probability is 1e-9.                                     (2)

Hardware may round both factors of a product before multiplying, with relative error v (TF32 keeps 11 bits, so
v = 2^-11). That perturbs the arguments themselves, again independently in each product:

    with a = lambda (n u + v).                                                                               (3)

The code uses (3), normally with v = 0; (1) is vacuous for sums of more than a few thousand terms. The shift is measured
as the root mean square over a few draws of signs, and u |float64| accounts for rounding the result itself. For a layer
of several steps (batch norm, a network) the bound is a rule, not a theorem: it assumes that each step rounds like a
perturbation of its arguments.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from scratchnet.backend import Array, Device, Params, device_of, get_device, to_host
from scratchnet.errors import ScratchnetError
from scratchnet.gradcheck.point import not_finite

UNIT_ROUNDOFF = 2.0**-24  # of float32
TF32_ROUNDOFF = 2.0**-11  # of the factors of a product in TF32
PROBABILITY = 1e-9
SHIFTS = 4  # random perturbations, averaged in mean square
FLOOR = 1e-13  # relative to the largest tensor: smaller float64 results are rounding, and nothing to compare with


@dataclass(frozen=True)
class PrecisionReport:
    """Errors and bounds for y and every gradient, relative to the norm of the float64 tensor. True if all hold."""

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
            f"{'ok  ' if self.errors[name] <= bound else 'FAIL'}  {name}: float32 error {self.errors[name]:.1e}, "
            f"bound {bound:.1e} for sums of {self.summands} products"
            for name, bound in self.bounds.items()
        ]
        return "\n".join([*(f"FAIL  {problem}" for problem in self.problems), *lines])


def check_precision(
    layer: Any,
    params: Params,
    inputs: tuple[Array, ...] | list[Array],
    *,
    summands: int,
    seed: int = 0,
    device: str | Device | None = None,
    operand_roundoff: float = 0.0,
    **options: Any,
) -> PrecisionReport:
    """Compare a layer in float32 on a device with the same layer in float64 on the host.

    params (a dict by name) and inputs: arrays of any precision, rounded to float32 first. summands: the largest number
    of products in any sum of forward or backward; for a convolution the largest of kh kw C (in y), kh kw O (in dx) and
    Ho Wo N (in dweight). device: where float32 runs, by default where the arrays are. operand_roundoff: the relative
    error with which the device rounds the factors of a product, TF32_ROUNDOFF for TF32. Further keyword arguments go
    to forward. Raises ScratchnetError if summands is below 1, or so large that the bound is vacuous.
    """
    amplitude = _amplitude(summands, operand_roundoff)
    there = None if device is None else get_device(device)
    arrays = {f"input {i}": x for i, x in enumerate(inputs)} | params
    narrow = {name: to_host(array).astype(np.float32) for name, array in arrays.items()}
    uploaded = {name: (there or device_of(arrays[name])).upload(array) for name, array in narrow.items()}
    wide = {name: array.astype(np.float64) for name, array in narrow.items()}
    rng = np.random.default_rng(seed)

    y = layer.forward(*_arguments(uploaded, params, inputs), **options)[0]
    dy = np.asarray(rng.standard_normal(y.shape)).astype(np.float32)
    rounded = _results(layer, uploaded, params, inputs, device_of(y).upload(dy), options)
    problems = tuple(
        f"{name} {f'is {array.dtype}, expected float32' if array.dtype != np.float32 else not_finite(array)}"
        for name, array in rounded.items()
        if array.dtype != np.float32 or not_finite(array)
    )
    if problems:
        return PrecisionReport({}, {}, summands, problems)
    exact = _results(layer, wide, params, inputs, dy.astype(np.float64), options)

    shifts = dict.fromkeys(exact, 0.0)  # mean squares
    for _ in range(SHIFTS):
        perturbed = {name: _perturbed(array, amplitude, rng) for name, array in wide.items()}
        results = _results(layer, perturbed, params, inputs, _perturbed(dy.astype(np.float64), amplitude, rng), options)
        for name, array in results.items():
            shifts[name] += float(np.sum((array - exact[name]) ** 2)) / SHIFTS
    sizes = {name: float(np.linalg.norm(array)) for name, array in exact.items()}
    floor = FLOOR * max(sizes.values(), default=0.0)
    sizes = {name: size for name, size in sizes.items() if size > floor}
    errors = {name: float(np.linalg.norm(rounded[name] - exact[name])) / size for name, size in sizes.items()}
    bounds = {name: math.sqrt(shifts[name]) / size + UNIT_ROUNDOFF for name, size in sizes.items()}  # (1)
    return PrecisionReport(errors, bounds, summands)


def _amplitude(summands: int, operand_roundoff: float) -> float:
    """The relative size of the perturbations: a in (3)."""
    if summands < 1:
        raise ScratchnetError(f"summands is {summands}, expected the number of products in a sum, 1 or more")
    likely = math.sqrt(2 * math.log(2 * summands / PROBABILITY))  # lambda of (2)
    amplitude = likely * (summands * UNIT_ROUNDOFF + operand_roundoff)  # (3)
    if amplitude > 0.1:
        raise ScratchnetError(f"the float32 bound is vacuous for sums of {summands} products: check a smaller layer")
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


def _perturbed(array: np.ndarray, amplitude: float, rng: np.random.Generator) -> np.ndarray:
    """Every number multiplied by 1 + amplitude or 1 - amplitude at random."""
    return array * (1 + amplitude * rng.choice([-1.0, 1.0], array.shape))
