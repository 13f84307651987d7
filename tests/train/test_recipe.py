"""Recipes: values that make no sense are refused, and a round trip through JSON changes nothing."""

import json
from dataclasses import replace

import pytest

from scratchnet.errors import CheckpointError, ScratchnetError
from scratchnet.train.recipe import Recipe
from scratchnet.train.recipes import RECIPES
from scratchnet.train.settings import override

RICH = replace(
    RECIPES["quick"],
    per_layer={"encoder.conv1": {"lr": 0.01, "momentum": 0.5}},
    initial_momentum=0.25,
    validation_alphabets=("Korean", "Latin"),
    schedule="cosine",
    lr_decay=1.0,
    warm_up_epochs=2,
    weight_average=0.998,
    elastic=0.05,
    stroke=0.5,
    both_ways=True,
    metric=True,
    architecture={"name": "compact", "width": 3, "norm": False},
)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"both_ways": "true"}, "both_ways=true is about whole episodes: it goes with objective=episodes"),
        ({"hands": "2"}, "hands=2 is about whole episodes: it goes with objective=episodes"),
        ({"symmetries": "true"}, "symmetries=true is about whole episodes: it goes with objective=episodes"),
        ({"epoch_pairs": "100"}, "epoch_pairs=100 fill no batch of batch_size=128: give more, or 0 for all"),
        ({"negatives": "any"}, "negatives=any is none of within, across: choose one"),
        ({"elastic": "0.1"}, "elastic=0.1 is drawn afresh for each batch: it goes with fixed_distortions=0"),
        ({"stroke": "0.1"}, "stroke=0.1 is drawn afresh for each batch: it goes with fixed_distortions=0"),
        (
            {"schedule": "cosine", "lr_decay": "1", "warm_up_epochs": "200"},
            "warm_up_epochs=200 leave nothing of a cosine",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused_in_one_line(settings, message):
    with pytest.raises(ScratchnetError) as refusal:
        override(RECIPES["koch2015"], settings)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_only_a_recipe_for_omniglot_that_names_no_alphabets_has_no_validation():
    assert [name for name, recipe in RECIPES.items() if not recipe.validates] == ["omniglot"]
    assert not override(RECIPES["quick"], {"validation_alphabets": "[]"}).validates
    assert override(RECIPES["glyphs"], {"validation_alphabets": "[]"}).validates


def test_a_recipe_from_before_a_setting_existed_has_its_default(tmp_path):
    new = ["hands", "elastic", "stroke", "both_ways", "schedule", "warm_up_epochs", "weight_average"]
    plain = {name: value for name, value in RECIPES["glyphs"].as_dict().items() if name not in new}
    (tmp_path / "recipe.json").write_text(json.dumps(plain))
    assert Recipe.read(tmp_path / "recipe.json") == RECIPES["glyphs"]


@pytest.mark.parametrize("recipe", [*RECIPES.values(), RICH], ids=[*RECIPES, "rich"])
def test_a_recipe_is_the_same_after_a_round_trip_through_json(recipe, tmp_path):
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(recipe.as_dict()))
    read = Recipe.read(path)
    assert read == recipe
    assert read.as_dict() == recipe.as_dict()


def test_a_recipe_of_0_1_has_twice_its_weight_decay():
    plain = RICH.as_dict() | {"weight_decay": 0.0123, "per_layer": {"head": {"weight_decay": 0.1, "lr": 0.5}}}
    assert plain.pop("format") == 2
    recipe = Recipe.from_dict(plain)
    assert recipe == replace(RICH, weight_decay=0.0246, per_layer={"head": {"weight_decay": 0.2, "lr": 0.5}})
    assert Recipe.from_dict(recipe.as_dict()) == recipe
    del plain["weight_decay"], plain["per_layer"]
    assert Recipe.from_dict(plain) == replace(RICH, per_layer={})


def test_a_recipe_of_a_later_format_is_refused(tmp_path):
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(RICH.as_dict() | {"format": 3}))
    with pytest.raises(CheckpointError, match="it has format 3, and this version reads 1 and 2"):
        Recipe.read(path)


def damaged(**changes):
    return json.dumps(RICH.as_dict() | changes)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "[1, 2]",
        "null",
        "{}",
        damaged(colour=3),
        damaged(format="2"),
        damaged(epochs="ten"),
        damaged(epochs=0),
        damaged(validation_alphabets=5),
        damaged(per_layer=3),
        damaged(architecture=None),
        damaged(lr=None),
        "\udcff",
    ],
)
def test_a_damaged_recipe_file_is_one_line_with_its_name(text, tmp_path):
    path = tmp_path / "recipe.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(CheckpointError, match="start a new run") as refusal:
        Recipe.read(path)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_folder_without_a_recipe_holds_no_run(tmp_path):
    with pytest.raises(CheckpointError, match=f"{tmp_path.name} holds no run"):
        Recipe.read(tmp_path / "recipe.json")


def test_the_optimiser_has_every_setting_of_the_recipe():
    recipe = replace(
        RICH,
        schedule="decay",
        warm_up_epochs=0,
        lr=0.5,
        lr_decay=0.5,
        momentum=0.75,
        momentum_epochs=4,
        weight_decay=0.125,
    )
    optimiser = recipe.optimiser()
    assert optimiser.settings("head.weight") == (0.5, 0.25, 0.125)
    assert optimiser.settings("encoder.conv1.weight") == (0.01, 0.25, 0.125)
    optimiser.start_epoch(2)
    assert optimiser.settings("head.weight") == (0.125, 0.5, 0.125)
    optimiser.start_epoch(8)
    assert optimiser.settings("head.weight") == (0.5**9, 0.75, 0.125)
    warmed = replace(recipe, schedule="cosine", lr_decay=1.0, epochs=4, warm_up_epochs=1).optimiser()
    assert warmed.settings("head.weight") == (0.25, 0.25, 0.125)
    warmed.start_epoch(2)
    assert warmed.settings("head.weight") == (0.25, 0.5, 0.125)
    assert recipe.optimiser() is not optimiser
    assert recipe.optimiser().epoch == 0
