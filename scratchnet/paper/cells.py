"""The tables: for each cell the paper's figure, the networks to train for ours, and what they are judged by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from scratchnet.oneshot.baselines import NEAREST
from scratchnet.paper.choices import choices
from scratchnet.paper.ladder import rungs
from scratchnet.paper.method import training
from scratchnet.paper.scales import Scale
from scratchnet.train.recipe import Recipe

SETS = (30_000, 90_000, 150_000)  # pairs
LARGEST = "150k distorted"  # the network that is judged by one-shot trials
SEEDS = 3  # of each rung and choice


@dataclass(frozen=True)
class Cell:
    """A row of a table, or part of one.

    paper: its figure in per cent. recipes: the networks to train, one for each seed, named as their run folders.
    baseline: what is judged where nothing is trained; "" where the paper's figure stands alone.
    """

    name: str
    paper: float | None = None
    recipes: Sequence[Recipe] = ()
    baseline: str = ""

    @property
    def runs(self) -> list[str]:
        """What is judged, by the names under which `record.Record` has their figures."""
        return [recipe.name for recipe in self.recipes] or ([self.baseline] if self.baseline else [])


@dataclass(frozen=True)
class Table:
    """Cells with the same figures; figures: keys of `judge.FIGURES`, the first of which stands beside the paper's."""

    name: str
    title: str
    figures: Sequence[str]
    cells: Sequence[Cell]


def tables(scale: Scale, seed: int, tuned: Mapping[str, Any], alphabets: tuple[str, ...]) -> dict[str, Table]:
    """All tables by name. tuned: settings of the layers, as `search.py` finds them; alphabets: to validate by."""
    train = partial(training, scale, seed=seed, alphabets=alphabets, per_layer=tuned)
    largest = train(LARGEST, pairs=SETS[-1])
    small = replace(train("mnist", pairs=SETS[-1]), architecture=scale.mnist_architecture)
    found = (
        Table(
            "oneshot",
            "One-shot recognition, 20-way within an alphabet: Lake's official runs",
            ("official",),
            (
                Cell("people", 95.5),
                Cell("hierarchical Bayesian program learning", 95.2),
                Cell("convolutional Siamese network", 92.0, [largest]),
                Cell("affine model", 81.8),
                Cell("hierarchical deep", 65.2),
                Cell("deep Boltzmann machine", 62.0),
                Cell("Siamese network without convolution", 58.3),
                Cell("nearest neighbour", 21.7, baseline=NEAREST),
            ),
        ),
        Table(
            "mnist",
            "MNIST: 10-way one-shot recognition of digits, trained on Omniglot alone",
            ("mnist",),
            (
                Cell("convolutional Siamese network, 35 pixels", 70.3, [small]),
                Cell("nearest neighbour", 26.5, baseline=NEAREST),
            ),
        ),
        Table(
            "verification",
            "Verification: do two drawings show the same character?",
            ("verification", "verification at 1/2"),
            (
                Cell("30,000 pairs", 90.61, [train("30k", pairs=SETS[0], distorted=False)]),
                Cell("30,000 pairs, distorted copies", 91.90, [train("30k distorted", pairs=SETS[0])]),
                Cell("90,000 pairs", 91.54, [train("90k", pairs=SETS[1], distorted=False)]),
                Cell("90,000 pairs, distorted copies", 93.15, [train("90k distorted", pairs=SETS[1])]),
                Cell("150,000 pairs", 91.63, [train("150k", pairs=SETS[2], distorted=False)]),
                Cell("150,000 pairs, distorted copies", 93.42, [largest]),
            ),
        ),
        Table(
            "choices",
            "Choices: what the paper leaves open or misprints, one other reading at a time, in shorter training",
            ("random",),
            _choices(replace(largest, epochs=scale.short_epochs)),
        ),
        Table(
            "ladder",
            "Ladder: from the paper's network to ours; each row has the changes of those above it, and as many steps",
            ("random", "official"),
            [
                Cell(name, recipes=_seeds(recipe, f"ladder {number}"))
                for number, (name, recipe) in enumerate(rungs(largest))
            ],
        ),
    )
    return {table.name: table for table in found}


def _choices(recipe: Recipe) -> list[Cell]:
    cells = [Cell("the readings of the other tables", recipes=_seeds(recipe, "choices"))]
    for choice in choices(recipe):
        printed = " (as printed)" if choice.literal else ""
        other = choice.applied_to(recipe)
        name = f"{choice.name}: {choice.other}{printed}, instead of: {choice.used}"
        cells.append(Cell(name, recipes=_seeds(other, f"choices {choice.name}")))
    return cells


def _seeds(recipe: Recipe, name: str) -> list[Recipe]:
    """The same recipe with several seeds."""
    return [replace(recipe, seed=seed, name=f"{name}, seed {seed}") for seed in range(recipe.seed, recipe.seed + SEEDS)]
