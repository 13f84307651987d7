"""Recipes: settings changed by name, refused when they make no sense, and the same after a round trip through JSON."""

import json
from dataclasses import asdict, replace

import pytest

from scratchnet.errors import CheckpointError, ScratchnetError
from scratchnet.models.networks import ARCHITECTURES, build
from scratchnet.train.recipes import RECIPES, Recipe, find_recipe, override

SMALL = {
    "compact": {"width": 2, "features": 3},
    "koch2015": {"image_size": 65, "channels": [2, 3, 2, 3], "features": 3},
}
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
    architecture={"name": "compact", "width": 3, "norm": False},
)


@pytest.mark.parametrize(
    ("settings", "field", "value"),
    [
        ({"lr": "0.125"}, "lr", 0.125),
        ({"lr": "1"}, "lr", 1),
        ({"epochs": "3"}, "epochs", 3),
        ({"symmetries": "true"}, "symmetries", True),
        ({"initial_momentum": "0.5"}, "initial_momentum", 0.5),
        ({"validation_alphabets": '["Latin", "Greek"]'}, "validation_alphabets", ("Latin", "Greek")),
        ({"validation_alphabets": "[]"}, "validation_alphabets", ()),
        (
            {"architecture.frame": "ink"},
            "architecture",
            {"name": "compact", "image_size": 24, "width": 8, "features": 256, "frame": "ink"},
        ),
        ({"per_layer.encoder.conv1": '{"lr": 0.5}'}, "per_layer", {"encoder.conv1": {"lr": 0.5}}),
        ({"objective": "pairs", "pairs": "60"}, "objective", "pairs"),
        (
            {"architecture.width": "3", "architecture.features": "7"},
            "architecture",
            {"name": "compact", "image_size": 24, "width": 3, "features": 7},
        ),
        (
            {"architecture.norm": "false"},
            "architecture",
            {"name": "compact", "image_size": 24, "width": 8, "features": 256, "norm": False},
        ),
        (
            {"architecture": '{"name": "koch2015", "init": "literal"}'},
            "architecture",
            {"name": "koch2015", "init": "literal"},
        ),
        ({"schedule": "cosine", "lr_decay": "1"}, "schedule", "cosine"),
        ({"warm_up_epochs": "2"}, "warm_up_epochs", 2),
        ({"weight_average": "0.998"}, "weight_average", 0.998),
        ({"weight_average": "1"}, "weight_average", 1),
        ({"elastic": "0.05"}, "elastic", 0.05),
        ({"stroke": "0.75"}, "stroke", 0.75),
        ({"both_ways": "true"}, "both_ways", True),
    ],
)
def test_a_setting_changes_its_field_and_no_other(settings, field, value):
    before, changed = RECIPES["glyphs"], override(RECIPES["glyphs"], settings)
    assert getattr(changed, field) == value
    assert type(getattr(changed, field)) is type(value)
    others = {name.partition(".")[0] for name in settings}
    assert {k: v for k, v in asdict(changed).items() if k not in others} == {
        k: v for k, v in asdict(before).items() if k not in others
    }


