"""Checkpoints, states and notes that claim much: refused in little memory, before anything of that size is made."""

import json
import os
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from disk import little_memory

from scratchnet import pretrained
from scratchnet.checkpoint import DESCRIPTION, WEIGHTS, load_arrays, load_model, save_arrays, save_model
from scratchnet.errors import CheckpointError
from scratchnet.files import npz
from scratchnet.models.networks import ARCHITECTURES, build, describe
from scratchnet.pretrained.card import Card
from scratchnet.train.recipe import Recipe
from scratchnet.train.recipes import RECIPES
from scratchnet.train.state import expect_resumable, read_log

RECIPE = RECIPES["glyphs"]


def refusal_of(load, *arguments):
    with little_memory(), pytest.raises(CheckpointError) as refusal:
        load(*arguments)
    assert str(refusal.value).isprintable()
    return str(refusal.value)


@pytest.mark.parametrize(
    "architecture",
    [
        {"name": "compact", "width": 3000},
        {"name": "compact", "features": 10**9},
        {"name": "compact", "image_size": 10**12},
        {"name": "koch2015"},
        {"name": "koch2015", "channels": [10**6] * 4},
        {"name": "koch2015", "features": 10**30},
    ],
)
def test_a_small_file_that_describes_a_large_network_is_refused_before_one_is_made(architecture, tmp_path):
    path = tmp_path / WEIGHTS
    save_arrays(path, {}, {"architecture": architecture})
    assert str(path) in refusal_of(load_model, path)


@pytest.mark.parametrize(
    "options",
    [
        {"name": "compact", "image_size": 16, "width": 3, "features": 5},
        {"name": "compact", "image_size": 16, "width": 3, "features": 5, "norm": False, "frame": "ink"},
        {"name": "koch2015", "image_size": 65, "channels": [2, 3, 4, 5], "features": 6},
    ],
)
def test_the_outlines_of_a_network_are_those_of_its_parameters(options):
    net, (bare, outlines) = build(options), describe(options)
    assert {name: (value.shape, value.dtype) for name, value in outlines.items()} == {
        name: (value.shape, value.dtype) for name, value in net.params.items()
    }
    assert list(outlines) == list(net.params)
    assert not bare.params
    assert (bare.encoder, bare.head, bare.frame, bare.architecture) == (
        net.encoder,
        net.head,
        net.frame,
        net.architecture,
    )
    assert options["name"] in ARCHITECTURES


def test_arrays_that_the_network_has_no_use_for_are_not_read(tmp_path, tiny_net, monkeypatch):
    path = tmp_path / WEIGHTS
    save_arrays(
        path, {**tiny_net.params, "more": np.zeros(1 << 20, np.float32)}, {"architecture": dict(tiny_net.architecture)}
    )
    monkeypatch.setattr(
        npz.Npz,
        "read",
        lambda self, name, read=npz.Npz.read: (
            read(self, name) if name == DESCRIPTION else pytest.fail(f"{name} was read")
        ),
    )
    assert "far more than it describes" in refusal_of(load_model, path)


