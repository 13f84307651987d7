"""One-shot classification: trials, scorers, baselines, verification, and the tasks on a network's card."""

from typing import TYPE_CHECKING  # isort: skip_file

__all__ = [
    "BASELINES", "Comparison", "Embedded", "Ensemble", "ModifiedHausdorff", "PixelNearestNeighbour", "Result",
    "Run", "Scorer", "Verifier", "WarpedQueries", "baselines", "best_threshold", "calibrated", "compare",
    "comparison", "count_correct", "evaluate", "official_runs", "sample_runs", "scorers", "tasks", "trials",
    "verification", "verify", "wilson_interval",
]  # fmt: skip

if TYPE_CHECKING:
    from scratchnet.oneshot import baselines, comparison, scorers, tasks, trials, verification
    from scratchnet.oneshot.baselines import BASELINES, ModifiedHausdorff, PixelNearestNeighbour
    from scratchnet.oneshot.comparison import Comparison, compare
    from scratchnet.oneshot.scorers import Embedded, Ensemble, WarpedQueries
    from scratchnet.oneshot.trials import (
        Result, Run, Scorer, count_correct, evaluate, official_runs, sample_runs, wilson_interval,
    )  # fmt: skip
    from scratchnet.oneshot.verification import Verifier, best_threshold, calibrated, verify
else:
    from scratchnet.common.lazy import lazily

    __getattr__, __dir__ = lazily(__name__, __all__, {
        "BASELINES": "baselines", "ModifiedHausdorff": "baselines", "PixelNearestNeighbour": "baselines",
        "Comparison": "comparison", "compare": "comparison",
        "Embedded": "scorers", "Ensemble": "scorers", "WarpedQueries": "scorers", "Result": "trials", "Run": "trials",
        "Scorer": "trials", "count_correct": "trials", "evaluate": "trials", "official_runs": "trials",
        "sample_runs": "trials", "wilson_interval": "trials", "Verifier": "verification",
        "best_threshold": "verification", "calibrated": "verification", "verify": "verification",
    })  # fmt: skip
