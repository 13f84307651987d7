"""Is backward the derivative of forward? Tested along random directions, by complex step or central differences.

Given a cotangent c and a direction r, both Gaussian, the check compares, for each tensor t,

    numeric  = sum of c * d/dh forward(t + h r) at h = 0        from forward alone, by either method
    analytic = sum of r * dt                                    where dt comes from backward(c)

The cotangent is random, never ones: ones would hide every error that sums to zero. `numeric.py` takes the derivatives,
`report.py` says how much a pass proves, `resolve.py` settles what differences leave open, and `diagnose.py`
investigates failures.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from scratchnet.backend import Array, Params, to_host
from scratchnet.common.spelling import hint
from scratchnet.errors import ScratchnetError
from scratchnet.gradcheck.contract import contract as check_contract
from scratchnet.gradcheck.numeric import NoComplexError, complex_step, is_uneven, same_bits, spot_difference
from scratchnet.gradcheck.point import (
    MalformedError,
    NestedError,
    Point,
    dot,
    gaussian_like,
    misfits,
    norm,
    not_finite,
)  # fmt: skip
from scratchnet.gradcheck.report import ENTRIES, TOLERANCE, Report, TensorCheck

METHODS = ("auto", "complex", "central", "central4")
VANISHING = {"complex": 1e-13, "lifted": 1e-13, "widened": 1e-7, "central4": 1e-9, "central": 1e-9}  # of the largest
PLAUSIBLE = 1e-3  # larger gaps between the complex step and a single difference are settled by a ladder of steps


def check(
    layer: Any,
    params: Params,
    *inputs: Array,
    seed: int = 0,
    method: str = "auto",
    without_gradient: Collection[str] = (),
    directions: int = 2,
    contract: bool | Mapping[str, bool] = True,
    tolerance: float | Mapping[str, float] | None = None,
    scales: Collection[float] = (),
    redraw: Callable[[np.random.Generator], tuple[Params, list[Array]]] | None = None,
    attempts: int = 3,
    entries: int = ENTRIES,
    **options: Any,
) -> Report:
    """Compare layer.backward with derivatives of layer.forward, for every input and parameter.

    layer: any object with forward(params, *inputs) -> (y, cache) and backward(dy, cache) -> (dinputs, grads), where
    dinputs is one array, or a tuple if there are several inputs. params (a dict by name) and inputs: float64 arrays of
    any shape, on any device, or numbers, dictionaries and lists of them; whole numbers, truth values and other objects
    are constants. Further keyword arguments go to forward.

    method: "complex", "central" (order 2), "central4" (order 4) or "auto", which takes the complex step where a
    difference confirms it, and central4 elsewhere; the report says which was used.
    without_gradient: parameters for which backward returns no gradient, such as running statistics.
    directions: random directions per tensor. contract: whether to test the contract of a pure backward, or which of
    its RULES, see `contract.py`. tolerance: the relative error that agrees, for all tensors or by name.
    scales: also check at inputs drawn at these scales until each branch of forward went both ways, see `coverage.py`.
    redraw: a function rng -> (params, inputs); tensors whose gradient vanishes are tried again at new points, up to
    `attempts` points in total. entries: larger tensors that fail are sampled rather than searched entry by entry.

    The report describes what is wrong with the layer. Raises ScratchnetError for invalid arguments: an unknown method,
    a tensor that is not float64, a parameter with the name of an input, a forward that raises, or method "complex" for
    one that cannot compute with complex numbers.
    """
    if method not in METHODS:
        raise ScratchnetError(f"method {method!r} is not one of {', '.join(METHODS)}{hint(method, METHODS)}")
    if min(directions, attempts, entries) < 1:
        raise ScratchnetError("directions, attempts and entries must be at least 1")
    rng = np.random.default_rng([seed, 1])  # inputs are often drawn from the stream of `seed` itself
    checker = Checker(method, frozenset(without_gradient), directions, entries, tolerance or {})
    try:
        point = Point(layer, params, inputs, options)
        report = checker.at(point, rng, contract)
    except NestedError:
        from scratchnet.gradcheck.structures import flat_point  # noqa: PLC0415, needed by few layers

        point = flat_point(layer, params, inputs, options)
        report = checker.at(point, rng, contract)
    if redraw and report and report.vacuous and attempts > 1:
        from scratchnet.gradcheck.structures import tried_again  # noqa: PLC0415, needed by gradients of zero

        report = tried_again(checker, point, report, redraw, attempts, rng)
    if scales and report:
        from scratchnet.gradcheck.coverage import explore  # noqa: PLC0415, asked for by name

        report = explore(checker, point, report, scales, rng)
    return replace(report, seed=seed, notes=(*getattr(point.layer, "notes", ()), *report.notes))


@dataclass(frozen=True)
class Checker:
    """The settings of a check, applied to one point at a time."""

    method: str
    without_gradient: frozenset[str]
    directions: int
    entries: int
    tolerance: float | Mapping[str, float]

    def at(self, point: Point, rng: np.random.Generator, contract: Any = False, only: Any = None) -> Report:
        """Check one point: the tensors named in `only`, by default all."""
        problems, properties = list[str](), list[str]()
        try:
            before = {name: tensor.copy() for name, tensor in point.tensors.items()}
            y, cache = point.forward()
            trouble = not_finite(y) or ("" if y.dtype == np.float64 else f"is {y.dtype}, expected float64")
            written = [name for name, tensor in point.tensors.items() if not same_bits(tensor, before[name])]
            if written or trouble:
                return self._report([f"forward writes to {name}" for name in written] or [f"y {trouble}"])
            dy = gaussian_like(y, rng)
            gradients = point.backward(dy.copy(), cache)
            if misfit := list(misfits(point, gradients, point.named(self.without_gradient))):
                return self._report(problems=misfit)
            if contract:
                problems, properties = check_contract(point, rng, contract)
        except MalformedError as error:
            return self._report(problems=[str(error)])
        if any(problem.startswith("forward is not deterministic") for problem in problems):
            return self._report(problems, properties)  # its differences would mean nothing

        gradients = {name: gradients[name] for name in point.tensors if name in gradients}
        if not gradients:
            problems.append("there is no gradient to look at: neither an input nor a parameter is a float64 array")
        largest = max(map(norm, gradients.values()), default=0.0)
        measured = [
            self._measure(At(point, name, gradient, y, dy, largest), rng)
            for name, gradient in gradients.items()
            if only is None or name in only
        ]
        if all(check.agrees for _, check in measured):
            return self._report(problems, properties, [check for _, check in measured])
        from scratchnet.gradcheck.diagnose import diagnosed  # noqa: PLC0415, needed by failures alone

        return self._report(problems, properties, diagnosed(measured, rng, self.entries))

    def _measure(self, at: "At", rng: np.random.Generator) -> "Measured":
        """Check one tensor along random directions: by the complex step where a difference confirms it."""
        directions, reason, numeric = [gaussian_like(at.gradient, rng) for _ in range(self.directions)], "", None
        if self.method in ("auto", "complex"):
            try:
                numeric = [complex_step(at.point, at.name, r, at.dy, at.y) for r in directions]
            except NoComplexError as e:
                if self.method == "complex":
                    raise ScratchnetError(f"forward cannot take complex numbers ({e}): use method='auto'") from e
                reason = str(e)
            else:
                measured = self.compare(at, directions, numeric, "complex")
                if self.method == "complex" or (measured.check.agrees and _plain(at, directions[0], numeric[0])):
                    return measured
        from scratchnet.gradcheck.resolve import settle  # noqa: PLC0415, needed where the complex step settles nothing

        return settle(self, at, directions, numeric, reason, rng)

    def compare(
        self, at: "At", directions: list[Array], numeric: list[float], method: str, reason: str = ""
    ) -> "Measured":
        """The check of a tensor by its derivatives along directions, however they were taken."""
        gaps = [abs(value - dot(at.gradient, r)) for value, r in zip(numeric, directions, strict=True)]
        size, largest_slope = norm(at.gradient), max(map(abs, numeric), default=0.0)
        unit, tolerance = size or largest_slope, self._tolerance(at)
        error = float(np.max(gaps)) / unit if unit else 0.0
        tiny = max(size, largest_slope) <= VANISHING[method] * at.largest
        vanishing = tiny and (not unit or not error <= TOLERANCE[method]) and bool(at.gradient.size and at.y.size)
        zeros = float(np.mean(to_host(at.gradient) == 0)) if at.gradient.size else 0.0
        error, shape = 0.0 if vanishing else error, tuple(at.gradient.shape)
        return Measured(at, TensorCheck(at.name, shape, error, method, vanishing, zeros, reason, tolerance=tolerance))

    def _tolerance(self, at: "At") -> float:
        """The caller's tolerance for a tensor; 0 leaves it to the method."""
        if not isinstance(self.tolerance, Mapping):
            return self.tolerance
        from scratchnet.gradcheck.faults import tolerance_of  # noqa: PLC0415, needed by names alone

        return tolerance_of(at.name, self.tolerance, at.point)

    def _report(self, problems: Any = (), properties: Any = (), tensors: Any = ()) -> Report:
        return Report(tuple(tensors), 0, tuple(problems), tuple(properties), self.directions)


class At(NamedTuple):
    """A tensor at a point, its gradient from backward, and the norm of the largest gradient there."""

    point: Point
    name: str
    gradient: Array
    y: Array
    dy: Array
    largest: float


class Measured(NamedTuple):
    """A tensor, and the check of it."""

    at: At
    check: TensorCheck


def _plain(at: At, direction: Array, numeric: float) -> bool:
    """Does a difference confirm the complex step, at a gradient whose large entries hide no errors in small ones?"""
    if is_uneven(np.abs(to_host(at.gradient))):
        return False
    gap = abs(spot_difference(at.point, at.name, direction, at.dy) - numeric)
    return gap <= PLAUSIBLE * max(norm(at.gradient), abs(numeric), 1e-6 * at.largest)
