"""Reports in words: text of at most 25 lines, and the same in colour for a notebook.

How much does a pass prove? Along a direction r ~ N(0, I), an error e in a gradient shows up as e . r ~ N(0, |e|^2),
whatever the dimension. It stays below a tolerance of tau |dt| with probability

    P(|N(0, 1)| <= tau |dt| / |e|)  <=  sqrt(2 / pi) tau |dt| / |e|,

since the density of |N(0, 1)| is at most sqrt(2 / pi). For k independent directions, raise this to the power k.
Random signs would not do as directions: half of them cannot see an error of (1, -1).
"""

import math
from html import escape
from typing import Any

METHOD_NAMES = {
    "complex": "complex step",
    "lifted": "complex step on real parts",
    "widened": "complex step, float32 taken for float64",
    "central4": "central differences, order 4",
    "central": "central differences",
}
LINES, OK_LINES = 25, 12
DETAILED = 3  # bugs to diagnose and describe; the rest are named
COLOURS = {"FAIL": "#b00020", "OPEN": "#9a6700", "ok": "#1a7f37"}


def miss_probability(*, relative_error: float, tolerance: float, directions: int) -> float:
    """An upper bound on the probability that a gradient with an error |e| = relative_error |dt| passes the check.

    It is min(1, (sqrt(2 / pi) tolerance / relative_error)^directions), derived in the docstring of this module.
    """
    return min(1.0, (math.sqrt(2 / math.pi) * tolerance / relative_error) ** directions)


def tensor_line(tensor: Any) -> str:
    """The verdict on one tensor."""
    verdict = "ok  " if tensor.passed else "OPEN" if tensor.undecided else "FAIL"
    result = "zero gradient, proves nothing" if tensor.vanishing else f"relative error {tensor.error:.1e}"
    if not all(tensor.shape):
        result = "no entries, nothing that could be wrong"
    kind = f", {tensor.mismatch.kind}" if tensor.mismatch else ""
    zeros = f", {tensor.zeros:.0%} zeros" if tensor.zeros >= 0.005 and not tensor.vanishing else ""
    how = f"({METHOD_NAMES[tensor.method]}, tolerance {tensor.allowed:.0e})"
    return f"{verdict}  {tensor.name} {tensor.shape}: {result}{kind}{zeros} {how}"


def mismatch_lines(mismatch: Any) -> list[str]:
    """The details of a mismatch, in at most three lines."""
    if mismatch.kind == "undecided":
        return [mismatch.hint]
    ratio = f", ratio {mismatch.analytic / mismatch.numeric:.6g}" if mismatch.numeric else ""
    worst = f"worst at {mismatch.index}: analytic {mismatch.analytic:.6g}, numeric {mismatch.numeric:.6g}{ratio}"
    lines = [worst, f"{mismatch.off} of {mismatch.checked} entries checked are wrong: {mismatch.where}"]
    return lines + ([f"hint: {mismatch.hint}"] if mismatch.hint else [])


def text(report: Any) -> str:
    """The whole report."""
    head = [f"FAIL  {problem}" for problem in report.problems]
    body, tail = _tensor_lines(report), _closing_lines(report)
    room = LINES - len(body) - len(tail)
    if len(head) > room:
        head = [*head[: room - 1], f"... and {len(head) - room + 1} more"]
    return "\n".join([*head, *body, *tail])


def html(report: Any) -> str:
    """The whole report for a notebook, with verdicts in colour."""
    lines = []
    for line in text(report).splitlines():
        verdict, _, rest = line.partition(" ")
        colour = COLOURS.get(verdict)
        lines.append(f'<b style="color:{colour}">{verdict}</b> {escape(rest)}' if colour else escape(line))
    return "<pre>" + "\n".join(lines) + "</pre>"


def _tensor_lines(report: Any) -> list[str]:
    """Failures with details, nearest the output first, since earlier tensors inherit their errors; then passes."""
    failed = [tensor for tensor in reversed(report.tensors) if not tensor.passed]
    detailed = sorted(failed, key=lambda tensor: tensor.mismatch is None)[:DETAILED]
    lines: list[str] = []
    for tensor in detailed:
        details = mismatch_lines(tensor.mismatch) if tensor.mismatch else []
        lines += [str(tensor), *(f"      {line}" for line in details)]
    if others := [tensor.name for tensor in failed if tensor not in detailed]:
        lines.append(f"FAIL  {_some(others)}")
    passed = [tensor for tensor in report.tensors if tensor.passed]
    if len(lines) + len(passed) <= OK_LINES:
        return lines + [str(tensor) for tensor in passed]
    special = [tensor for tensor in passed if tensor.mismatch]
    plain = [tensor for tensor in passed if not tensor.mismatch]
    lines += [str(tensor) for tensor in special[:2]]
    if plain:
        worst = max(tensor.error for tensor in plain)
        lines.append(f"ok    {_some([tensor.name for tensor in plain])}: relative error at most {worst:.1e}")
    return lines


def _closing_lines(report: Any) -> list[str]:
    lines = list(report.notes)
    if report.vacuous:
        lines.append(f"vacuous, zero gradient at every point tried: {_some(list(report.vacuous))}")
    if reasons := {tensor.reason for tensor in report.tensors if tensor.reason}:
        lines.append(f"complex step not used: {'; '.join(sorted(reasons)[:2])}")
    if report.properties:
        lines.append(f"also verified: {', '.join(report.properties)}")
    if proved := [tensor for tensor in report.tensors if tensor.name not in report.vacuous and all(tensor.shape)]:
        tolerance = max(tensor.allowed for tensor in proved)
        error = 1e4 * tolerance
        missed = miss_probability(relative_error=error, tolerance=tolerance, directions=report.directions)
        lines.append(f"a relative error of {error:.0e} or more passes with probability at most {missed:.0e}")
    return [*lines, f"seed {report.seed}, {report.directions} random directions per tensor"]


def _some(names: list[str]) -> str:
    """The first six names of a list, and the number of others."""
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return ", ".join(names[:6]) + more
