"""What a check found, as values and as a text of at most 25 lines.

How sure is a pass? Along a direction r ~ N(0, I), an error e of a gradient shows as e . r, which is N(0, |e|^2),
whatever the dimension. It stays below a tolerance of tau |dt| with the probability

    P(|N(0, 1)| <= tau |dt| / |e|)  <=  sqrt(2 / pi) tau |dt| / |e|,

the density of |N(0, 1)| being sqrt(2 / pi) at most; in k independent directions, with that to the power k.
Directions of signs would not do: an error (1, -1) is invisible to every other one of them.
"""

import math
from dataclasses import dataclass

TOLERANCE = {"complex": 1e-10, "central4": 1e-7, "central": 1e-6}
MEANT = {"complex": "complex step", "central4": "central differences, order 4", "central": "central differences"}
LINES, DETAILED, OK_LINES = 25, 3, 12


def miss_probability(relative_error: float, tolerance: float, directions: int) -> float:
    """A bound on the probability that a gradient with an error |e| = relative_error |dt| passes.

    (sqrt(2 / pi) tolerance / relative_error)^directions, and never more than 1; derived at the head of this module.
    """
    return min(1.0, (math.sqrt(2 / math.pi) * tolerance / relative_error) ** directions)


@dataclass(frozen=True)
class Mismatch:
    """Why and where a gradient is not what differences say.

    kind: "bug", or what is no mistake: "kink" (a tie, the gradient lies between the one-sided derivatives) or
    "round-off" (the point has no more digits). off: how many of the `checked` entries are wrong.
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
        """The details, at most three lines."""
        ratio = f", ratio {self.analytic / self.numeric:.6g}" if self.numeric else ""
        worst = f"worst at {self.index}: analytic {self.analytic:.6g}, numeric {self.numeric:.6g}{ratio}"
        found = [worst, f"{self.off} of {self.checked} entries looked at are off: {self.where}"]
        return found + ([f"hint: {self.hint}"] if self.hint else [])


@dataclass(frozen=True)
class TensorCheck:
    """One input or parameter: its worst relative error, |numeric - analytic| / |dt| over the directions.

    vanishing: the gradient is zero to rounding both ways, as that of a bias before batch norm. It agrees, and proves
    nothing. zeros: the share of entries whose gradient is exactly zero at this point.
    """

    name: str
    shape: tuple[int, ...]
    error: float
    method: str
    vanishing: bool = False
    zeros: float = 0.0
    reason: str = ""  # why not the complex step
    mismatch: Mismatch | None = None

    @property
    def agrees(self) -> bool:
        """Within the tolerance of its method."""
        return self.error <= TOLERANCE[self.method]  # False for NaN

    @property
    def passed(self) -> bool:
        """It agrees, or differs for another reason than a mistake."""
        return self.agrees or (self.mismatch is not None and self.mismatch.kind != "bug")

    def __str__(self) -> str:
        verdict = "ok  " if self.passed else "FAIL"
        finding = "zero gradient, proves nothing" if self.vanishing else f"relative error {self.error:.1e}"
        kind = f", {self.mismatch.kind}" if self.mismatch else ""
        zeros = f", {self.zeros:.0%} zeros" if self.zeros >= 0.005 and not self.vanishing else ""
        how = f"({MEANT[self.method]}, at most {TOLERANCE[self.method]:.0e})"
        return f"{verdict}  {self.name} {self.shape}: {finding}{kind}{zeros} {how}"


@dataclass(frozen=True)
class Report:
    """What `check` found. Truthy when it looked at something and all of it is right; its text says what is not.

    problems: a line for each thing that is wrong without any difference taken: the form of the gradients, or the
    contract of a pure backward. properties: what of that contract was found to hold.
    """

    tensors: tuple[TensorCheck, ...]
    seed: int
    problems: tuple[str, ...] = ()
    properties: tuple[str, ...] = ()
    directions: int = 2

    @property
    def error(self) -> float:
        """The largest relative error of all tensors; NaN where one is."""
        errors = [tensor.error for tensor in self.tensors]
        return math.nan if any(map(math.isnan, errors)) else max(errors, default=0.0)

    @property
    def failed(self) -> tuple[TensorCheck, ...]:
        """The tensors whose gradient is wrong."""
        return tuple(tensor for tensor in self.tensors if not tensor.passed)

    @property
    def vacuous(self) -> tuple[str, ...]:
        """The tensors of which nothing was proved: their gradient vanished at every point that was tried."""
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
        """Failures with their details, those nearest the output first: what lies before them inherits their error."""
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
            lines.append(f"ok    {_some([tensor.name for tensor in plain])}: relative error {worst:.1e} at most")
        return lines

    def _closing_lines(self) -> list[str]:
        lines = []
        if self.vacuous:
            lines.append(f"vacuous, zero at every point tried: {_some(list(self.vacuous))}")
        if reasons := {tensor.reason for tensor in self.tensors if tensor.reason}:
            lines.append(f"no complex step: {'; '.join(sorted(reasons)[:2])}")
        if self.properties:
            lines.append(f"without differences: {', '.join(self.properties)}")
        if self.tensors:
            tolerance = max(TOLERANCE[tensor.method] for tensor in self.tensors)
            error = 1e4 * tolerance
            missed = miss_probability(error, tolerance, self.directions)
            lines.append(f"an error of relative size {error:.0e} or more passes with probability {missed:.0e} at most")
        return [*lines, f"seed {self.seed}, {self.directions} random directions a tensor"]


def _some(names: list[str]) -> str:
    """The first names of a list, and how many more there are."""
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return ", ".join(names[:6]) + more
