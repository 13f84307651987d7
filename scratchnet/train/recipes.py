"""The recipes that come with scratchnet, by name."""

from scratchnet.common.spelling import hint
from scratchnet.data.splits import VALIDATION_ALPHABETS
from scratchnet.errors import ScratchnetError
from scratchnet.train.recipe import Recipe

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "glyphs",
            "glyphs",
            {"name": "compact", "image_size": 24, "width": 8, "features": 256},
            "episodes",
            epochs=12,
            steps=50,
            batch_size=4,
            lr=0.05,
            lr_decay=0.8,
            n_way=20,
            validation_trials=800,
        ),
        Recipe(
            "quick",
            "omniglot",
            {"name": "compact", "image_size": 48, "width": 16, "features": 512, "frame": "ink"},
            "episodes",
            epochs=10,
            steps=110,
            batch_size=2,
            hands=2,
            n_way=20,
            both_ways=True,
            symmetries=True,
            elastic=0.05,
            lr=0.05,
            schedule="cosine",
            weight_average=0.99,
            keep="last",
            validation_trials=2000,
            validation_alphabets=VALIDATION_ALPHABETS,
        ),
        # Chosen on VALIDATION_ALPHABETS (benchmarks/record.md); it trains on all alphabets, without a validation.
        Recipe(
            "omniglot",
            "omniglot",
            {"name": "compact", "image_size": 48, "width": 32, "features": 768, "frame": "ink"},
            "episodes",
            epochs=20,
            steps=220,
            batch_size=2,
            hands=2,
            n_way=20,
            both_ways=True,
            symmetries=True,
            elastic=0.05,
            lr=0.05,
            schedule="cosine",
            weight_average=0.998,
            keep="last",
            validation_trials=2000,
        ),
        # Not quite the paper's split, which is also in data/splits.py: of the 30 background alphabets 25 train and 5
        # validate, so that the evaluation set is not needed. The paper searches its penalties; 1e-4 |w|^2 is ours.
        Recipe(
            "koch2015",
            "omniglot",
            {"name": "koch2015"},
            "pairs",
            epochs=200,
            pairs=30_000,
            batch_size=128,
            fixed_distortions=8,
            lr=0.01,
            lr_decay=0.99,
            momentum=0.9,
            initial_momentum=0.5,
            momentum_epochs=20,
            weight_decay=2e-4,
            drawers=12,
            validation_alphabets=VALIDATION_ALPHABETS,
        ),
        Recipe(
            "own",
            "own",
            {"name": "compact", "image_size": 48, "width": 16, "features": 512, "frame": "ink"},
            "episodes",
            epochs=10,
            steps=60,
            batch_size=2,
            hands=2,
            n_way=20,
            both_ways=True,
            elastic=0.05,
            lr=0.05,
            schedule="cosine",
            weight_average=0.99,
            keep="last",
            validation_trials=1000,
        ),
        # For a network that is trained already, whose architecture it takes: all layers move, and batch norm normalises
        # by the batch. Chosen by what was kept out of two folders (docs/own-data.md).
        Recipe(
            "tune",
            "own",
            {"name": "compact", "image_size": 48, "width": 32, "features": 768, "frame": "ink"},
            "episodes",
            epochs=5,
            steps=20,
            batch_size=2,
            hands=2,
            n_way=20,
            both_ways=True,
            elastic=0.05,
            lr=0.03,
            schedule="cosine",
            weight_average=0.9,
            keep="last",
            validation_trials=1000,
        ),
    )
}


def find_recipe(name: str) -> Recipe:
    """The recipe called `name`. Raises ScratchnetError when there is none."""
    if name not in RECIPES:
        raise ScratchnetError(f"unknown recipe {name!r}{hint(name, RECIPES)}: choose one of {', '.join(RECIPES)}")
    return RECIPES[name]
