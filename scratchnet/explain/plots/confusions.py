"""Confusions with their pictures: the one-shot choices that a network gets wrong, the clearest mistakes first."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from scratchnet.backend import to_host
from scratchnet.explain.plots.page import GREEN, GREY, RED, WIDTH, Figure, in_our_style, new_figure, shortened, show_ink
from scratchnet.images.frames import find_frame
from scratchnet.layers import sigmoid
from scratchnet.models.siamese import SiameseNet
from scratchnet.oneshot.scorers import Embedded
from scratchnet.oneshot.trials import Run, class_scores

SHOWN = 12  # choices at most
ACROSS = 3
SHARP = 96  # pixels a side of a drawing that is framed for a picture


class Choice(NamedTuple):
    """A query (H, W), a support that shows its character, one of the best of the others, and the scores of both.

    right_name and other_name: of the characters. alphabet: theirs, or the name of the run where that is not known.
    """

    query: np.ndarray
    right: np.ndarray
    other: np.ndarray
    right_logit: float
    other_logit: float
    right_name: str = ""
    other_name: str = ""
    alphabet: str = ""

    @property
    def wrong(self) -> bool:
        """Whether the other is chosen; a tie counts as wrong, and so does a NaN."""
        return not self.right_logit > self.other_logit

    @property
    def margin(self) -> float:
        """By how much the right one leads."""
        return self.right_logit - self.other_logit


def choices(net: SiameseNet, runs: Sequence[Run]) -> list[Choice]:
    """Every choice of one-shot runs by a network, the clearest mistakes first."""
    scorer = Embedded(net)
    return made_choices([to_host(scorer.scores(run.query, run.support)) for run in runs], runs)


def made_choices(scored: Sequence[np.ndarray], runs: Sequence[Run]) -> list[Choice]:
    """Every choice of runs whose scores (Q, S) are given, the clearest mistakes first.

    Of several supports of a character, the one that scores best is shown; its score is the mean of all.
    """
    found = []
    for scores, run in zip(scored, runs, strict=True):
        of_character = class_scores(scores, run.support_labels)  # (Q, n_way)
        names, characters = names_of(run), np.unique(run.support_labels)
        for n, label in enumerate(run.query_labels):
            right = int(np.searchsorted(characters, label))
            other = int(np.where(characters == label, -np.inf, of_character[n]).argmax())
            shown = [best_example(scores[n], run.support_labels, characters[k]) for k in (right, other)]
            found.append(
                Choice(
                    run.query[n],
                    right=run.support[shown[0]],
                    other=run.support[shown[1]],
                    right_logit=float(of_character[n, right]),
                    other_logit=float(of_character[n, other]),
                    right_name=names[label],
                    other_name=names[characters[other]],
                    alphabet=run.alphabet or run.name,
                )
            )
    return sorted(found, key=lambda choice: choice.margin)


def names_of(run: Run) -> Sequence[str]:
    """The names of the characters of a run by label: their own, or their places in the run from 1 on."""
    return run.characters or [f"{number + 1}" for number in range(int(run.support_labels.max()) + 1)]


def best_example(scores: np.ndarray, labels: np.ndarray, label: int) -> int:
    """Which support of a character scores best; scores and labels: (S,)."""
    return int(np.where(labels == label, scores, -np.inf).argmax())


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
    draw_choices(figure, shown, down)
    return figure


def draw_choices(
    figure: Figure, shown: Sequence[Choice], down: int, *, frame: str = "page", named: bool = False
) -> None:
    """Query, other and right one of each choice, ACROSS choices in a row of `down` rows.

    frame: what to show of each drawing, as for `framed`. named: write alphabet and characters below.
    """
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
            show_ink(axes, framed(ink, frame), frame=colour if colour != GREY else "#BBBBBB")
            axes.set_title(text, fontsize=7.5, color=colour, loc="center", pad=2.5)
        if named:
            where = shortened(choice.alphabet.replace("_", " "), 20)
            characters = f"{shortened(choice.other_name, 9)} for {shortened(choice.right_name, 9)}"
            query.text(
                0, -0.06, f"{where}: {characters}", fontsize=6.5, color=GREY, va="top", transform=query.transAxes,
                in_layout=False,
            )  # fmt: skip


def framed(ink: np.ndarray, frame: str) -> np.ndarray:
    """A drawing (H, W) as a network with this frame sees it, but sharper; "page" is all of it."""
    image = ink.astype(np.float64)
    return image if frame == "page" else find_frame(frame).fit(image[None], SHARP)[0]


def _probability(logit: float) -> str:
    return f"{float(sigmoid(np.array([logit]))[0]):.3f}"
