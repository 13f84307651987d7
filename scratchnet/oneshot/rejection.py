"""Rejection: when does a query show none of the characters? A threshold for the score of the best one.

It is chosen on the supports themselves, each character kept out in turn: the drawings of a character that is not there
show how well the best of the others scores by mistake. With one drawing of each of C characters, the k-th lowest of
these scores with

    k >= (C + 1) (1 - share)     (1)

is exceeded by that of a new character with a probability of at most `share`, if new characters come like the known
ones (split conformal prediction: Vovk, Gammerman and Shafer 2005, chapter 4). Drawings of one character are alike, so
more of them do not make up for more characters: of several, each counts for its share of its character.
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

    share: of strangers that may be accepted. strangers: how many drawings, each with its own character kept out, the
    threshold was chosen on. wrongly_accepted: the share of them above a threshold chosen on the other characters alone.
    wrongly_rejected: the share of drawings whose character is there, by another drawing, and that the threshold rejects
    all the same; None where each character has one drawing.
    """

    threshold: float
    share: float
    strangers: int
    wrongly_accepted: float
    wrongly_rejected: float | None

    def as_dict(self) -> dict[str, Any]:
        """The same as a JSON object."""
        return {
            "threshold": self.threshold,
            "share": self.share,
            "strangers": self.strangers,
            "wrongly_accepted": self.wrongly_accepted,
            "wrongly_rejected": self.wrongly_rejected,
        }

    def __str__(self) -> str:
        known = "unknown, since no class has two examples"
        if self.wrongly_rejected is not None:
            known = f"{self.wrongly_rejected:.1%}"
        return (
            f"threshold {self.threshold:.2f}, chosen for {self.share:.1%} on {self.strangers:,} examples with their "
            f"class kept out: wrongly accepted {self.wrongly_accepted:.1%}, wrongly rejected {known}"
        )


def choose_rejection(scores: np.ndarray, labels: np.ndarray, *, share: float | None = None) -> Rejection:
    """The threshold that wrongly accepts at most `share` of the drawings of characters that are not there.

    scores: (S, S) of the supports against each other. labels: (S,), the characters of the supports. share: None means
    SHARE, or the least that so many characters allow.

    Raises DataError if there are fewer than two characters, or too few for the share.
    """
    characters, labels = np.unique(labels, return_inverse=True)
    C, rows = len(characters), np.arange(len(labels))
    if C < 2:
        raise DataError("to know what to reject takes two or more classes: give more")
    if share is not None and share * (C + 1) < 1:
        raise DataError(
            f"{C} classes are too few for a threshold that wrongly accepts {share:.1%}: give {ceil(1 / share) - 1} or "
            f"more, or allow {ceil(1000 / (C + 1)) / 1000:.1%}"
        )
    share = share or max(SHARE, 1 / (C + 1))
    of_others = class_scores(scores, labels)  # (S, characters)
    of_others[rows, labels] = -np.inf
    closest, best_other = of_others.argmax(axis=1), of_others.max(axis=1)
    weights = 1 / np.bincount(labels)[labels]
    of_others[rows, closest] = -np.inf
    second = of_others.max(axis=1)
    accepted = []
    for character in range(C):  # kept out altogether: its drawings are neither strangers to the others, nor their match
        own = labels == character
        without = np.where(closest == character, second, best_other)[~own]
        accepted.append(np.mean(best_other[own] > _threshold(without, weights[~own], share)))
    threshold = _threshold(best_other, weights, share)
    return Rejection(
        threshold, share, len(labels), float(np.mean(accepted)), _rejected(scores, labels, best_other, threshold)
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


def _threshold(best: np.ndarray, weights: np.ndarray, share: float) -> float:
    """The lowest of the scores `best` (S,) that fulfils (1); the highest, if there are too few. weights: (S,)."""
    order = np.argsort(best)
    count = np.cumsum(weights[order])  # of characters, up to each score
    enough = count >= (count[-1] + 1) * (1 - share) - 1e-9  # (1); 20 * 0.95 is 19
    return float(best[order][enough.argmax() if enough.any() else -1])
