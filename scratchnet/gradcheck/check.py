"""Is backward the derivative of forward? Tested along random directions, by complex step or central differences.

Given a cotangent c and a direction r, both Gaussian, the check compares, for each tensor t,

    numeric  = sum of c * d/dh forward(t + h r) at h = 0        from forward alone, by either method
    analytic = sum of r * dt                                    where dt comes from backward(c)

The cotangent is random, never ones: ones would hide every error that sums to zero. `numeric.py` takes the derivatives,
`report.py` says how much a pass proves, and `diagnose.py` investigates failures.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from scratchnet.backend import Array, Params, to_host
from scratchnet.common.spelling import hint
from scratchnet.errors import ScratchnetError
from scratchnet.gradcheck.contract import contract as check_contract
from scratchnet.gradcheck.numeric import NoComplexError, central, complex_step, same_bits, spot_difference
from scratchnet.gradcheck.point import MalformedError, Point, dot, gaussian_like, misfits, norm, not_finite
from scratchnet.gradcheck.report import DETAILED, ENTRIES, TOLERANCE, Report, TensorCheck

METHODS = ("auto", "complex", "central", "central4")
VANISHING = {"complex": 1e-13, "central4": 1e-9, "central": 1e-9}  # relative to the largest gradient; less is rounding
KINK_REDRAWS = 3  # new directions to try while too few steps cross no kink
PLAUSIBLE = 1e-3  # larger gaps between the complex step and a single difference are settled by a ladder of steps

Redraw = Callable[[np.random.Generator], tuple[Params, list[Array]]]


def check(
    layer: Any,
    params: Params,
    *inputs: Array,
    seed: int = 0,
    method: str = "auto",
    without_gradient: Collection[str] = (),
    directions: int = 2,
    contract: bool = True,
    redraw: Redraw | None = None,
    attempts: int = 3,
    entries: int = ENTRIES,
    **options: Any,
) -> Report:
    """Compare layer.backward with derivatives of layer.forward, for every input and parameter.

    layer: any object with forward(params, *inputs) -> (y, cache) and backward(dy, cache) -> (dinputs, grads), where
    dinputs is one array, or a tuple if there are several inputs. params (a dict by name) and inputs: float64 arrays of
    any shape, on any device. Further keyword arguments go to forward.

    method: "complex", "central" (order 2), "central4" (order 4) or "auto", which takes the complex step where forward
    accepts complex numbers and agrees with a difference, and central4 elsewhere; the report says which was used.
    without_gradient: parameters for which backward returns no gradient, such as running statistics.
    directions: random directions per tensor. contract: also test the contract of a pure backward, see `contract.py`.
    redraw: a function rng -> (params, inputs); tensors whose gradient vanishes are tried again at new points, up to
    `attempts` points in total. entries: larger tensors that fail are sampled rather than searched entry by entry.

    The report describes what is wrong with the layer. Raises ScratchnetError for invalid arguments: an unknown method,
    a tensor that is not float64, a parameter with the name of an input, or method "complex" for a forward that cannot
    compute with complex numbers.
    """
    if method not in METHODS:
        raise ScratchnetError(f"method {method!r} is not one of {', '.join(METHODS)}{hint(method, METHODS)}")
    if min(directions, attempts, entries) < 1:
        raise ScratchnetError("directions, attempts and entries must be at least 1")
    rng = np.random.default_rng([seed, 1])  # inputs are often drawn from the stream of `seed` itself
    checker = Checker(method, frozenset(without_gradient), directions, entries)
    point = Point(layer, dict(params), inputs, options)
    report = checker.at(point, rng, contract)
    for _ in range(attempts - 1):
        if redraw is None or not report or not report.vacuous:
            break
        params, drawn = redraw(rng)
        point = Point(layer, dict(params), tuple(drawn), options)
        again = checker.at(point, rng, contract=False, only=report.vacuous)
        proved = {tensor.name: tensor for tensor in again.tensors if not tensor.vanishing}
        report = replace(
            report,
            problems=report.problems + again.problems,
            tensors=tuple(proved.get(tensor.name, tensor) for tensor in report.tensors),
        )
    return replace(report, seed=seed)


@dataclass(frozen=True)
class Checker:
    """The settings of a check, applied to one point at a time."""

    method: str
    without_gradient: frozenset[str]
    directions: int
    entries: int

    def at(self, point: Point, rng: np.random.Generator, contract: bool, only: Collection[str] | None = None) -> Report:
        """Check one point: the tensors named in `only`, by default all."""
        problems: list[str] = []
        properties: list[str] = []
        try:
            before = {name: tensor.copy() for name, tensor in point.tensors.items()}
            y, cache = point.forward()
            if written := [name for name, tensor in point.tensors.items() if not same_bits(tensor, before[name])]:
                return self._report(problems=[f"forward writes to {name}" for name in written])
            if trouble := not_finite(y) or ("" if y.dtype == np.float64 else f"is {y.dtype}, expected float64"):
                return self._report(problems=[f"y {trouble}"])
            dy = gaussian_like(y, rng)
            gradients = point.backward(dy.copy(), cache)
            if misfit := list(misfits(point, gradients, self.without_gradient)):
                return self._report(problems=misfit)
            if contract:
                problems, properties = check_contract(point, rng)
        except MalformedError as error:
            return self._report(problems=[str(error)])
        if any(problem.startswith("forward is not deterministic") for problem in problems):
            return self._report(problems, properties)  # its differences would mean nothing

        gradients = {name: gradients[name] for name in point.tensors if name in gradients}
        largest = max(map(norm, gradients.values()), default=0.0)
        measured = [
            self._measure(_At(point, name, gradient, y, dy, largest), rng)
            for name, gradient in gradients.items()
            if only is None or name in only
        ]
        return self._report(problems, properties, self._diagnosed(measured, rng))

    def _measure(self, at: "_At", rng: np.random.Generator) -> "_Measured":
        """Check one tensor along random directions, by the method that applies."""
        directions = [gaussian_like(at.gradient, rng) for _ in range(self.directions)]
        if self.method not in ("auto", "complex"):
            return self._by_differences(at, directions, self.method, rng)
        try:
            numeric = [complex_step(at.point, at.name, r, at.dy, at.y) for r in directions]
        except NoComplexError as error:
            if self.method == "complex":
                raise ScratchnetError(f"forward cannot take complex numbers ({error}): use method='auto'") from error
            return self._by_differences(at, directions, "central4", rng, str(error))
        measured = self._compare(at, directions, numeric, "complex")
        if self.method == "auto" and not _plausible(at, directions[0], numeric[0], measured):
            reason = f"it disagrees with differences in {at.name} (abs or conj in forward, or a kink)"
            return self._by_differences(at, directions, "central4", rng, reason)
        return measured

    def _by_differences(
        self, at: "_At", directions: list[Array], method: str, rng: np.random.Generator, reason: str = ""
    ) -> "_Measured":
        order, taken, numeric = 4 if method == "central4" else 2, [], []
        for direction in directions:
            difference = central(at.point, at.name, direction, at.dy, order)
            for _ in range(KINK_REDRAWS):
                if not difference.crosses_kink:
                    break
                direction = gaussian_like(at.gradient, rng)
                difference = central(at.point, at.name, direction, at.dy, order)
            taken.append(direction)
            numeric.append(difference.value)
        return self._compare(at, taken, numeric, method, reason)

    def _compare(
        self, at: "_At", directions: list[Array], numeric: list[float], method: str, reason: str = ""
    ) -> "_Measured":
        gaps = [abs(value - dot(at.gradient, r)) for value, r in zip(numeric, directions, strict=True)]
        size, largest_slope = norm(at.gradient), max(map(abs, numeric), default=0.0)
        vanishing = max(size, largest_slope) <= VANISHING[method] * at.largest
        error = 0.0 if vanishing else float(np.max(gaps)) / (size or largest_slope)
        zeros = float(np.mean(to_host(at.gradient) == 0)) if at.gradient.size else 0.0
        check = TensorCheck(at.name, tuple(at.gradient.shape), error, method, vanishing, zeros, reason)
        return _Measured(at, check)

    def _diagnosed(self, measured: list["_Measured"], rng: np.random.Generator) -> list[TensorCheck]:
        """The checks, with failures diagnosed from the output backwards until there are enough bugs to report."""
        if all(tensor.agrees for _, tensor in measured):
            return [tensor for _, tensor in measured]
        from scratchnet.gradcheck.diagnose import Suspect, diagnose  # noqa: PLC0415, needed by failures alone

        tensors, bugs = [], 0
        for at, tensor in reversed(measured):
            if not tensor.agrees and bugs < DETAILED:
                suspect = Suspect(at.point, at.name, at.gradient, at.y, at.dy, tensor.method)
                tensor = replace(tensor, mismatch=diagnose(suspect, rng, self.entries))
                bugs += not tensor.passed
            tensors.append(tensor)
        return tensors[::-1]

    def _report(
        self, problems: Collection[str] = (), properties: Collection[str] = (), tensors: Collection[TensorCheck] = ()
    ) -> Report:
        return Report(tuple(tensors), 0, tuple(problems), tuple(properties), self.directions)


class _At(NamedTuple):
    """A tensor at a point, its gradient from backward, and the norm of the largest gradient there."""

    point: Point
    name: str
    gradient: Array
    y: Array
    dy: Array
    largest: float


class _Measured(NamedTuple):
    at: _At
    check: TensorCheck


def _plausible(at: _At, direction: Array, numeric: float, measured: _Measured) -> bool:
    """Does a difference confirm the complex step? A single step usually settles it; the whole ladder if in doubt."""
    scale = max(norm(at.gradient), abs(numeric), 1e-6 * at.largest)
    near = abs(spot_difference(at.point, at.name, direction, at.dy) - numeric) <= PLAUSIBLE * scale
    if near and measured.check.agrees:
        return True
    difference = central(at.point, at.name, direction, at.dy)
    return abs(difference.value - numeric) <= max(4 * difference.error, TOLERANCE["central"] * scale)
