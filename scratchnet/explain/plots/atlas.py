"""An atlas of errors: the pairs of characters that are confused most, and the clearest single mistakes, as pictures."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from scratchnet.explain.plots.confusions import (
    ACROSS,
    Choice,
    best_example,
    draw_choices,
    framed,
    made_choices,
    names_of,
)
from scratchnet.explain.plots.page import (
    BLACK,
    BLUE,
    GREY,
    ORANGE,
    WIDTH,
    Figure,
    in_our_style,
    new_figure,
    shortened,
    show_ink,
)
from scratchnet.oneshot.trials import Run, class_scores

PAIRS, MISTAKES = 12, 15  # shown at most
DRAWINGS = 4  # of each character of a pair


class Pair(NamedTuple):
    """Two characters of one alphabet, by name: in `lost` of `compared` comparisons, a drawing of the one scored no
    higher with its own character than with the other. drawings: of each, (H, W), those of lost comparisons first."""

    alphabet: str
    names: tuple[str, str]
    lost: int
    compared: int
    drawings: tuple[list[np.ndarray], list[np.ndarray]]

    def as_dict(self) -> dict[str, Any]:
        """The pair as a JSON object, without its drawings."""
        return {"alphabet": self.alphabet, "characters": self.names, "lost": self.lost, "compared": self.compared}


class Atlas(NamedTuple):
    """Everything that went wrong in some trials: every choice, the clearest mistakes first; the pairs of characters
    that lost a comparison, those that lost most first; and how many of the choices were right by alphabet."""

    choices: list[Choice]
    pairs: list[Pair]
    right: dict[str, tuple[int, int]]

    def as_dict(self, most: int = 40) -> dict[str, Any]:
        """The figures as a JSON object, with so many of the pairs."""
        return {
            "pairs": [pair.as_dict() for pair in self.pairs[:most]],
            "by_alphabet": {name: {"correct": right, "trials": n} for name, (right, n) in self.right.items()},
        }


def survey(scored: Sequence[np.ndarray], runs: Sequence[Run]) -> Atlas:
    """The atlas of runs, by the scores (Q, S) of each. With several supports of a character, their mean counts."""
    choices = made_choices(scored, runs)
    right: dict[str, tuple[int, int]] = {}
    for choice in choices:
        before, count = right.get(choice.alphabet, (0, 0))
        right[choice.alphabet] = before + (not choice.wrong), count + 1
    return Atlas(choices, _confused(scored, runs), dict(sorted(right.items())))


def _confused(scored: Sequence[np.ndarray], runs: Sequence[Run]) -> list[Pair]:
    compared: dict[tuple[str, str, str], int] = {}
    lost: dict[tuple[str, str, str], list[tuple[list[Any], list[Any]]]] = {}  # drawings of the one, of the other
    for scores, run in zip(scored, runs, strict=True):
        of_character, characters = class_scores(scores, run.support_labels), np.unique(run.support_labels)
        names, alphabet = names_of(run), run.alphabet or run.name
        for n, label in enumerate(run.query_labels):
            own = of_character[n, np.searchsorted(characters, label)]
            for k, other in enumerate(characters):
                if other == label:
                    continue
                one, two = sorted((names[label], names[other]), key=_natural)
                key = (alphabet, one, two)
                compared[key] = compared.get(key, 0) + 1
                if not own > of_character[n, k]:
                    support, rival = (
                        run.support[best_example(scores[n], run.support_labels, each)] for each in (label, other)
                    )
                    own_drawn, other_drawn = [run.query[n], support], [rival]
                    first = one == names[label]
                    lost.setdefault(key, []).append((own_drawn, other_drawn) if first else (other_drawn, own_drawn))
    pairs = [
        Pair(key[0], key[1:], len(losses), compared[key], (_distinct(losses, 0), _distinct(losses, 1)))
        for key, losses in lost.items()
    ]
    return sorted(pairs, key=lambda pair: (-pair.lost, -pair.lost / pair.compared, pair.alphabet, pair.names))


def _distinct(losses: Sequence[tuple[Any, ...]], side: int) -> list[np.ndarray]:
    drawings = [drawing for loss in losses for drawing in loss[side]]
    return list({drawing.tobytes(): drawing for drawing in drawings}.values())


def _natural(name: str) -> tuple[int, str]:
    """Names of digits by their number."""
    return (int(name) if name.isdecimal() else -1, name)


@in_our_style
def atlas(found: Atlas, *, name: str, task: str, frame: str = "page") -> Figure:
    """The most confused pairs, with drawings of both characters, and below them the clearest single mistakes.

    frame: what to show of each drawing, a name of `images.frames.FRAMES`: that of the network shows what it sees.
    """
    wrong = sum(choice.wrong for choice in found.choices)
    pairs, mistakes = found.pairs[:PAIRS], found.choices[: min(MISTAKES, wrong)]
    rows = -(-len(pairs) // ACROSS), -(-len(mistakes) // ACROSS)
    heights = [0.42 + 1.28 * rows[0], 0.42 + 0.97 * rows[1]]
    figure = new_figure(
        WIDTH,
        1.25 + sum(height for height, count in zip(heights, rows, strict=True) if count),
        title=f"{name}: {wrong:,} of {len(found.choices):,} choices wrong, {100 * wrong / len(found.choices):.1f} %",
        note=_note(found, task),
    )
    parts = [(height, count) for height, count in zip(heights, rows, strict=True) if count]
    if not parts:
        return figure
    boxes = np.atleast_1d(figure.subfigures(len(parts), 1, height_ratios=[height for height, _ in parts]))
    if pairs:
        _draw_pairs(boxes[0], pairs, rows[0], frame)
    if mistakes:
        which = "Every mistake" if wrong <= MISTAKES else "The clearest single mistakes"
        _head(boxes[-1], f"{which}: query, what was chosen, and the right one, with their probabilities")
        draw_choices(boxes[-1], mistakes, rows[1], frame=frame, named=True)
    return figure


def _draw_pairs(box: Figure, pairs: Sequence[Pair], down: int, frame: str) -> None:
    _head(box, "The pairs that are confused most, and how often the wrong one of the two scored as high")
    cells = np.atleast_1d(box.subfigures(down, ACROSS)).reshape(down, ACROSS)
    for cell, pair in zip(cells.flat, pairs, strict=False):
        alphabet = shortened(pair.alphabet.replace("_", " "), 16)
        one, two = (shortened(each, 9) for each in pair.names)
        cell.suptitle(
            f"{alphabet}: {one} or {two}, {pair.lost} of {pair.compared}", fontsize=7.5, color=BLACK, x=0.03, ha="left"
        )
        panels = cell.subplots(2, DRAWINGS, squeeze=False)
        for axes, drawings, colour in zip(panels, pair.drawings, (BLUE, ORANGE), strict=True):
            for panel in axes:
                panel.axis("off")
            for panel, drawing in zip(axes, drawings, strict=False):
                panel.axis("on")
                show_ink(panel, framed(drawing, frame), frame=colour)


def _head(box: Figure, text: str) -> None:
    box.suptitle(text, fontsize=9, weight="bold", color=GREY, x=0.01, ha="left")


def _note(found: Atlas, task: str) -> str:
    """What was tried, how the losses are spread, and the accuracy by alphabet where there are a few."""
    parts = [f"{task[:1].upper()}{task[1:]}."]
    losses = sum(pair.lost for pair in found.pairs)
    if len(found.pairs) > PAIRS:
        share = sum(pair.lost for pair in found.pairs[:PAIRS]) / losses
        parts.append(f"These {PAIRS} of {len(found.pairs):,} confused pairs have {share:.0%} of all {losses:,} losses.")
    if 1 < len(found.right) <= 12:
        by_alphabet = sorted(found.right.items(), key=lambda item: item[1][0] / item[1][1])
        shares = [f"{name.replace('_', ' ')} {100 * right / count:.1f} %" for name, (right, count) in by_alphabet]
        parts.append(f"Right by alphabet: {', '.join(shares)}.")
    return " ".join(parts)
