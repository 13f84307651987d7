"""Puts the checker on trial (does it catch every planted bug, and pass correct layers?) and the reader, in a quiz."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from scratchnet.planted import cases
from scratchnet.planted.bug import CATALOGUE, STRANGERS, PlantedBug
from scratchnet.planted.cases import Case

CHOICES = 4


class Outcome(NamedTuple):
    """How often a bug was caught, at how many seeds, and how many points were redrawn because it had no effect."""

    caught: int
    seeds: int
    redraws: int


def hunt(bug: PlantedBug, seeds: Iterable[int]) -> Outcome:
    """Examine a bug at one point for each seed."""
    visible = [bug.visible_seed(seed) for seed in seeds]
    caught = sum(bug.examine(seed)[0] for seed, _ in visible)
    return Outcome(caught, len(visible), sum(redraws for _, redraws in visible))


def correct_cases() -> dict[str, Case]:
    """All cases that must pass: our layers, losses and networks, and the layers of both catalogues without the bugs."""
    return cases.CASES | {bug.case.name: bug.case for bug in (CATALOGUE | STRANGERS).values()}


class Quiz(NamedTuple):
    """A planted bug, the checker's report on it, and several stories, one of them true."""

    bug: PlantedBug
    report: str
    stories: list[str]

    @property
    def answer(self) -> int:
        """The number of the true story, counting from 1."""
        return self.stories.index(self.bug.story) + 1

    @property
    def layer(self) -> str:
        """The correct layer in two lines: its name with the shapes of its inputs, and its summary line."""
        layer, shapes = self.bug.case.layer, " and ".join(map(str, self.bug.case.shapes))
        name = repr(layer) if len(repr(layer)) < 100 else type(layer).__name__
        return f"{name} on {shapes}\n{(layer.__doc__ or '').partition(chr(10))[0]}"


def make_quiz(seed: int) -> Quiz:
    """The quiz for a seed. False stories are about the same type of layer, if there are enough of them."""
    rng = np.random.default_rng(seed)
    bugs = list(CATALOGUE.values())
    bug = bugs[rng.integers(len(bugs))]
    others = [other for other in rng.permutation(np.array(bugs, dtype=object)) if other is not bug]
    others.sort(key=lambda other: type(other.case.layer) is not type(bug.case.layer))
    stories = [bug.story, *(other.story for other in others[: CHOICES - 1])]
    return Quiz(bug, bug.examine(bug.visible_seed(seed)[0])[1], [stories[i] for i in rng.permutation(CHOICES)])
