"""Confusions with their pictures: the one-shot choices that a network gets wrong, the clearest mistakes first."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from scratchnet.backend import to_host
from scratchnet.explain.plots.page import GREEN, GREY, RED, WIDTH, Figure, in_our_style, new_figure, show_ink
from scratchnet.layers import sigmoid
from scratchnet.models.siamese import SiameseNet
from scratchnet.oneshot.scorers import Embedded
from scratchnet.oneshot.trials import Run

SHOWN = 12  # choices at most
ACROSS = 3


class Choice(NamedTuple):
    """A query (H, W), the support that shows its character, the best of the others, and the logits of both."""

    query: np.ndarray
    right: np.ndarray
    other: np.ndarray
    right_logit: float
    other_logit: float

    @property
    def wrong(self) -> bool:
        """Whether the other is chosen; a tie counts as wrong."""
        return self.other_logit >= self.right_logit


def choices(net: SiameseNet, runs: Sequence[Run]) -> list[Choice]:
    """Every choice of one-shot runs with one support a character, the clearest mistakes first."""
    scorer, found = Embedded(net), []
    for run in runs:
        scores = to_host(scorer.scores(run.query, run.support))  # (Q, S)
        for query, label, logits in zip(run.query, run.query_labels, scores, strict=True):
            right = int(np.flatnonzero(run.support_labels == label)[0])
            other = int(np.where(run.support_labels == label, -np.inf, logits).argmax())
            pictures = run.support[right], run.support[other]
            found.append(Choice(query, *pictures, float(logits[right]), float(logits[other])))
    return sorted(found, key=lambda choice: choice.right_logit - choice.other_logit)


@in_our_style
def confusions(made: Sequence[Choice], *, name: str, task: str) -> Figure:
    """The clearest mistakes among choices (as `choices` sorts them), or the closest calls if there is none.

    Each shows the query, what was chosen instead, and what would have been right, with the probability that the
    network gives each of being the same character.
    """
    wrong = sum(choice.wrong for choice in made)
    shown = made[: min(SHOWN, wrong or SHOWN)]
    down = -(-len(shown) // ACROSS)
    which = ("The mistakes" if wrong <= SHOWN else "The clearest mistakes") if wrong else "The closest calls"
    figure = new_figure(
        WIDTH,
        0.95 + 0.86 * down,
        title=f"{name}: {wrong} of {len(made)} one-shot choices wrong, {100 * wrong / len(made):.1f} %",
        note=f"{task}. {which}: query, {'what was chosen' if wrong else 'the best of the others'} and the right one, "
        "with the probability that the network gives each of being the same character.",
    )
    panels = figure.subplots(down, 4 * ACROSS - 1, squeeze=False, width_ratios=([1, 1, 1, 0.25] * ACROSS)[:-1])
    for axes in panels.flat:
        axes.axis("off")
    for number, choice in enumerate(shown):
        row, column = divmod(number, ACROSS)
        query, other, right = panels[row, 4 * column : 4 * column + 3]
        for axes, ink, text, colour in (
            (query, choice.query, "query" if row == 0 else "", GREY),
            (other, choice.other, _probability(choice.other_logit), RED if choice.wrong else GREY),
            (right, choice.right, _probability(choice.right_logit), GREEN),
        ):
            axes.axis("on")
            show_ink(axes, ink.astype(np.float64), frame=colour if colour != GREY else "#BBBBBB")
            axes.set_title(text, fontsize=7.5, color=colour, loc="center", pad=2.5)
    return figure


def _probability(logit: float) -> str:
    return f"{float(sigmoid(np.array([logit]))[0]):.3f}"
