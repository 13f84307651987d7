"""From the paper's network to ours, one change at a time."""

import json

from scratchnet.train.recipe import Recipe
from scratchnet.train.recipes import find_recipe
from scratchnet.train.settings import override

OURS = find_recipe("omniglot")
# Each rung keeps the changes of those before it.
RUNGS: dict[str, dict[str, str]] = {
    "the paper's network, initialised as printed": {"architecture.init": "literal", "negatives": "across"},
    "corrected initialisation": {"architecture.init": "corrected"},
    "different pairs of one alphabet": {"negatives": "within"},
    "batch norm": {"architecture.norm": "true"},
    "framed to the ink": {"architecture.frame": "ink"},
    "N-way loss": {  # 240 images a step instead of 256
        "objective": "episodes",
        "fixed_distortions": "0",
        "epoch_pairs": "0",
        "batch_size": "3",
        "hands": "2",
    },
    "our network": {"architecture": json.dumps(dict(OURS.architecture))},
    "the rest of our recipe": {
        "symmetries": "true",
        "both_ways": "true",
        "elastic": str(OURS.elastic),
        "weight_decay": str(OURS.weight_decay),
        "weight_average": "0.99",  # for as many steps as `quick` takes, or more
        "lr": str(OURS.lr),
        "lr_decay": "1",
        "schedule": OURS.schedule,
        "initial_momentum": str(OURS.momentum),
    },
}


def rungs(recipe: Recipe) -> list[tuple[str, Recipe]]:
    """The rungs, with equally many steps each, from a recipe of the paper's training."""
    shown = recipe.epoch_pairs or recipe.pairs * (1 + recipe.fixed_distortions)
    settings: dict[str, str] = {"steps": str(shown // recipe.batch_size)}
    found = []
    for name, changes in RUNGS.items():
        settings |= changes
        found.append((name, override(recipe, settings)))
    return found
