"""The paper's training as a recipe, its data, and its readings."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from disk import png

from scratchnet.data.alphabets import Alphabet
from scratchnet.data.splits import VALIDATION_ALPHABETS
from scratchnet.errors import ScratchnetError
from scratchnet.oneshot.trials import sample_runs
from scratchnet.paper import method
from scratchnet.paper.cells import tables
from scratchnet.paper.choices import choices
from scratchnet.paper.ladder import RUNGS, rungs
from scratchnet.paper.method import Material, alphabets_of, training
from scratchnet.paper.scales import SCALES, find_scale

FULL = SCALES["full"]


def test_the_training_is_the_papers():
    recipe = training(FULL, "it", pairs=90_000, per_layer={"head": {"lr": 0.5}})
    assert (recipe.batch_size, recipe.pairs, recipe.fixed_distortions, recipe.epoch_pairs) == (128, 90_000, 8, 0)
    assert (recipe.lr_decay, recipe.initial_momentum, recipe.epochs) == (0.99, 0.5, 200)
    assert (recipe.validation_trials, recipe.patience, recipe.keep, recipe.drawers) == (320, 20, "best", 12)
    assert recipe.optimiser().settings("head.weight").lr == 0.5
    plain = training(FULL, "it", pairs=90_000, distorted=False)
    assert (plain.fixed_distortions, plain.distort) == (0, False)


def test_small_shows_300_000_pairs_to_every_network():
    small = SCALES["small"]
    assert small.epochs * small.epoch_pairs == 300_000
    assert find_scale("small") is small
    with pytest.raises(ScratchnetError, match=r"unknown scale 'smal' \(did you mean 'small'\?\): choose one of full"):
        find_scale("smal")


@pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES)
def test_every_recipe_of_every_scale_has_a_folder_of_its_own(scale):
    recipes = [r for table in tables(scale, 3, {}, ("Korean",)).values() for c in table.cells for r in c.recipes]
    by_name = {}
    for recipe in recipes:
        assert by_name.setdefault(recipe.name, recipe) == recipe
    assert {recipe.seed for recipe in recipes} == {3, 4}
    assert {recipe.validation_alphabets for recipe in recipes} == {("Korean",)}


def test_a_choice_changes_one_reading_and_nothing_else():
    recipe = training(SCALES["small"], "it", pairs=1000)
    found = choices(recipe)
    assert [choice.name for choice in found if choice.literal] == ["initialisation", "L2 penalty", "affine maps"]
    changed = [differences(recipe, choice.applied_to(recipe)) for choice in found]
    assert changed == [
        {"architecture": recipe.architecture | {"init": "literal"}},
        {"penalty": "printed"},
        {"as_listed": True},
        {"fixed_distortions": 0},
        {"negatives": "across"},
        {"momentum_epochs": 10},
    ]


def differences(before, after):
    old, new = vars(before), vars(after)
    return {name: value for name, value in new.items() if value != old[name]}


def test_the_ladder_ends_with_our_recipe_in_as_many_steps():
    recipe = training(SCALES["small"], "it", pairs=150_000)
    found = rungs(recipe)
    assert [name for name, _ in found] == list(RUNGS)
    first, last = found[0][1], found[-1][1]
    assert (first.architecture["init"], first.negatives) == ("literal", "across")
    ours = method.find_recipe("omniglot")
    same = ("architecture", "objective", "hands", "both_ways", "symmetries", "elastic", "lr", "schedule", "momentum")
    assert all(getattr(last, name) == getattr(ours, name) for name in same)
    for _, rung in found:
        steps = rung.epoch_pairs // rung.batch_size if rung.objective == "pairs" else rung.steps
        assert (steps, rung.epochs) == (234, 10)
    assert all(differences(before, after) for (_, before), (_, after) in itertools.pairwise(found))


@pytest.fixture
def place(tmp_path):
    """Omniglot's background set in the small: two alphabets to train on beside the five."""

    def write(folder, names):
        for name in names:
            for character in (1, 2):
                where = tmp_path / folder / name / f"character{character:02}"
                where.mkdir(parents=True)
                for drawer in range(1, 21):
                    ink = 1000 * sum(map(ord, name)) + 100 * character + drawer
                    (where / f"{character:04}_{drawer:02}.png").write_bytes(png(ink))

    write("images_background", ("Latin", "Greek", *VALIDATION_ALPHABETS))
    return tmp_path, write


def test_without_the_evaluation_set_five_background_alphabets_stand_for_it(place):
    material = Material(place[0])
    split = material.split
    assert sorted(alphabet.name for alphabet in split.train) == ["Greek", "Latin"]
    assert [alphabet.name for alphabet in split.validation] == list(VALIDATION_ALPHABETS)
    assert [a.name for a in split.test] == list(VALIDATION_ALPHABETS)
    assert [alphabets[0].drawers for alphabets in (split.train, split.validation, split.test)] == [12, 4, 4]
    assert not np.array_equal(split.validation[0].images, split.test[0].images)
    assert material.description.startswith("a substitute for the paper's split, which needs the evaluation set: 2 ")


def test_with_it_the_alphabets_of_the_official_runs_are_for_testing(place):
    folder, write = place
    write("images_evaluation", ("Angelic", "Tengwar", "Keble", "Oriya"))
    material = Material(folder)
    shown = [Alphabet(a.name, a.images) for a in evaluation(folder) if a.name in ("Keble", "Oriya")]
    vars(material)["official"] = sample_runs(shown, 2, rng=np.random.default_rng(0), n_way=2)
    split = material.split
    assert len(split.train) == 7
    assert [alphabet.name for alphabet in split.validation] == ["Angelic", "Tengwar"]
    assert [alphabet.name for alphabet in split.test] == ["Keble", "Oriya"]
    assert [alphabets[0].drawers for alphabets in (split.train, split.validation, split.test)] == [12, 4, 4]
    assert "2 by 4 others to validate on, 2 by 4 more to test on" in material.description


def evaluation(folder):
    return method.load_omniglot(folder / "images_evaluation")


def test_alphabets_are_found_in_runs_by_their_drawings(material):
    alphabets = material.split.train
    runs = sample_runs(alphabets[1:2], 1, rng=np.random.default_rng(0), n_way=5)
    assert alphabets_of(runs, alphabets) == (alphabets[1].name,)
    assert alphabets_of([replace(run, support=~run.support) for run in runs], alphabets) == ()
