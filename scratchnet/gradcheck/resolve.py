"""Settles what the complex step does not: code that is not analytic, and gaps between backward and differences.

A difference may be wrong where the gradient is right. Its step crosses kinks, more of them the more entries the tensor
has, or forward has few digits to subtract, as one that computes in float32. Both errors change with the step, while a
wrong gradient leaves the same gap at every step. So each direction gets a ladder down to steps at which even a million
kinks are crossed by chance alone, and an error bar, the change between neighbouring steps. Directions agree, disagree
by many error bars, or stay open, and what most of them say is the verdict.
"""

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from scratchnet.backend import Array, device_of, to_host
from scratchnet.errors import ScratchnetError
from scratchnet.gradcheck.differences import STEPS, central
from scratchnet.gradcheck.held import gaps_with_branches_held
from scratchnet.gradcheck.lifted_functions import LiftedForward
from scratchnet.gradcheck.nudges import is_rounding
from scratchnet.gradcheck.numeric import NoComplexError, complex_step, is_uneven, scale_of, spot_difference
from scratchnet.gradcheck.point import Point, dot, gaussian_like, norm
from scratchnet.gradcheck.report import TOLERANCE, Mismatch, TensorCheck
from scratchnet.gradcheck.sides import one_sided

LADDER = tuple(2e-2 * 4.0**-k for k in range(17))  # 2e-2 to 5e-12 times the scale of the tensor
LARGE_STEPS = tuple(0.64 * 2.0**-k for k in range(9))  # for a forward with few digits
BARS = 4  # error bars within which a gap agrees
COARSE = 0.1  # of the gradient, is how well a difference must confirm a derivative where it has few digits
CLEAR = 10  # error bars beyond which it is none of the difference
DIRECTIONS, MOST, EARLY = 6, 4, 3
COARSEST = 1e-3  # a tolerance above it would prove too little
FINE = 1e-6  # above it, the direction of the gradient itself is tried too: along it a wrong factor stands out
BALANCED, FLOOR = 1e-8, 1e-9
MASKED_STEPS, BENT, KEPT = (1.6e-2, 8e-3, 4e-3, 2e-3, 1e-3, 2.5e-4, 6e-5), 0.02, 0.9
TINIEST, NO_DIGITS_LEFT = 1e-295, "y, or what backward says of its changes, is too small a number to have digits left"
KINK_REDRAWS = 3  # new directions to try while too few steps cross no kink
PLAUSIBLE, SMALL_STEPS = 1e-3, (2e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-11, 1e-12)  # for the many kinks of a large tensor


def settle(
    checker: Any, at: Any, directions: list[Array], numeric: list[float] | None, reason: str, rng: np.random.Generator
) -> Any:
    """The measurement of a tensor that the complex step has not settled: by a lifted step, or by differences.

    numeric: the derivatives along the directions from the complex step; None if there are none, for the reason given.
    """
    if checker.method != "auto":
        return by_differences(checker, at, directions, checker.method, rng)
    reasons = [reason] if reason else []
    if is_beneath_digits(at):
        return by_differences(checker, at, directions, "central4", rng, NO_DIGITS_LEFT)
    for method, point in (("complex", at.point), ("lifted", lifted(at.point))):
        if method == "lifted":
            try:
                numeric = [complex_step(point, at.name, r, at.dy, at.y) for r in directions]
            except NoComplexError as error:
                reasons.append(str(error))
                continue
        if numeric is None:
            continue
        measured = checker.compare(at, directions, numeric, method)
        if _confirmed(at, directions[0], numeric[0]):
            return _balanced(measured, point, rng)
        reasons.append(f"it disagrees with differences in {at.name} (abs or conj in forward, or a kink)")
    if numeric is None and (exact := _widened(checker, at, directions)):
        return exact
    found = by_differences(checker, at, directions, "central4", rng, reasons[0])
    if numeric is not None and found.check.agrees and found.check.allowed > FINE:  # it agrees as any would
        hint = "the complex step contradicts backward, and differences are too coarse to judge between them"
        return found._replace(check=_undecided(replace(found.check, error=found.check.allowed, tolerance=0.0), hint))
    return found


