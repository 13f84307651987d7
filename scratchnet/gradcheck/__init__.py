"""Verifies any pair of forward and backward functions on plain arrays; knows nothing of our layers."""

from typing import TYPE_CHECKING

from scratchnet.gradcheck.check import check

_HOMES = {
    "Mismatch": "report", "PrecisionReport": "precision", "Report": "report", "Sweep": "step_sweep",
    "TensorCheck": "report", "adjoint": "algebra", "batch_sum": "algebra", "check_precision": "precision",
    "draw": "drawing", "from_functions": "adapters", "miss_probability": "wording", "sweep": "step_sweep",
    "twin_sum": "algebra",
}  # fmt: skip
__all__ = [
    "Mismatch", "PrecisionReport", "Report", "Sweep", "TensorCheck", "adjoint", "batch_sum", "check",
    "check_precision", "draw", "from_functions", "miss_probability", "sweep", "twin_sum",
]  # fmt: skip

if TYPE_CHECKING:
    from scratchnet.gradcheck.adapters import from_functions
    from scratchnet.gradcheck.algebra import adjoint, batch_sum, twin_sum
    from scratchnet.gradcheck.drawing import draw
    from scratchnet.gradcheck.precision import PrecisionReport, check_precision
    from scratchnet.gradcheck.report import Mismatch, Report, TensorCheck
    from scratchnet.gradcheck.wording import miss_probability
    from scratchnet.gradcheck.step_sweep import Sweep, sweep
else:
    from scratchnet.common.lazy import lazily

    __getattr__, __dir__ = lazily(__name__, __all__, _HOMES)
