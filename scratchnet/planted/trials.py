"""The checker on trial: does it catch every planted bug and leave correct layers alone? And the reader, in a quiz."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from scratchnet.planted import cases as gradcases
from scratchnet.planted.bug import CATALOGUE, PlantedBug
from scratchnet.planted.cases import Case

CHOICES = 4


class Outcome(NamedTuple):
    """How often a bug was caught, and how many points were drawn again because it was none there."""

    caught: int
    seeds: int
    redraws: int


def hunt(bug: PlantedBug, seeds: Iterable[int]) -> Outcome:
    """Examine one bug at the point of each seed."""
    found = [bug.visible_seed(seed) for seed in seeds]
    return Outcome(sum(bug.examine(seed)[0] for seed, _ in found), len(found), sum(redraws for _, redraws in found))


def correct_cases() -> dict[str, Case]:
    """All that is right and must pass: the layers, losses and networks, and those of the catalogue without its bugs."""
    return gradcases.CASES | {bug.case.name: bug.case for bug in CATALOGUE.values()}


class Quiz(NamedTuple):
    """A planted bug, what the checker reports of it, and a few stories, of which one is true."""

    bug: PlantedBug
    report: str
    stories: list[str]

    @property
    def answer(self) -> int:
        """The number of the true story, from 1 on."""
        return self.stories.index(self.bug.story) + 1

    @property
    def layer(self) -> str:
        """The correct layer in two lines: its name with the shapes of its inputs, and what it computes."""
        layer, shapes = self.bug.case.layer, " and ".join(map(str, self.bug.case.shapes))
        name = repr(layer) if len(repr(layer)) < 100 else type(layer).__name__
        return f"{name} on {shapes}\n{(layer.__doc__ or '').partition(chr(10))[0]}"


def make_quiz(seed: int) -> Quiz:
    """The quiz of a seed. The false stories are those of the same kind of layer, as far as there are enough."""
    rng = np.random.default_rng(seed)
    bugs = list(CATALOGUE.values())
    bug = bugs[rng.integers(len(bugs))]
    others = [other for other in rng.permutation(np.array(bugs, dtype=object)) if other is not bug]
    others.sort(key=lambda other: type(other.case.layer) is not type(bug.case.layer))
    stories = [bug.story, *(other.story for other in others[: CHOICES - 1])]
    return Quiz(bug, bug.examine(bug.visible_seed(seed)[0])[1], [stories[i] for i in rng.permutation(CHOICES)])