def lifted(point: Point, *, is_widened: bool = False) -> Point:
    """The point with a forward that takes code for real numbers through the complex step."""
    return replace(point, layer=LiftedForward(point.layer, tuple(point.input_names), is_widened))


def _widened(checker: Any, at: Any, directions: list[Array]) -> Any:
    """The measurement of a forward that casts to float32, as if it did not; None if it does not do just that.

    A difference must confirm it, as far as one can in float32.
    """
    point = lifted(at.point, is_widened=True)
    try:
        wide = at._replace(point=point, y=point.forward()[0])
        if not norm(wide.y - at.y) <= TOLERANCE["widened"] * norm(at.y):
            return None
        directions = [*directions, at.gradient / (norm(at.gradient) or 1.0)]  # along itself a wrong factor stands out
        numeric = [complex_step(point, at.name, r, at.dy, wide.y) for r in directions]
    except (NoComplexError, ScratchnetError):
        return None
    scale = max(norm(at.gradient), *map(abs, numeric))
    for steps, (direction, value) in product((STEPS, LARGE_STEPS), zip(directions, numeric, strict=True)):
        difference = central(at.point, at.name, direction, at.dy, steps=steps)
        if max(difference.error, abs(difference.value - value)) <= COARSE * scale:
            return checker.compare(wide, directions, numeric, "widened")
    return None


def _confirmed(at: Any, direction: Array, numeric: float) -> bool:
    """Does a difference confirm a complex step? The best of several steps must not favour backward over it.

    Where both are within its reach it cannot tell them apart, and nothing coarser overrules the exact.
    """
    analytic, scale = dot(at.gradient, direction), max(norm(at.gradient), abs(numeric), 1e-6 * at.largest)
    if abs(spot_difference(at.point, at.name, direction, at.dy) - numeric) <= PLAUSIBLE * scale and (
        abs(numeric - analytic) <= TOLERANCE["central4"] * scale  # which no difference could tell apart
    ):
        return True
    taken = np.array([spot_difference(at.point, at.name, direction, at.dy, step) for step in SMALL_STEPS])
    gap, of_backward = (np.abs(taken[np.isfinite(taken)] - value).min(initial=np.inf) for value in (numeric, analytic))
    if gap <= PLAUSIBLE * scale and (
        gap <= 3 * of_backward or abs(numeric - analytic) <= TOLERANCE["central4"] * scale
    ):
        return True
    best = central(at.point, at.name, direction, at.dy)
    return abs(best.value - numeric) <= max(4 * best.error, TOLERANCE["central"] * scale)


def _balanced(measured: Any, point: Point, rng: np.random.Generator) -> Any:
    """Where a few large entries would hide errors in the others: one more direction, which weighs them alike."""
    at, sizes = measured.at, np.abs(to_host(measured.at.gradient))
    if not measured.check.agrees or not is_uneven(sizes):
        return measured
    weights = balance(at.gradient)
    direction = gaussian_like(at.gradient, rng) * weights
    gap = complex_step(point, at.name, direction, at.dy, at.y) - dot(at.gradient, direction)
    error, size = abs(gap) / (norm(at.gradient * weights) or 1.0), norm(at.gradient * direction) or 1.0

    def gap_at(near: Point, dy: Array) -> float:
        y, cache = near.forward()
        gradient = near.backward(dy, cache)[at.name]
        moved = complex_step(near, at.name, direction, dy, y) - dot(gradient, direction)
        return moved / (norm(gradient * direction) / size or 1.0)

    if error <= BALANCED or is_rounding(point, at.dy, rng, gap, gap_at):
        return measured
    return measured._replace(check=replace(measured.check, error=error, tolerance=BALANCED))


