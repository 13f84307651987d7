"""Diagnoses one tensor whose gradient disagrees with differences, entry by entry: where, why, and what kind of error.

A mismatch is one of three kinds:

- kink: forward has a tie at the point, for example ReLU at 0, and every wrong entry lies between its one-sided
  derivatives, as does the gradient along random directions. Such a value is the derivative of one branch or a mixture.
- round-off: perturbing every number in its last place changes the mismatch by as much as the mismatch itself.
- bug: anything else.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scratchnet.backend import Array, array_module, device_of, to_host
from scratchnet.gradcheck.differences import STEPS, central
from scratchnet.gradcheck.hints import SAME, hint, rearrangements, sums_of
from scratchnet.gradcheck.nudges import is_rounding
from scratchnet.gradcheck.numeric import NoComplexError, complex_step, is_uneven, scale_of
from scratchnet.gradcheck.point import Point, dot, gaussian_like, norm
from scratchnet.gradcheck.report import ENTRIES, TOLERANCE, Mismatch, TensorCheck
from scratchnet.gradcheck.resolve import balance, lifted
from scratchnet.gradcheck.sides import one_hot, one_sided
from scratchnet.gradcheck.where import describe
from scratchnet.gradcheck.wording import DETAILED

SAMPLE, BISECTIONS = 200, 3
ONE_BY_ONE = STEPS[3:8]  # a shorter ladder, for many single entries
TIES_TRIED, DIRECTIONS_TRIED = 50, 8
EXCUSES = {
    "kink": "forward has a tie here; the gradient lies between its left and right derivatives",
    "round-off": "within rounding: this point has no digits left to show a mistake",
}


@dataclass(frozen=True)
class Suspect:
    """A tensor at a point, with the gradient that backward returned for it."""

    point: Point
    name: str
    gradient: Array
    y: Array
    dy: Array
    method: str

    @property
    def tensor(self) -> Array:
        """The input or parameter itself, shaped like `gradient`."""
        return self.point.tensors[self.name]

    def numeric(self, direction: Array) -> float:
        """The derivative along a direction."""
        if not self.method.startswith("central"):
            return complex_step(self.point, self.name, direction, self.dy, self.y)
        order = 4 if self.method == "central4" else 2
        return central(self.point, self.name, direction, self.dy, order, ONE_BY_ONE).value

    def entry(self, index: tuple[int, ...]) -> float:
        """The derivative by one entry; a step that leaves the domain of forward is taken in proportion to the entry."""
        value = self.numeric(one_hot(self.tensor, index))
        share = abs(float(to_host(self.tensor[index]))) / scale_of(self.tensor)
        return value if np.isfinite(value) or not share else self.numeric(share * one_hot(self.tensor, index)) / share

    def gap(self, direction: Array) -> float:
        """Numeric minus analytic derivative along a direction."""
        return self.numeric(direction) - dot(self.gradient, direction)


def diagnosed(measured: list[Any], rng: np.random.Generator, entries: int = ENTRIES) -> list[TensorCheck]:
    """The checks of (at, check), with failures diagnosed from the output backwards until there are enough bugs."""
    checks, bugs = [], 0
    for at, check in reversed(measured):
        if not check.agrees and not check.mismatch and bugs < DETAILED:
            point = lifted(at.point) if check.method == "lifted" else at.point
            suspect = Suspect(point, at.name, at.gradient, at.y, at.dy, check.method)
            check = replace(check, mismatch=diagnose(suspect, rng, entries))
            bugs += not check.passed
        checks.append(check)
    return checks[::-1]


def diagnose(suspect: Suspect, rng: np.random.Generator, entries: int = ENTRIES) -> Mismatch:
    """Compare entry by entry: all of them, or in a large tensor a sample plus wrong entries found by bisection."""
    size = suspect.tensor.size
    chosen = np.arange(size) if size <= entries else _sample(suspect, rng, min(SAMPLE, entries))
    indices = (
        np.argwhere(np.ones(suspect.tensor.shape))[chosen]
        if size <= entries
        else np.stack(np.unravel_index(chosen, suspect.tensor.shape), axis=1)
    )
    analytic = np.asarray(to_host(suspect.gradient)).reshape(-1)[chosen]
    numeric = np.array([suspect.entry(tuple(index)) for index in indices.tolist()])
    known = np.isfinite(numeric)  # else forward is not finite beside this entry
    chosen, indices, analytic, numeric = chosen[known], indices[known], analytic[known], numeric[known]
    rms = float(np.sqrt(np.mean(numeric**2))) if known.any() else 0.0
    gaps = np.abs(analytic - numeric)
    off = gaps > 0.1 * TOLERANCE[suspect.method] * np.maximum(np.abs(numeric), rms)
    where = describe(indices, off, off | (np.abs(numeric) > 1e-9 * rms), suspect.tensor.shape)

    at_tie = _ties(suspect, indices, analytic, off, rms)
    if off.any() and at_tie[off].all() and _between_along_directions(suspect, rng, rms):
        kind = "kink"
    elif _is_round_off(suspect, rng):
        kind = "round-off"
    else:
        kind = "bug"
        if (off & ~at_tie).any():
            off &= ~at_tie
            where = describe(indices, off, off | (np.abs(numeric) > 1e-9 * rms), suspect.tensor.shape)
    worst = int(np.argmax(np.where(off, gaps, -1.0)))
    index = tuple(indices[worst].tolist())
    if kind == "bug":
        explanation = (
            _outside_tie(suspect, index)
            or _repeated(suspect, indices[off], indices[~off & (analytic != 0)])
            or _hint(suspect, analytic, numeric, off, rng)
        )
    else:
        explanation = EXCUSES[kind]
    return Mismatch(
        kind, index, float(analytic[worst]), float(numeric[worst]), int(off.sum()), len(chosen), where, explanation
    )


def _sample(suspect: Suspect, rng: np.random.Generator, number: int) -> np.ndarray:
    """Flat indices: random entries, and wrong ones found by bisection."""
    wrong = {_bisect(suspect, rng) for _ in range(min(BISECTIONS, number))}
    drawn = rng.choice(suspect.tensor.size, number, replace=False)
    return np.array(sorted(wrong | set(drawn.tolist())))


def _bisect(suspect: Suspect, rng: np.random.Generator) -> int:
    """The flat index of a wrong entry: halves a random direction, each time keeping the half with the larger gap."""
    direction = rng.standard_normal(suspect.tensor.size)
    upload = device_of(suspect.tensor).upload

    def gap(start: int, stop: int) -> float:
        masked = np.zeros_like(direction)
        masked[start:stop] = direction[start:stop]
        return suspect.gap(upload(masked.reshape(suspect.tensor.shape)))

    start, stop = 0, suspect.tensor.size
    total = gap(start, stop)
    while stop - start > 1:
        middle = (start + stop) // 2
        left = gap(start, middle)
        if abs(left) >= abs(total - left):
            stop, total = middle, left
        else:
            start, total = middle, total - left
    return start


def _ties(suspect: Suspect, indices: np.ndarray, analytic: np.ndarray, off: np.ndarray, rms: float) -> np.ndarray:
    """Which of the wrong entries lie between two one-sided derivatives that differ."""
    at_tie = np.zeros(len(off), bool)
    for row in np.flatnonzero(off)[:TIES_TRIED]:
        direction = one_hot(suspect.tensor, tuple(indices[row].tolist()))
        sides = one_sided(suspect.point, suspect.name, direction, suspect.dy, suspect.y)
        at_tie[row] = sides.kinked and sides.between(float(analytic[row]), rms)
    return at_tie


def _between_along_directions(suspect: Suspect, rng: np.random.Generator, rms: float) -> bool:
    """The same along random directions: two tied entries must not each take the whole gradient."""
    for _ in range(DIRECTIONS_TRIED):
        direction = gaussian_like(suspect.tensor, rng)
        sides = one_sided(suspect.point, suspect.name, direction, suspect.dy, suspect.y)
        if not sides.between(dot(suspect.gradient, direction), rms * suspect.tensor.size**0.5):
            return False
    return True


def _outside_tie(suspect: Suspect, index: tuple[int, ...]) -> str:
    """Says that an entry lies at a tie but outside its one-sided derivatives; empty where forward is smooth."""
    sides = one_sided(suspect.point, suspect.name, one_hot(suspect.tensor, index), suspect.dy, suspect.y)
    typical = norm(suspect.gradient) / max(1, suspect.gradient.size) ** 0.5
    if not sides.kinked or max(abs(sides.left), abs(sides.right)) < SAME * typical:  # two zeros, to rounding
        return ""
    return f"at a tie of forward, but not between the one-sided derivatives {sides.left:.6g} and {sides.right:.6g}"


def _repeated(suspect: Suspect, wrong: np.ndarray, right: np.ndarray) -> str:
    """Says that the wrong rows are those that occur more than once among indices, as in an embedding."""
    if not suspect.tensor.ndim or not len(wrong):
        return ""
    for name, numbers in getattr(suspect.point.layer, "constants", {}).items():
        rows, counts = np.unique(numbers, return_counts=True)
        often = rows[counts > 1]
        if np.isin(wrong[:, 0], often).all() and len(often) < len(rows) and not np.isin(right[:, 0], often).any():
            return f"the rows that {name} has more than once: add them up with np.add.at, since += counts a row once"
    return ""


def _is_round_off(suspect: Suspect, rng: np.random.Generator) -> bool:
    """Does perturbing every number in its last place change the gap along a direction by as much as the gap itself?

    Of differences, `resolve.py` has asked that already.
    """
    if suspect.method.startswith("central"):
        return False
    lengths = abs(gaussian_like(suspect.tensor, rng))
    # The gaps of a wrong factor add up in this direction, those of rounding do not.
    direction = array_module(lengths).where(suspect.gradient >= 0, lengths, -lengths)
    if is_uneven(np.abs(to_host(suspect.gradient))):  # or the rounding of a few entries would excuse all others
        direction = direction * balance(suspect.gradient)
    gap = suspect.gap(direction)

    def gap_at(point: Point, dy: Array) -> float:
        y, cache = point.forward()
        gradient = point.backward(dy, cache)[suspect.name]
        moved = replace(suspect, point=point, y=y, dy=dy, gradient=gradient).gap(direction)
        return moved / (norm(gradient * direction) / size or 1.0)

    size = norm(suspect.gradient * direction) or 1.0
    return is_rounding(suspect.point, suspect.dy, rng, gap, gap_at, is_single=suspect.method == "widened")


def _hint(
    suspect: Suspect, analytic: np.ndarray, numeric: np.ndarray, off: np.ndarray, rng: np.random.Generator
) -> str:
    point, name, tensor = suspect.point, suspect.name, suspect.tensor
    twins = len(point.inputs) == 2 and point.inputs[0].shape == point.inputs[1].shape
    if twins and name in point.input_names and not analytic.any():
        return "zero for one of the two inputs: only one twin is counted"
    if len(analytic) == tensor.size:
        analytic, numeric, off = (values.reshape(tensor.shape) for values in (analytic, numeric, off))
    sums = sums_of({"y": tuple(suspect.y.shape)} | {n: tuple(point.tensors[n].shape) for n in point.input_names})
    return hint(analytic, numeric, off, sums) or _with_other_parameters(suspect, rng)


def _with_other_parameters(suspect: Suspect, rng: np.random.Generator) -> str:
    """Is it the correct gradient for a flipped or transposed weight? The classic mistake in dx."""
    point = suspect.point
    direction = gaussian_like(suspect.tensor, rng)
    claimed = dot(suspect.gradient, direction)
    for name, value in point.params.items():
        if name == suspect.name or value.ndim < 2 or value.size > 100_000:
            continue
        for how, changed in rearrangements(to_host(value)):
            other_value = device_of(value).upload(np.ascontiguousarray(changed))
            other = replace(point, params={**point.params, name: other_value})
            try:
                numeric = replace(suspect, point=other, y=other.forward()[0]).numeric(direction)
            except NoComplexError:
                continue
            if abs(numeric - claimed) < 1e-6 * norm(suspect.gradient):
                return f"correct if {name} were {how.partition(':')[0]}"
    return ""
