"""What the paper leaves open, or prints in a way that cannot be meant: the reading used, and another beside it."""

from collections.abc import Mapping
from dataclasses import dataclass

from scratchnet.train.recipe import Recipe
from scratchnet.train.settings import override


@dataclass(frozen=True)
class Choice:
    """A reading of the paper.

    used: what the tables are made with. other: what is compared with it; literal says that this is what is printed.
    changes: the settings of the other, as for `scratchnet train --set`.
    """

    name: str
    used: str
    other: str
    literal: bool
    changes: Mapping[str, str]

    def applied_to(self, recipe: Recipe) -> Recipe:
        """The recipe with the other reading."""
        return override(recipe, self.changes)


def choices(recipe: Recipe) -> list[Choice]:
    """The choices that can be compared by training."""
    return [
        Choice(
            "initialisation",
            "He and Glorot, biases 0",
            "weights N(0, 0.01) and, dense, N(0, 0.2); biases N(0.5, 0.01)",
            True,
            {"architecture.init": "literal"},
        ),
        Choice(
            "L2 penalty",
            "its gradient 2 lambda w, scaled by the learning rate",
            "+ 2 lambda |w| on top of the step",
            True,
            {"penalty": "printed"},
        ),
        Choice(
            "affine maps",
            "scale, then shear, then rotation",
            "rotation, then shear, then scale, as T lists them",
            True,
            {"as_listed": "true"},
        ),
        Choice(
            "distorted copies",
            "eight, drawn once, beside each pair as drawn",
            "new ones each time a pair is seen",
            False,
            {"fixed_distortions": "0"},
        ),
        Choice("different pairs", "of one alphabet", "of two alphabets", False, {"negatives": "across"}),
        Choice(
            "rise of the momentum",
            f"over {recipe.momentum_epochs} epochs",
            f"over all {recipe.epochs} epochs",
            False,
            {"momentum_epochs": str(recipe.epochs)},
        ),
    ]
