"""Rejection: when does a query show none of the characters? A threshold for the score of the best one.

It is chosen on the supports themselves, each character kept out in turn: the drawings of a character that is not there
show how well the best of the others scores by mistake. With n such scores, the k-th lowest with

    k = ceil((n + 1) (1 - share))     (1)

is exceeded by the next one with a probability of at most `share`, if drawings of new characters come like those of the
known ones (split conformal prediction: Vovk, Gammerman and Shafer 2005, chapter 4).
"""

from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np

from scratchnet.errors import DataError
from scratchnet.oneshot.trials import class_scores

SHARE = 0.05  # wrongly accepted, at most


@dataclass(frozen=True)
class Rejection:
    """A query whose best score is not above `threshold` shows none of the characters.

    strangers: how many drawings, each with its own character kept out, the threshold was chosen on. wrongly_accepted:
    the share of them above a threshold chosen on other characters. wrongly_rejected: the share of drawings whose
    character is there, by another drawing, and that the threshold rejects all the same; None where each character has
    one drawing.
    """

    threshold: float
    strangers: int
    wrongly_accepted: float
    wrongly_rejected: float | None

    def as_dict(self) -> dict[str, Any]:
        """The same as a JSON object."""
        return {
            "threshold": self.threshold,
            "strangers": self.strangers,
            "wrongly_accepted": self.wrongly_accepted,
            "wrongly_rejected": self.wrongly_rejected,
        }

    def __str__(self) -> str:
        known = "unknown, since no class has two examples"
        if self.wrongly_rejected is not None:
            known = f"{self.wrongly_rejected:.1%}"
        return (
            f"threshold {self.threshold:.2f}, chosen on {self.strangers:,} examples with their class kept out: "
            f"wrongly accepted {self.wrongly_accepted:.1%}, wrongly rejected {known}"
        )


def choose_rejection(scores: np.ndarray, labels: np.ndarray, *, share: float = SHARE) -> Rejection:
    """The threshold that wrongly accepts at most `share` of the drawings of characters that are not there.

    scores: (S, S) of the supports against each other. labels: (S,), the characters of the supports.

    Raises DataError if there are fewer than two characters, or too few supports for the share.
    """
    characters, labels = np.unique(labels, return_inverse=True)
    S, rows = len(labels), np.arange(len(labels))
    if len(characters) < 2:
        raise DataError("to know what to reject takes two or more classes: give more")
    if _rank(S, share) > S:
        raise DataError(
            f"{S} examples are too few to choose a threshold that wrongly accepts {share:.1%}: "
            f"give {ceil(1 / share) - 1} or more, or allow {ceil(1000 / (S + 1)) / 1000:.1%}"
        )
    of_others = class_scores(scores, labels)  # (S, characters)
    of_others[rows, labels] = -np.inf
    best_other = of_others.max(axis=1)
    folds = [labels % 2 == 0, labels % 2 == 1]
    accepted = [best_other[one] > _threshold(best_other[other], share) for one, other in (folds, folds[::-1])]
    threshold = _threshold(best_other, share)
    return Rejection(
        threshold, S, float(np.concatenate(accepted).mean()), _rejected(scores, labels, best_other, threshold)
    )


def _rejected(scores: np.ndarray, labels: np.ndarray, best_other: np.ndarray, threshold: float) -> float | None:
    """The share of the drawings with a second one of their character whose best score is not above the threshold."""
    same = labels[:, None] == labels
    np.fill_diagonal(same, False)
    known = same.any(axis=1)
    if not known.any():
        return None
    own = np.where(same, scores, 0).sum(axis=1)[known] / same.sum(axis=1)[known]
    return float(np.mean(np.maximum(own, best_other[known]) <= threshold))


def _threshold(best: np.ndarray, share: float) -> float:
    return float(np.sort(best)[min(_rank(len(best), share), len(best)) - 1])  # (1)


def _rank(n: int, share: float) -> int:
    return ceil((n + 1) * (1 - share) - 1e-9)  # (1); 20 * 0.95 is 19