def test_a_description_of_many_bytes_or_values_is_refused(tmp_path):
    path = tmp_path / WEIGHTS
    for text in (b" " * (9 << 20), b"[" + b"[]," * 2_000_000 + b"[]]"):
        np.savez(path, **{DESCRIPTION: np.frombuffer(text, np.uint8)})
        assert "use another copy" in refusal_of(load_arrays, path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_many_or_doubled_arrays_are_refused(tmp_path):
    path = tmp_path / WEIGHTS
    for names in (["a.npy"] * 50_000, [f"{i}.npy" for i in range(50_000)]):
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(zipfile.ZipInfo(name), b"")
        assert "more than 10,000 files" in refusal_of(load_arrays, path)


def test_a_pipe_in_place_of_a_file_is_refused_at_once(tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("needs pipes in folders")
    for name in ("weights.npz", "state.npz", "recipe.json", "log.jsonl", "card.json"):
        os.mkfifo(tmp_path / name)
    for load, argument in (
        (load_model, tmp_path),
        (load_model, tmp_path / WEIGHTS),
        (read_log, tmp_path),
        (Recipe.read, tmp_path / "recipe.json"),
        (Card.read, tmp_path / "card.json"),
    ):
        assert "it is a pipe" in refusal_of(load, argument)
    assert "it is a pipe" in refusal_of(expect_resumable, tmp_path, RECIPE)


@pytest.mark.parametrize("name", ["recipe.json", "log.jsonl", "card.json"])
def test_vast_files_of_notes_are_not_read_whole(name, tmp_path):
    (tmp_path / name).touch()
    os.truncate(tmp_path / name, 3 << 30)
    load = {"recipe.json": Recipe.read, "card.json": Card.read, "log.jsonl": lambda path: read_log(path.parent)}[name]
    assert "it has more than" in refusal_of(load, tmp_path / name)


def state(tmp_path, **changes):
    """A run folder whose state.npz holds next to nothing and says these things."""
    notes = {
        "recipe": RECIPE.as_dict(),
        "epoch": 1,
        "step": 1,
        "losses": [0.5],
        "history": [{"epoch": 1, "loss": 0.5, "validation": None, "images_per_second": 1.0}],
    }
    save_arrays(tmp_path / "state.npz", {}, notes | changes)
    return tmp_path


def test_a_state_of_a_large_network_is_refused_before_one_is_made(tmp_path):
    vast = replace(RECIPE, architecture={"name": "compact", "width": 3000})
    folder = state(tmp_path, recipe=vast.as_dict())
    assert "has no encoder.conv1.weight" in refusal_of(expect_resumable, folder, vast)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epoch": "one"}, 'the state.epoch is "one", expected a whole number'),
        ({"epoch": -1}, "it is in epoch -1"),
        ({"epoch": 2}, "it is in epoch 2 and has a record of 1"),
        ({"epoch": 10**9, "history": []}, "it is in epoch 1000000000"),
        ({"step": 10**9}, "it is at step 1000000000 and has 1 losses"),
        ({"losses": None}, "the state.losses is null"),
        ({"losses": [[]]}, "the state.losses[0] is []"),
        ({"history": {}}, "the state.history is {}"),
        ({"history": [{"epoch": 1}]}, "the state.history[0] has no loss"),
        ({"history": [{"epoch": 1, "loss": 1, "validation": "good", "images_per_second": 1}]}, "validation is"),
        ({"recipe": []}, "the state.recipe is []"),
        ({"environment": 3}, "the state.environment is 3"),
    ],
)
def test_a_state_that_says_what_it_cannot_is_refused(changes, message, tmp_path):
    assert message in refusal_of(expect_resumable, state(tmp_path, **changes), RECIPE)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": "12"}, 'the recipe.epochs is "12", expected a whole number'),
        ({"epochs": True}, "the recipe.epochs is true"),
        ({"lr": [1]}, "the recipe.lr is [1], expected a number"),
        ({"lr": 10**30}, "out of range"),
        ({"architecture": "compact"}, 'the recipe.architecture is "compact", expected an object'),
        ({"architecture": {"name": 3}}, "the recipe.architecture.name is 3"),
        ({"architecture": {"name": "compact", "frame": []}}, "the recipe.architecture.frame is []"),
        ({"architecture": {"name": "compact", "width": {"a": 1}}}, "architecture.width"),
        ({"validation_alphabets": "Greek"}, "the recipe.validation_alphabets is"),
        ({"per_layer": [1]}, "the recipe.per_layer is [1]"),
        ({"per_layer": {"head": 3}}, "per_layer.head=3"),
        ({"distort": 1}, "the recipe.distort is 1, expected true or false"),
        ({"colour\n\x1b[31m": 1}, "colour"),
    ],
)
def test_a_recipe_that_says_what_it_cannot_is_refused(changes, message, tmp_path):
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(RECIPE.as_dict() | changes))
    assert message in refusal_of(Recipe.read, path)


@pytest.mark.parametrize("text", ["", "[]", "3", "null", "[" * 100_000, '{"name": 1, "name": 2}', "NaN"])
@pytest.mark.parametrize("load", [Recipe.read, Card.read])
def test_notes_that_are_no_object_are_refused(load, text, tmp_path):
    path = tmp_path / "notes.json"
    path.write_text(text)
    assert str(path) in refusal_of(load, path)


@pytest.mark.parametrize(
    "change",
    [
        lambda card: card["figures"][0].pop("shot"),
        lambda card: card["figures"][0]["interval"].pop(),
        lambda card: card["figures"].append(3),
        lambda card: card["data"].update(used=None),
        lambda card: card["storage"].update(bytes="many"),
        lambda card: card.update(colour=1),
    ],
)
def test_a_card_that_says_half_of_it_is_refused(change, tmp_path):
    name = pretrained.names()[0]
    card = json.loads((pretrained.FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    path = tmp_path / "card.json"
    path.write_text(json.dumps(card))
    assert Card.read(path) == pretrained.card(name)
    change(card)
    path.write_text(json.dumps(card))
    assert "is no card of a network" in refusal_of(Card.read, path)


@pytest.mark.parametrize("line", ["{}", "[]", '{"epoch": 1}', "\x1b[31m", '{"epoch": null, "loss": 1}'])
def test_a_damaged_log_is_refused(line, tmp_path):
    (tmp_path / "log.jsonl").write_text(line + "\n")
    assert "resuming the run writes it again" in refusal_of(read_log, tmp_path)


def test_notes_that_could_not_be_read_again_are_refused_on_saving(tmp_path, tiny_net):
    for loss in (float("nan"), float("inf"), 10**50):
        assert "is not written" in refusal_of(lambda loss=loss: save_model(tmp_path / WEIGHTS, tiny_net, loss=loss))
    assert list(tmp_path.iterdir()) == []
