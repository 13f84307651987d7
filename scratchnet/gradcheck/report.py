"""The result of a check, as values; `wording.py` puts it into words, and says how much a pass proves."""

import math
from dataclasses import dataclass
from typing import Any

TOLERANCE = {"complex": 1e-10, "lifted": 1e-10, "widened": 1e-5, "central4": 1e-7, "central": 1e-6}
ENTRIES = 2000  # that a diagnosis compares; larger tensors are sampled


@dataclass(frozen=True)
class Mismatch:
    """Where and why a gradient disagrees with differences.

    kind: "bug"; "undecided", if differences cannot tell; or one of two harmless kinds, "kink" (a tie, with the gradient
    between the one-sided derivatives) and "round-off" (the mismatch is within rounding). off: the number of wrong
    entries among those `checked`.
    """

    kind: str
    index: tuple[int, ...]
    analytic: float
    numeric: float
    off: int
    checked: int
    where: str
    hint: str = ""


@dataclass(frozen=True)
class TensorCheck:
    """The check of one input or parameter; error is the largest |numeric - analytic| / |dt| over the directions.

    tolerance: the largest error that agrees, 0 for that of the method. vanishing: both gradients are zero to rounding,
    as for a bias before batch norm; that they agree proves nothing. zeros: the fraction of entries whose gradient is
    exactly zero at this point. reason: why the complex step was not used, if it was not.
    """

    name: str
    shape: tuple[int, ...]
    error: float
    method: str
    vanishing: bool = False
    zeros: float = 0.0
    reason: str = ""
    mismatch: Mismatch | None = None
    tolerance: float = 0.0

    @property
    def allowed(self) -> float:
        """The tolerance of this check, or that of its method."""
        return self.tolerance or TOLERANCE[self.method]

    @property
    def agrees(self) -> bool:
        """Whether the error is within the tolerance."""
        return self.error <= self.allowed  # False for NaN

    @property
    def passed(self) -> bool:
        """Whether the gradient agrees, or differs only by a kink or round-off."""
        return self.agrees or (self.mismatch is not None and self.mismatch.kind in ("kink", "round-off"))

    @property
    def undecided(self) -> bool:
        """Whether the differences here are too coarse to tell a right gradient from a wrong one."""
        return not self.passed and self.mismatch is not None and self.mismatch.kind == "undecided"

    def __str__(self) -> str:
        from scratchnet.gradcheck.wording import tensor_line  # noqa: PLC0415, loaded to be printed

        return tensor_line(self)


@dataclass(frozen=True)
class Report:
    """The result of `check`. True if something was checked and all of it passed; str() explains what did not.

    problems: a line for each fault found without differences, in the form of the gradients or the contract of a pure
    backward. properties: the parts of that contract that hold. notes: what else a reader should know.
    """

    tensors: tuple[TensorCheck, ...]
    seed: int
    problems: tuple[str, ...] = ()
    properties: tuple[str, ...] = ()
    directions: int = 2
    notes: tuple[str, ...] = ()
    coverage: Any = None  # of branches, see `coverage.py`; None if it was not asked for

    @property
    def error(self) -> float:
        """The largest relative error over all tensors; NaN if any of them is."""
        errors = [tensor.error for tensor in self.tensors]
        return math.nan if any(map(math.isnan, errors)) else max(errors, default=0.0)

    @property
    def failed(self) -> tuple[TensorCheck, ...]:
        """The tensors whose gradient is wrong."""
        return tuple(tensor for tensor in self.tensors if not tensor.passed and not tensor.undecided)

    @property
    def undecided(self) -> tuple[str, ...]:
        """The tensors about which differences cannot tell: neither a pass nor a bug."""
        return tuple(tensor.name for tensor in self.tensors if tensor.undecided)

    @property
    def vacuous(self) -> tuple[str, ...]:
        """The tensors about which nothing was proved: their gradient vanished at every point tried."""
        return tuple(tensor.name for tensor in self.tensors if tensor.vanishing)

    def __bool__(self) -> bool:
        looked = bool(self.tensors or self.properties)
        return looked and not self.problems and all(tensor.passed for tensor in self.tensors)

    def __str__(self) -> str:
        from scratchnet.gradcheck.wording import text  # noqa: PLC0415, loaded to be printed

        return text(self)

    def _repr_html_(self) -> str:
        from scratchnet.gradcheck.wording import html  # noqa: PLC0415, loaded by notebooks

        return html(self)
