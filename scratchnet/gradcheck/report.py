"""The result of a check, as values and as a text of at most 25 lines.

How much does a pass prove? Along a direction r ~ N(0, I), an error e in a gradient shows up as e . r ~ N(0, |e|^2),
whatever the dimension. It stays below a tolerance of tau |dt| with probability

    P(|N(0, 1)| <= tau |dt| / |e|)  <=  sqrt(2 / pi) tau |dt| / |e|,

since the density of |N(0, 1)| is at most sqrt(2 / pi). For k independent directions, raise this to the power k.
Random signs would not do as directions: half of them cannot see an error of (1, -1).
"""

import math
from dataclasses import dataclass

TOLERANCE = {"complex": 1e-10, "central4": 1e-7, "central": 1e-6}
METHOD_NAMES = {"complex": "complex step", "central4": "central differences, order 4", "central": "central differences"}
ENTRIES = 2000  # that a diagnosis compares; larger tensors are sampled
LINES, DETAILED, OK_LINES = 25, 3, 12


def miss_probability(*, relative_error: float, tolerance: float, directions: int) -> float:
    """An upper bound on the probability that a gradient with an error |e| = relative_error |dt| passes the check.

    It is min(1, (sqrt(2 / pi) tolerance / relative_error)^directions), derived in the docstring of this module.
    """
    return min(1.0, (math.sqrt(2 / math.pi) * tolerance / relative_error) ** directions)


@dataclass(frozen=True)
class Mismatch:
    """Where and why a gradient disagrees with differences.

    kind: "bug", or one of two harmless kinds: "kink" (a tie, with the gradient between the one-sided derivatives) or
    "round-off" (the mismatch is within rounding). off: the number of wrong entries among those `checked`.
    """

    kind: str
    index: tuple[int, ...]
    analytic: float
    numeric: float
    off: int
    checked: int
    where: str
    hint: str = ""

    def lines(self) -> list[str]:
        """The details, in at most three lines."""
        ratio = f", ratio {self.analytic / self.numeric:.6g}" if self.numeric else ""
        worst = f"worst at {self.index}: analytic {self.analytic:.6g}, numeric {self.numeric:.6g}{ratio}"
        lines = [worst, f"{self.off} of {self.checked} entries checked are wrong: {self.where}"]
        return lines + ([f"hint: {self.hint}"] if self.hint else [])


@dataclass(frozen=True)
class TensorCheck:
    """The check of one input or parameter; error is the largest |numeric - analytic| / |dt| over the directions.

    vanishing: both gradients are zero to rounding, as for a bias before batch norm; that they agree proves nothing.
    zeros: the fraction of entries whose gradient is exactly zero at this point. reason: why the complex step was not
    used, if it was not.
    """

    name: str
    shape: tuple[int, ...]
    error: float
    method: str
    vanishing: bool = False
    zeros: float = 0.0
    reason: str = ""
    mismatch: Mismatch | None = None

    @property
    def agrees(self) -> bool:
        """Whether the error is within the tolerance of the method."""
        return self.error <= TOLERANCE[self.method]  # False for NaN

    @property
    def passed(self) -> bool:
        """Whether the gradient agrees, or differs only by a kink or round-off."""
        return self.agrees or (self.mismatch is not None and self.mismatch.kind != "bug")

    def __str__(self) -> str:
        verdict = "ok  " if self.passed else "FAIL"
        result = "zero gradient, proves nothing" if self.vanishing else f"relative error {self.error:.1e}"
        kind = f", {self.mismatch.kind}" if self.mismatch else ""
        zeros = f", {self.zeros:.0%} zeros" if self.zeros >= 0.005 and not self.vanishing else ""
        how = f"({METHOD_NAMES[self.method]}, tolerance {TOLERANCE[self.method]:.0e})"
        return f"{verdict}  {self.name} {self.shape}: {result}{kind}{zeros} {how}"


@dataclass(frozen=True)
class Report:
    """The result of `check`. True if something was checked and all of it passed; str() explains what did not.

    problems: a line for each fault found without differences, in the form of the gradients or the contract of a pure
    backward. properties: the parts of that contract that hold.
    """

    tensors: tuple[TensorCheck, ...]
    seed: int
    problems: tuple[str, ...] = ()
    properties: tuple[str, ...] = ()
    directions: int = 2

    @property
    def error(self) -> float:
        """The largest relative error over all tensors; NaN if any of them is."""
        errors = [tensor.error for tensor in self.tensors]
        return math.nan if any(map(math.isnan, errors)) else max(errors, default=0.0)

    @property
    def failed(self) -> tuple[TensorCheck, ...]:
        """The tensors whose gradient is wrong."""
        return tuple(tensor for tensor in self.tensors if not tensor.passed)

    @property
    def vacuous(self) -> tuple[str, ...]:
        """The tensors about which nothing was proved: their gradient vanished at every point tried."""
        return tuple(tensor.name for tensor in self.tensors if tensor.vanishing)

    def __bool__(self) -> bool:
        return bool(self.tensors or self.properties) and not self.problems and not self.failed

    def __str__(self) -> str:
        head = [f"FAIL  {problem}" for problem in self.problems]
        body, tail = self._tensor_lines(), self._closing_lines()
        room = LINES - len(body) - len(tail)
        if len(head) > room:
            head = [*head[: room - 1], f"... and {len(head) - room + 1} more"]
        return "\n".join([*head, *body, *tail])

    def _tensor_lines(self) -> list[str]:
        """Failures with details, nearest the output first, since earlier tensors inherit their errors; then passes."""
        failed = [*reversed(self.failed)]
        detailed = sorted(failed, key=lambda tensor: tensor.mismatch is None)[:DETAILED]
        lines: list[str] = []
        for tensor in detailed:
            details = tensor.mismatch.lines() if tensor.mismatch else []
            lines += [str(tensor), *(f"      {line}" for line in details)]
        if others := [tensor.name for tensor in failed if tensor not in detailed]:
            lines.append(f"FAIL  {_some(others)}")
        passed = [tensor for tensor in self.tensors if tensor.passed]
        if len(lines) + len(passed) <= OK_LINES:
            return lines + [str(tensor) for tensor in passed]
        special = [tensor for tensor in passed if tensor.mismatch]
        plain = [tensor for tensor in passed if not tensor.mismatch]
        lines += [str(tensor) for tensor in special[:2]]
        if plain:
            worst = max(tensor.error for tensor in plain)
            lines.append(f"ok    {_some([tensor.name for tensor in plain])}: relative error at most {worst:.1e}")
        return lines

    def _closing_lines(self) -> list[str]:
        lines = []
        if self.vacuous:
            lines.append(f"vacuous, zero gradient at every point tried: {_some(list(self.vacuous))}")
        if reasons := {tensor.reason for tensor in self.tensors if tensor.reason}:
            lines.append(f"complex step not used: {'; '.join(sorted(reasons)[:2])}")
        if self.properties:
            lines.append(f"also verified: {', '.join(self.properties)}")
        if proved := [tensor for tensor in self.tensors if tensor.name not in self.vacuous]:
            tolerance = max(TOLERANCE[tensor.method] for tensor in proved)
            error = 1e4 * tolerance
            missed = miss_probability(relative_error=error, tolerance=tolerance, directions=self.directions)
            lines.append(f"a relative error of {error:.0e} or more passes with probability at most {missed:.0e}")
        return [*lines, f"seed {self.seed}, {self.directions} random directions per tensor"]


def _some(names: list[str]) -> str:
    """The first six names of a list, and the number of others."""
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return ", ".join(names[:6]) + more
