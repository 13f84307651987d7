"""Verifies any pair of forward and backward on plain arrays; knows none of our layers."""

from scratchnet.gradcheck.adapters import from_functions
from scratchnet.gradcheck.algebra import adjoint, batch_sum, twin_sum
from scratchnet.gradcheck.check import check
from scratchnet.gradcheck.draw import draw
from scratchnet.gradcheck.precision import PrecisionReport, check_precision
from scratchnet.gradcheck.report import Mismatch, Report, TensorCheck, miss_probability
from scratchnet.gradcheck.sweep import Sweep, sweep

__all__ = [
    "Mismatch",
    "PrecisionReport",
    "Report",
    "Sweep",
    "TensorCheck",
    "adjoint",
    "batch_sum",
    "check",
    "check_precision",
    "draw",
    "from_functions",
    "miss_probability",
    "sweep",
    "twin_sum",
]


def __dir__() -> list[str]:
    return __all__
