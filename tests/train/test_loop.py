"""A run from start to end: its folder, its schedules, and what it refuses."""

import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from helpers import everything_in, same_bits
from short_runs import RUNS, TINY, every_objective, outcome, refusal_of

from scratchnet.backend import device_of, to_host
from scratchnet.checkpoint import WEIGHTS, load_model_with_notes
from scratchnet.data import splits
from scratchnet.errors import CheckpointError, DataError, ScratchnetError
from scratchnet.train import LOG, RECIPE, STATE, load_split, train
from scratchnet.train.folder import TABLE
from scratchnet.train.recipe import Recipe
from scratchnet.train.recipes import RECIPES


def test_the_loss_of_a_run_falls_epoch_by_epoch(split, tmp_path):
    recipe = replace(
        TINY,
        epochs=3,
        steps=15,
        batch_size=4,
        lr_decay=1.0,
        distort=False,
        architecture={**TINY.architecture, "width": 4, "features": 16},
    )
    train(recipe, split, tmp_path, quiet=True)
    losses = [json.loads(line)["loss"] for line in (tmp_path / LOG).read_text().splitlines()]
    assert losses[0] > losses[1] > losses[2]


@every_objective
def test_a_run_folder_holds_the_recipe_the_best_network_the_state_and_a_log(recipe, split, tmp_path):
    net = train(recipe, split, tmp_path / "deep" / "run", quiet=True)
    out = tmp_path / "deep" / "run"
    assert sorted(path.name for path in out.iterdir()) == sorted([RECIPE, WEIGHTS, STATE, LOG, TABLE])
    assert Recipe.read(out / RECIPE) == recipe
    loaded, notes = load_model_with_notes(out)
    assert same_bits(loaded.params, net.params)
    log = [json.loads(line) for line in (out / LOG).read_text().splitlines()]
    assert [record["epoch"] for record in log] == [1, 2, 3]
    assert notes["recipe"] == recipe.as_dict()
    assert notes["validation"] == max(record["validation"] for record in log)


def test_a_run_writes_no_pickle(split, tmp_path):
    train(replace(TINY, epochs=1), split, tmp_path, quiet=True)
    for name in (WEIGHTS, STATE):
        with zipfile.ZipFile(tmp_path / name) as archive:
            for member in archive.namelist():
                with archive.open(member) as file:
                    assert not np.lib.format.read_array(file, allow_pickle=False).dtype.hasobject


@every_objective
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(recipe, split, tmp_path):
    for name, seed in (("a", 11), ("b", 11), ("c", 12)):
        train(replace(recipe, epochs=1, seed=seed), split, tmp_path / name, quiet=True)
    assert outcome(tmp_path / "a") == outcome(tmp_path / "b")
    assert outcome(tmp_path / "a")[0] != outcome(tmp_path / "c")[0]


def test_training_runs_on_any_device_and_agrees_with_the_cpu(split, tmp_path, device):
    recipe = replace(RUNS["pairs, fixed distortions"], epochs=1)
    net = train(recipe, split, tmp_path / "device", device=device, quiet=True)
    reference = train(recipe, split, tmp_path / "cpu", device="cpu", quiet=True)
    assert {device_of(value).name for value in net.params.values()} == {device.name}
    for name, value in reference.params.items():
        np.testing.assert_allclose(to_host(net.params[name]), value, rtol=1e-3, atol=1e-4, err_msg=name)


def test_the_schedules_follow_the_epoch(split, tmp_path, steps):
    settings = []
    steps.then = lambda _: settings.append(steps[-1][1].settings("head.weight"))
    recipe = replace(RUNS["pairs, fresh distortions"], momentum=0.9)
    train(recipe, split, tmp_path, quiet=True)
    np.testing.assert_allclose(np.array(settings)[::4], [[0.05, 0.5, 2e-4], [0.025, 0.7, 2e-4], [0.0125, 0.9, 2e-4]])
    assert settings == [one for one in settings[::4] for _ in range(4)]
    log = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    assert [record["lr"] for record in log] == [0.05, 0.025, 0.0125]


def test_the_log_has_the_mean_loss_of_each_epoch(split, tmp_path, steps):
    train(TINY, split, tmp_path, quiet=True)
    logged = [json.loads(line)["loss"] for line in (tmp_path / LOG).read_text().splitlines()]
    losses = np.array([loss for _, _, loss in steps]).reshape(3, 4)
    np.testing.assert_allclose(logged, losses.mean(axis=1), rtol=1e-12)


def test_the_learning_rate_follows_half_a_cosine_and_keeps_to_it_within_an_epoch(split, tmp_path, steps):
    rates = []
    steps.then = lambda _: rates.append(steps[-1][1].settings("head.weight")[0])
    recipe = replace(TINY, schedule="cosine", lr_decay=1.0)
    train(recipe, split, tmp_path, quiet=True)
    expected = [0.05, 0.05 * 0.75, 0.05 * 0.25]  # 1 + cos of 0, 60 and 120 degrees
    np.testing.assert_allclose(rates, np.repeat(expected, 4), rtol=1e-12)
    log = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    np.testing.assert_allclose([record["lr"] for record in log], expected, rtol=1e-12)


def test_a_run_with_time_enough_is_not_cut_short(split, tmp_path, steps):
    train(TINY, split, tmp_path, max_minutes=60, quiet=True)
    assert len(steps) == 12


def test_the_recipe_says_which_data_are_loaded(monkeypatch, tmp_path):
    for name, count in (("GLYPH_TRAIN", 2), ("GLYPH_VALIDATION", 1), ("GLYPH_TEST", 1)):
        monkeypatch.setattr(splits, name, count)
    split = load_split(TINY)
    assert [len(part) for part in (split.train, split.validation, split.test)] == [2, 1, 1]
    assert split.train[0].images.shape[-2:] == (16, 16)
    with pytest.raises(DataError, match="images_background"):
        load_split(RECIPES["quick"], tmp_path)


# What is refused


@pytest.fixture
def finished(split, tmp_path):
    train(replace(TINY, epochs=1), split, tmp_path / "run", quiet=True)
    return tmp_path / "run"


def test_a_folder_with_a_run_is_refused_and_left_alone(finished, split):
    before = everything_in(finished)
    message = refusal_of(CheckpointError, TINY, split, finished)
    assert f"{finished} holds a run already: go on with --resume" in message
    assert everything_in(finished) == before


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        (DataError, {"objective": "pairs", "pairs": 7, "batch_size": 8}, "a batch of 8 is larger than the 7 pairs"),
        (DataError, {"n_way": 7}, "episodes of 7 characters"),
        (ScratchnetError, {"per_layer": {"encoder.conv9": {"lr": 0.1}}}, "per_layer sets encoder.conv9"),
        (ScratchnetError, {"architecture": {"name": "compact", "colour": 1}}, "does not take these options"),
    ],
)
def test_a_recipe_that_does_not_fit_the_data_is_refused_before_a_folder_is_made(kind, change, message, split, tmp_path):
    assert message in refusal_of(kind, replace(TINY, **change), split, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("part", ["train", "validation"])
def test_a_split_without_alphabets_is_refused_before_a_folder_is_made(part, split, tmp_path):
    for recipe in (TINY, replace(TINY, data="omniglot", validation_alphabets=("Korean",))):
        assert "no alphabets to" in refusal_of(DataError, recipe, replace(split, **{part: []}), tmp_path / "run")
        assert not (tmp_path / "run").exists()
