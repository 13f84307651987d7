"""One-shot classification: trials, scorers, baselines, verification, and the tasks that judge a network."""

from typing import TYPE_CHECKING

__all__ = [
    "BASELINES", "Embedded", "Ensemble", "ModifiedHausdorff", "PixelNearestNeighbour", "Result", "Run", "Scorer",
    "WarpedQueries", "best_threshold", "calibrated", "count_correct", "evaluate", "official_runs", "sample_runs",
    "tasks", "trials", "verification", "wilson_interval",
]  # fmt: skip

if TYPE_CHECKING:
    from scratchnet.oneshot import tasks, trials
    from scratchnet.oneshot.trials import (
        BASELINES,
        Embedded,
        Ensemble,
        ModifiedHausdorff,
        PixelNearestNeighbour,
        Result,
        Run,
        Scorer,
        WarpedQueries,
        best_threshold,
        calibrated,
        count_correct,
        evaluate,
        official_runs,
        sample_runs,
        verification,
        wilson_interval,
    )
else:
    from scratchnet.common.lazy import lazily

    __getattr__, __dir__ = lazily(__name__, __all__, {
        "Scorer": "trials", "Run": "trials", "Result": "trials", "wilson_interval": "trials", "evaluate": "trials",
        "count_correct": "trials", "official_runs": "trials", "sample_runs": "trials", "Embedded": "trials",
        "Ensemble": "trials", "WarpedQueries": "trials", "PixelNearestNeighbour": "trials",
        "ModifiedHausdorff": "trials", "BASELINES": "trials", "best_threshold": "trials", "verification": "trials",
        "calibrated": "trials",
    })  # fmt: skip
