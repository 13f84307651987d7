"""The recipes by name: each can be built and trained."""

import pytest

from scratchnet.errors import ScratchnetError
from scratchnet.models.networks import ARCHITECTURES, build
from scratchnet.train.recipes import RECIPES, find_recipe

SMALL: dict[str, dict[str, object]] = {
    "compact": {"width": 2, "features": 3},
    "koch2015": {"image_size": 65, "channels": [2, 3, 2, 3], "features": 3},
}


def test_an_unknown_recipe_is_refused_with_the_known_ones():
    assert find_recipe("glyphs") is RECIPES["glyphs"]
    with pytest.raises(ScratchnetError, match="'vgg': choose one of glyphs, quick, omniglot, koch2015"):
        find_recipe("vgg")


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_every_recipe_names_an_architecture_that_can_be_built_and_trained(recipe, rng):
    name = recipe.architecture["name"]
    assert name in ARCHITECTURES
    net = build({**recipe.architecture, **SMALL[name]}, seed=recipe.seed)
    assert recipe.image_size == recipe.architecture.get("image_size", 105)
    before = {name: value.copy() for name, value in net.params.items()}
    grads = {name: rng.standard_normal(value.shape).astype(value.dtype) for name, value in net.params.items()}
    recipe.optimiser().step(net.params, grads)
    assert all((net.params[name] != before[name]).any() for name in before)


def test_the_recipe_of_the_paper_has_the_figures_of_the_paper():
    recipe = RECIPES["koch2015"]
    assert (recipe.objective, recipe.image_size, recipe.pairs, recipe.fixed_distortions) == ("pairs", 105, 30_000, 8)
    assert (recipe.lr_decay, recipe.initial_momentum, recipe.drawers, recipe.patience) == (0.99, 0.5, 12, 20)
    assert len(recipe.validation_alphabets) > 0
