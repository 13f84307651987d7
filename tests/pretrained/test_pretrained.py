"""Bundled networks: found by name, checked before use, and as accurate as their cards say."""

import configparser
import hashlib
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest

import scratchnet
from scratchnet import pretrained
from scratchnet.checkpoint import load_bundled, load_model, load_model_with_notes, save_model
from scratchnet.data.locate import find_data
from scratchnet.errors import REINSTALL, CheckpointError
from scratchnet.models.networks import compact, parameter_count
from scratchnet.oneshot import tasks as figures
from scratchnet.oneshot import trials as oneshot

LARGEST = 5_000_000  # bytes


every_bundled_network = pytest.mark.parametrize("name", pretrained.names())


@every_bundled_network
def test_a_bundled_network_is_small_and_loads(name):
    assert pretrained.size(name) <= LARGEST
    net, notes = load_bundled(name)
    card = pretrained.card(name)
    assert (card.name, card.parameters, card.recipe) == (name, parameter_count(net.params), notes["recipe"])
    assert card.storage["bytes"] == pretrained.size(name)


@every_bundled_network
def test_the_official_figure_is_that_of_the_card(name, real_data):
    first = pretrained.card(name).figures[0]
    if first["task"] != figures.OFFICIAL:
        pytest.skip(f"the card of {name} has no official figure")
    runs = oneshot.official_runs(find_data(real_data, "all_runs.zip", "all_runs"))
    result = oneshot.evaluate(load_model(name), runs)
    assert (result.correct, result.trials) == (first["correct"], first["trials"])


def test_all_files_of_bundled_networks_are_packed_into_a_wheel():
    root = Path(scratchnet.__file__).parent.parent
    config = configparser.ConfigParser()
    if not config.read(root / "setup.cfg"):
        pytest.skip("is about the source tree")
    patterns = [p.strip() for p in config["options.package_data"]["scratchnet.pretrained"].split(",")]
    files = [file for file in (root / "scratchnet" / "pretrained").iterdir() if file.is_file() and file.suffix != ".py"]
    for name in ("omniglot.npz", "omniglot.json", "omniglot.md", *(file.name for file in files)):
        assert any(fnmatch(name, pattern) for pattern in patterns), name


# Names and paths


def test_a_bundled_network_is_loaded_by_its_name(bundle, tiny_net, rng):
    bundle("stand-in", tiny_net, "float32")
    bundle("another", compact(image_size=24, width=2, features=8))
    assert pretrained.names() == ["another", "stand-in"]
    net, notes = load_model_with_notes("stand-in")
    images = rng.random((3, 16, 16)).astype(np.float32)
    np.testing.assert_array_equal(net.embed(images), tiny_net.embed(images))
    assert notes["recipe"]["name"] == "tiny"
    assert load_model("another").image_size == 24


def test_the_public_function_takes_a_name_and_a_device(bundle, tiny_net, device):
    bundle("stand-in", tiny_net)
    assert scratchnet.load_model("stand-in", device=device).device is device


def as_weights(path):
    save_model(path, compact(image_size=24, width=2, features=8))


def as_damaged_weights(path):
    as_weights(path)
    path.write_bytes(path.read_bytes()[:-100])


# A path with the name of a bundled network, and whether the name then means the path.
PLACES = {
    "nothing": (lambda path: None, False),
    "an empty folder": (lambda path: path.mkdir(), False),
    "Omniglot's folder": (lambda path: (path / "images_background" / "Greek").mkdir(parents=True), False),
    "a note": (lambda path: path.write_text("to do"), False),
    "a link to nowhere": (lambda path: path.symlink_to("nowhere"), False),
    "a run folder": (lambda path: (path.mkdir(), as_weights(path / "weights.npz")), True),
    "a weights file": (as_weights, True),
    "a link to a weights file": (lambda path: (as_weights(path.with_name("w")), path.symlink_to("w")), True),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_bundled_name_means_that_network_unless_a_run_or_weights_file_has_it(
    place, bundle, tiny_net, tmp_path, monkeypatch
):
    make, is_meant = PLACES[place]
    bundle("omniglot", tiny_net)
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "omniglot")
    assert load_model("omniglot").image_size == (24 if is_meant else 16)
    assert load_bundled("omniglot")[0].image_size == 16
    for path in ("./omniglot", "omniglot/", tmp_path / "omniglot", Path("omniglot"), str(tmp_path / "omniglot")):
        if is_meant and path != "omniglot/":
            assert load_model(path).image_size == 24
        elif not is_meant:
            with pytest.raises(CheckpointError, match="omniglot"):
                load_model(path)


def test_a_run_without_weights_yet_is_not_taken_for_the_bundled_network(bundle, tiny_net, tmp_path, monkeypatch):
    bundle("omniglot", tiny_net)
    monkeypatch.chdir(tmp_path)
    Path("omniglot").mkdir()
    Path("omniglot", "recipe.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"omniglot.weights\.npz does not exist"):
        load_model("omniglot")


def test_damaged_weights_are_refused_and_not_replaced_by_the_bundled_ones(bundle, tiny_net, tmp_path, monkeypatch):
    bundle("omniglot", tiny_net)
    monkeypatch.chdir(tmp_path)
    as_damaged_weights(tmp_path / "omniglot")
    with pytest.raises(CheckpointError, match="omniglot is damaged"):
        load_model("omniglot")


def refusal_of(name):
    with pytest.raises(CheckpointError) as refusal:
        load_model(name)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_an_unknown_name_is_one_line_with_the_known_ones(bundle, tiny_net):
    assert refusal_of("omniglot").endswith("or the name of a bundled network (there is none)")
    bundle("small", tiny_net)
    bundle("large", tiny_net)
    assert refusal_of("omniglot").startswith("omniglot does not exist: expected a saved network, a run folder")
    assert refusal_of("omniglot").endswith("or the name of a bundled network (large, small)")
    with pytest.raises(CheckpointError, match=r"no network called omniglot is bundled .* \(large, small\)"):
        load_bundled("omniglot")


@pytest.mark.parametrize("name", ["../pretrained/small", "small.npz", "small/"])
def test_nothing_but_a_name_is_a_name(name, bundle, tiny_net, tmp_path, monkeypatch):
    bundle("small", tiny_net)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    with pytest.raises(CheckpointError):
        load_model(name)


def test_a_bundled_file_that_is_not_that_of_its_card_is_refused(bundle, tiny_net):
    path = bundle("stand-in", tiny_net)
    tiny_net.params["head.bias"] += 1
    save_model(path, tiny_net)  # intact, but another one
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    assert refusal_of("stand-in") == (
        f"{path} is not the file that its card describes, its SHA-256 is {found}; {REINSTALL}"
    )
