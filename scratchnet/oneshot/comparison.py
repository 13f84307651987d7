"""Is one way of scoring better than another? Both on the same trials, with what chance alone would do.

Paired trials compare far better than two accuracies with their intervals: most trials are right, or wrong, by both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, sqrt
from typing import Any

import numpy as np

from scratchnet.backend import to_device, to_host
from scratchnet.errors import DataError
from scratchnet.oneshot.trials import Run, Scorer, correct_trials


@dataclass(frozen=True)
class Comparison:
    """Two scorers on the same T trials, `first` and `second`, (T,) bool: which trials each had right.

    run and alphabet: (T,), the number of the run that each trial belongs to, and the name of its alphabet. Trials of
    one run share two drawers, and those of one alphabet its characters, so that the standard error over trials is too
    small a guess of how far another sample would be off; the one over alphabets says it for alphabets.
    """

    first: np.ndarray
    second: np.ndarray
    run: np.ndarray
    alphabet: np.ndarray

    @property
    def gain(self) -> float:
        """The share of the trials that the second has right, less that of the first."""
        return float(self.difference.mean())

    @property
    def difference(self) -> np.ndarray:
        """(T,) float64: 1 where only the second is right, -1 where only the first is, else 0."""
        return self.second.astype(np.float64) - self.first

    @property
    def only_first(self) -> int:
        """The number of trials that only the first has right."""
        return int(np.count_nonzero(self.first & ~self.second))

    @property
    def only_second(self) -> int:
        """The number of trials that only the second has right."""
        return int(np.count_nonzero(self.second & ~self.first))

    @property
    def p_value(self) -> float:
        """McNemar's test (1947), exact and two-sided: how often a fair coin would split the trials that only one of
        them has right as unevenly, or more so."""
        n, least = self.only_first + self.only_second, min(self.only_first, self.only_second)
        return min(1.0, 2 * sum(comb(n, k) for k in range(least + 1)) / 2**n)

    def error_over(self, groups: np.ndarray | None = None) -> float:
        """The standard error of the gain over trials; or over groups (T,) of them, such as `run` and `alphabet`, each
        of which counts as one. NaN for fewer than two."""
        values = self.difference if groups is None else np.array(list(self.gains(groups).values()))
        return float(values.std(ddof=1) / sqrt(len(values))) if len(values) > 1 else float("nan")

    def gains(self, groups: np.ndarray) -> dict[Any, float]:
        """The gain within each group of trials."""
        difference = self.difference
        return {group.item(): float(difference[groups == group].mean()) for group in np.unique(groups)}

    def as_dict(self) -> dict[str, Any]:
        """The figures as a JSON object; gains and errors as shares."""
        return {
            "trials": len(self.first),
            "first": int(self.first.sum()),
            "second": int(self.second.sum()),
            "only_first": self.only_first,
            "only_second": self.only_second,
            "gain": self.gain,
            "error_over_trials": self.error_over(),
            "error_over_runs": self.error_over(self.run),
            "error_over_alphabets": self.error_over(self.alphabet),
            "p_value": self.p_value,
            "by_alphabet": self.gains(self.alphabet),
        }

    def __str__(self) -> str:
        errors = (100 * self.error_over(groups) for groups in (None, self.run, self.alphabet))
        return (
            f"{self.first.mean():.2%} -> {self.second.mean():.2%}, {100 * self.gain:+.2f} points (standard error "
            "{:.2f} over trials, {:.2f} over runs, {:.2f} over alphabets); ".format(*errors)
            + f"only one is right in {self.only_first} and {self.only_second} trials, p = {self.p_value:.2g}"
        )


def compare(first: Scorer, second: Scorer, runs: Sequence[Run]) -> Comparison:
    """Compare two scorers on the same runs. Raises DataError without a run, and as their `scores` do."""
    if not runs:
        raise DataError("there are no runs to compare on: give one or more")
    return paired(right(first, runs), right(second, runs), runs)


def right(scorer: Scorer, runs: Sequence[Run]) -> np.ndarray:
    """Which of the trials of these runs, (T,) bool, one run after the other, a scorer has right."""
    scored = [scorer.scores(to_device(run.query, scorer.device), to_device(run.support, scorer.device)) for run in runs]
    return np.concatenate(
        [
            correct_trials(to_host(each), run.support_labels, run.query_labels)
            for each, run in zip(scored, runs, strict=True)
        ]
    )


def paired(first: np.ndarray, second: np.ndarray, runs: Sequence[Run]) -> Comparison:
    """The comparison of what two scorers have `right` on the same runs."""
    trials = [len(run.query_labels) for run in runs]
    return Comparison(
        first, second, np.arange(len(runs)).repeat(trials), np.array([run.alphabet for run in runs]).repeat(trials)
    )