def balance(gradient: Array) -> Array:
    """Weights that give each entry about the same share of a sum."""
    sizes = np.abs(to_host(gradient))
    sizes = np.maximum(np.where(sizes > 0, sizes, np.median(sizes[sizes > 0])), FLOOR * sizes.max())
    return device_of(gradient).upload(sizes.min() / sizes)


def by_differences(
    checker: Any, at: Any, directions: list[Array], method: str, rng: np.random.Generator, reason: str = ""
) -> Any:
    """The measurement of a tensor by central differences, with gaps resolved."""
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
    measured = checker.compare(at, taken, numeric, method, reason)
    if measured.check.agrees:
        return measured
    if is_beneath_digits(at):
        return measured._replace(check=_undecided(measured.check, NO_DIGITS_LEFT))
    return measured._replace(check=resolve(at, measured.check, rng))


def is_beneath_digits(at: Any) -> bool:
    """Whether moving the tensor by its own size would change sum(dy * y) by less than float64 has digits for."""
    return 0 < norm(at.gradient) < TINIEST * norm(at.dy) / scale_of(at.point.tensors[at.name])


def resolve(at: Any, check: TensorCheck, rng: np.random.Generator) -> TensorCheck:
    """The check with a wider tolerance if the differences are at fault, unchanged for a bug, or marked as undecided."""
    size, order = norm(at.gradient), 4 if check.method == "central4" else 2
    gaps: list[tuple[float, float]] = []  # of each direction: the gap and its error bar
    directions = [gaussian_like(at.gradient, rng) for _ in range(DIRECTIONS)]
    if passed := _with_branches_held(at, check, directions[:EARLY], order):
        return passed
    for number, direction in enumerate(directions):
        gap = _gap(at, direction, order)
        gaps.append(gap if np.isfinite(gap[0]) else _gap_in_proportion(at, direction, order))
        if not np.isfinite(check.error):
            check = replace(check, error=gaps[-1][0] / (size or 1.0))
        if number + 1 == EARLY and all(_is_clear(*gap, check.allowed * size) for gap in gaps):
            return check
    fine = [(gap, bar) for gap, bar in gaps if BARS * bar <= COARSEST * size]
    agreeing = [(gap, bar) for gap, bar in fine if gap <= max(check.allowed * size, BARS * bar)]
    clear = [r for r, (gap, bar) in zip(directions, gaps, strict=True) if _is_clear(gap, bar, check.allowed * size)]
    if len(clear) >= MOST or (clear and all(_at_a_tie(at, direction) for direction in clear)):
        return check  # a bug; or a tie, as the diagnosis will find
    if len(agreeing) >= MOST and len(clear) <= 1 and size:
        tolerance = max(check.allowed, *(BARS * bar / size for _, bar in agreeing))
        if tolerance > FINE and _wrong_along_itself(at, order):
            return check
        return replace(check, error=max(gap for gap, _ in agreeing) / size, tolerance=tolerance)
    return _undecided(check, _told(gaps, size or 1.0))


def _with_branches_held(at: Any, check: TensorCheck, directions: list[Array], order: int) -> TensorCheck | None:
    """The check passed with all decisions of forward held as at the point, where no step crosses a kink; else None.

    At a tie they hold one branch of several, so a failure here is not yet one.
    """
    if not (size := norm(at.gradient)):
        return None
    itself = at.gradient * (at.gradient.size**0.5 / size)  # along which a wrong factor stands out
    gaps = gaps_with_branches_held(at, [*directions, itself], order, (STEPS, LARGE_STEPS))
    if gaps is None:
        return None
    errors, bar = gaps[:, 0] / size, BARS * gaps[:, 1].max() / size
    slopes = np.array([1.0] * len(directions) + [at.gradient.size**0.5])
    if (errors > np.maximum(check.allowed * slopes, bar)).any() or bar > COARSEST:
        return None
    return replace(check, error=float((errors / slopes).max()), tolerance=max(check.allowed, float(bar)))