def test_an_override_leaves_the_recipe_as_it_was():
    before = asdict(RECIPES["glyphs"])
    override(RECIPES["glyphs"], {"architecture.width": "3", "lr": "0.5", "per_layer.head": '{"lr": 0.1}'})
    assert asdict(RECIPES["glyphs"]) == before


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("colour", "3", "no setting 'colour': there are data, architecture"),
        ("", "3", "no setting ''"),
        ("name", "mine", "no setting 'name'"),
        ("lr.x", "1", "lr has no parts"),
        ("lr", "fast", "lr=fast is not a number"),
        ("lr", "NaN", "lr=NaN is not a number"),
        ("lr", "1e400", "lr=1e400 is not a number"),
        ("lr", "-0.5", "lr=-0.5 is out of range: give 0.0 or more"),
        ("epochs", "1.5", "epochs=1.5 is not a whole number"),
        ("epochs", "true", "epochs=True is not a whole number"),
        ("epochs", "0", "epochs=0 is out of range: give 1 or more"),
        ("steps", "0", "steps=0 is out of range: give 1"),
        ("patience", "0", "patience=0"),
        ("n_way", "1", "n_way=1 is out of range: give 2"),
        ("batch_size", "-1", "batch_size=-1"),
        ("validation_trials", "0", "validation_trials=0"),
        ("momentum_epochs", "0", "momentum_epochs=0"),
        ("seed", "-1", "seed=-1"),
        ("distort", "1", "distort=1 is not true or false"),
        ("objective", "triplets", "objective=triplets is none of pairs, episodes"),
        ("objective", "pairs", "pairs=0 is out of range: give 1"),
        ("data", "cifar", "data=cifar is none of glyphs, omniglot"),
        ("initial_momentum", "none", "initial_momentum=none is not a number"),
        ("validation_alphabets", "Latin", "validation_alphabets=Latin is not a list"),
        ("architecture", "3", "architecture=3 is not a JSON object"),
        ("architecture.width", "wide", "architecture.width=wide is not a whole number"),
        ("architecture.width", "0", "architecture.width=0 is out of range"),
        ("architecture.norm", "0.5", "architecture.norm=0.5 is out of range"),
        ("architecture.colours", '["red"]', "architecture.colours is no option of compact"),
        ("architecture", '{"name": "koch2015", "image_size": "big"}', "architecture.image_size=big is out of range"),
        ("schedule", "steps", "schedule=steps is none of decay, cosine"),
        ("schedule", "cosine", "lr_decay=0.8 goes with schedule=decay: with the cosine, set it to 1"),
        ("warm_up_epochs", "-1", "warm_up_epochs=-1 is out of range: give 0"),
        ("weight_average", "1.5", "weight_average=1.5 is out of range: give 0.0 to 1.0"),
        ("elastic", "-0.1", "elastic=-0.1 is out of range: give 0.0 or more"),
        ("elastic", "5", "elastic=5 is out of range: give 0.0 to 1.0"),
        ("stroke", "1.1", "stroke=1.1 is out of range: give 0.0 to 1.0"),
        ("both_ways", "1", "both_ways=1 is not true or false"),
        ("architecture.frame", "box", "unknown frame 'box': choose one of page, ink"),
        ("architecture.frame", "3", "unknown frame 3: choose one of page, ink"),
        ("architecture.frame", "[]", "unknown frame []: choose one of page, ink"),
        ("widht", "3", "the recipe has no setting 'widht' (did you mean 'architecture.width'?): there are data, arch"),
        ("Batch-Size", "3", "no setting 'Batch-Size' (did you mean 'batch_size'?)"),
        ("LR", "3", "no setting 'LR' (did you mean 'lr'?)"),
        ("archtecture.width", "3", "no setting 'archtecture' (did you mean 'architecture.width'?)"),
        (
            "architecture.widht",
            "3",
            "architecture.widht is no option of compact (did you mean 'width'?): there are image",
        ),
        (
            "architecture.name",
            "kohc2015",
            "kohc2015 is none of koch2015, compact (did you mean 'koch2015'?): choose one",
        ),
        ("architecture.frame", "inc", "unknown frame 'inc' (did you mean 'ink'?): choose one of page, ink"),
        ("architecture", '{"name": 5}', "architecture.name=5 is none of koch2015, compact: choose one"),
        ("keep", "lost", "keep=lost is none of best, last (did you mean 'last'?): choose one"),
        ("objective", "episode", "objective=episode is none of pairs, episodes (did you mean 'episodes'?): choose one"),
        ("lr", "0,02", "lr=0,02 is not a number: the recipe has lr=0.05, write 0.02"),
        ("epochs", "3.0", "epochs=3.0 is not a whole number: the recipe has epochs=12"),
        ("distort", "yes", "distort=yes is not true or false: the recipe has distort=true"),
        ("validation_alphabets", "Latin", 'write a list such as ["Korean", "Latin"]'),
        ("lr.x", "1", "such as 'lr.x': write lr=1"),
        ("per_layer.head", "5", "per_layer.head=5 is no setting of a layer"),
        ("per_layer.head", '{"speed": 1}', "give some of lr, momentum, weight_decay"),
        ("per_layer.head", '{"lr": "a"}', "per_layer.head"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_in_one_line(name, value, message):
    with pytest.raises(ScratchnetError) as refusal:
        override(RECIPES["glyphs"], {name: value})
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"both_ways": "true"}, "both_ways=true is about whole episodes: it goes with objective=episodes"),
        ({"hands": "2"}, "hands=2 is about whole episodes: it goes with objective=episodes"),
        ({"symmetries": "true"}, "symmetries=true is about whole episodes: it goes with objective=episodes"),
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


def test_an_unknown_recipe_is_refused_with_those_there_are():
    assert find_recipe("glyphs") is RECIPES["glyphs"]
    with pytest.raises(ScratchnetError, match="'vgg': choose one of glyphs, quick, omniglot, koch2015"):
        find_recipe("vgg")


@pytest.mark.parametrize("recipe", [*RECIPES.values(), RICH], ids=[*RECIPES, "rich"])
def test_a_recipe_is_the_same_after_a_round_trip_through_json(recipe, tmp_path):
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(recipe.as_dict()))
    read = Recipe.read(path)
    assert read == recipe
    assert read.as_dict() == recipe.as_dict()


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
    optimiser.epoch = 2
    assert optimiser.settings("head.weight") == (0.125, 0.5, 0.125)
    optimiser.epoch = 8
    assert optimiser.settings("head.weight") == (0.5**9, 0.75, 0.125)
    warmed = replace(recipe, schedule="cosine", lr_decay=1.0, epochs=4, warm_up_epochs=1).optimiser()
    assert warmed.settings("head.weight") == (0.25, 0.25, 0.125)
    warmed.epoch = 2
    assert warmed.settings("head.weight") == (0.25, 0.5, 0.125)
    assert recipe.optimiser() is not optimiser
    assert recipe.optimiser().epoch == 0


def test_the_recipe_of_the_paper_has_the_figures_of_the_paper():
    recipe = RECIPES["koch2015"]
    assert (recipe.objective, recipe.image_size, recipe.pairs, recipe.fixed_distortions) == ("pairs", 105, 30_000, 8)
    assert (recipe.lr_decay, recipe.initial_momentum, recipe.drawers, recipe.patience) == (0.99, 0.5, 12, 20)
    assert len(recipe.validation_alphabets) > 0
