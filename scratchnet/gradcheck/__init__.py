"""Verifies any pair of forward and backward functions on plain arrays; knows nothing of our layers."""

from typing import TYPE_CHECKING

from scratchnet.gradcheck.check import check

_HOMES = {
    "Coverage": "coverage", "Mismatch": "report", "PrecisionReport": "precision", "Report": "report",
    "Sweep": "step_sweep", "Taylor": "taylor_rates", "TensorCheck": "report", "adjoint": "algebra",
    "batch_sum": "algebra", "check_jvp": "agreement", "check_nonfinite": "agreement", "check_precision": "precision",
    "draw": "drawing", "from_attributes": "attributes", "from_callback": "adapters", "from_functions": "adapters",
    "from_pair": "adapters", "from_value_and_gradient": "adapters", "miss_probability": "wording",
    "sweep": "step_sweep", "taylor": "taylor_rates", "twin_sum": "algebra",
}  # fmt: skip
__all__ = [
    "Coverage", "Mismatch", "PrecisionReport", "Report", "Sweep", "Taylor", "TensorCheck", "adjoint", "batch_sum",
    "check", "check_jvp", "check_nonfinite", "check_precision", "draw", "from_attributes", "from_callback",
    "from_functions", "from_pair", "from_value_and_gradient", "miss_probability", "sweep", "taylor", "twin_sum",
]  # fmt: skip

if TYPE_CHECKING:
    from scratchnet.gradcheck.adapters import from_callback, from_functions, from_pair, from_value_and_gradient
    from scratchnet.gradcheck.agreement import check_jvp, check_nonfinite
    from scratchnet.gradcheck.algebra import adjoint, batch_sum, twin_sum
    from scratchnet.gradcheck.attributes import from_attributes
    from scratchnet.gradcheck.coverage import Coverage
    from scratchnet.gradcheck.drawing import draw
    from scratchnet.gradcheck.precision import PrecisionReport, check_precision
    from scratchnet.gradcheck.report import Mismatch, Report, TensorCheck
    from scratchnet.gradcheck.step_sweep import Sweep, sweep
    from scratchnet.gradcheck.taylor_rates import Taylor, taylor
    from scratchnet.gradcheck.wording import miss_probability
else:
    from scratchnet.common.lazy import lazily

    __getattr__, __dir__ = lazily(__name__, __all__, _HOMES)