def _told(gaps: list[tuple[float, float]], size: float) -> str:
    """Why these gaps decide nothing, and what to do."""
    gap, bar = np.median(gaps, axis=0) / size
    if not np.isfinite(gap):
        return "forward is not finite, or raises, beside this point: check one further from the edge of its domain"
    told = f"differences are good to {bar:.0e} here, and miss the gradient by {gap:.0e}"
    return f"{told}: check fewer entries, or points without kinks and with more digits"


def _undecided(check: TensorCheck, hint: str) -> TensorCheck:
    return replace(check, mismatch=Mismatch("undecided", (), 0.0, 0.0, 0, 0, "", hint))


def _gap(at: Any, direction: Array, order: int) -> tuple[float, float]:
    """The gap along a direction, and its error bar."""
    difference = central(at.point, at.name, direction, at.dy, order, LADDER)
    found = [(abs(difference.value - dot(at.gradient, direction)), difference.error)]
    if difference.error > FINE * norm(at.gradient):
        difference = central(at.point, at.name, direction, at.dy, order, LARGE_STEPS)
        found.append((abs(difference.value - dot(at.gradient, direction)), difference.error))
        found += [_gap_where_straight(at, direction)] if at.y.size > 1 else []
    return min(found, key=lambda pair: pair[1])


def _gap_in_proportion(at: Any, direction: Array, order: int) -> tuple[float, float]:
    """The same with each entry moved in proportion to itself, which stays in a domain that ends at zero."""
    tensor = at.point.tensors[at.name]
    weights = abs(tensor) / scale_of(tensor)
    share = norm(at.gradient) / (norm(at.gradient * weights) or 1.0)
    gap, bar = _gap(at, direction * weights, order)
    return share * gap, share * bar


def _gap_where_straight(at: Any, direction: Array) -> tuple[float, float]:
    """The same for the entries of y that change in proportion to the step: those that cross a kink are left out.

    Their cotangent is set to zero, in the difference and for backward. Infinite if too few are left.
    """
    gaps, scale, cache = [], scale_of(at.point.tensors[at.name]), at.point.forward()[1]
    for step in MASKED_STEPS:
        h = step * scale
        above, below = (at.point.at_step(at.name, side * direction)[0] for side in (h, -h))
        straight = abs(above - 2 * at.y + below) <= BENT * abs(above - below)
        dy = at.dy * straight
        if norm(dy) ** 2 < KEPT * norm(at.dy) ** 2:
            gaps.append(np.inf)
            continue
        gaps.append(dot(dy, (above - below) / (2 * h)) - dot(at.point.backward(dy, cache)[at.name], direction))
    windows = [gaps[k : k + 3] for k in range(len(gaps) - 2) if np.isfinite(gaps[k : k + 3]).all()]
    found = [(abs(float(np.median(window))), max(window) - min(window)) for window in windows]
    return min(found, key=lambda pair: pair[1], default=(np.inf, np.inf))


def _is_clear(gap: float, bar: float, allowed: float) -> bool:
    return gap > max(allowed, CLEAR * bar)


def _wrong_along_itself(at: Any, order: int) -> bool:
    """Along the gradient the derivative is largest, and the digits that differences lose count least."""
    direction = at.gradient / norm(at.gradient) * at.gradient.size**0.5
    gaps = [_gap(at, length * direction, order) for length in (1.0, 0.77)]  # forward may have few values: not by chance
    return all(_is_clear(*gap, FINE * norm(at.gradient)) for gap in gaps)


def _at_a_tie(at: Any, direction: Array) -> bool:
    """Whether the gradient lies between left and right derivatives that differ."""
    sides = one_sided(at.point, at.name, direction, at.dy, at.y)
    return sides.kinked and sides.between(dot(at.gradient, direction), norm(at.gradient))
