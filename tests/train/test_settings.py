"""Settings change a recipe by name, and are refused when they make no sense."""

from dataclasses import asdict

import pytest

from scratchnet.errors import ScratchnetError
from scratchnet.train.recipes import RECIPES
from scratchnet.train.settings import override


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
