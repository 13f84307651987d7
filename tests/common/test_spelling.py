"""A name that is nearly right: every message about one of a known set says which was probably meant."""

import ast
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import scratchnet
from scratchnet import gradcheck
from scratchnet.backend import get_device, get_precision, products, set_precision
from scratchnet.checkpoint import load_model, save_model
from scratchnet.common.spelling import closest, hint
from scratchnet.data.alphabets import pick
from scratchnet.data.download import download, verify
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.errors import ScratchnetError
from scratchnet.images.frames import find_frame
from scratchnet.layers import Conv2d, ReLU
from scratchnet.models.networks import build, compact, koch2015
from scratchnet.optim.sgd import SGD
from scratchnet.train.recipes import RECIPES, find_recipe
from scratchnet.train.settings import override

PACKAGE = Path(scratchnet.__file__).parent


@pytest.mark.parametrize(
    ("given", "names", "found"),
    [
        ("quik", ["glyphs", "quick"], "quick"),
        ("QUICK", ["glyphs", "quick"], "quick"),
        ("--batch-size", ["batch_size", "lr"], "batch_size"),
        ("help", ["train", "--help"], "--help"),
        ("conv1", ["encoder", "encoder.conv1", "encoder.conv2"], "encoder.conv1"),
        ("widht", ["data", "architecture.width"], "architecture.width"),
        ("width", ["width", "architecture.width"], "width"),
        ("encoder.conv1.wieght", ["encoder.conv1.bias", "encoder.conv1.weight"], "encoder.conv1.weight"),
        ("Lr", ["lr", "LR"], "lr"),
        ("colour", ["data", "lr"], None),
        ("gpu", ["cpu", "cuda"], None),
        ("cup", ["cpu", "cuda"], "cpu"),
        ("", ["data", ""], ""),
        ("quick" * 100_000, ["quick"], None),
        (3, ["quick"], None),
        (["quick"], ["quick"], "quick"),
        ("quick", [], None),
    ],
)
def test_the_closest_name_is_the_one_that_is_spelt_most_alike(given, names, found):
    assert closest(given, names) == found
    assert hint(given, names) == (f" (did you mean {found!r}?)" if found else "")


NAMES = generate_alphabets(2, characters=2, drawers=2, image_size=16)
CALLS = {
    "device": (lambda: get_device("cdua"), "cuda"),
    "precision": (lambda: set_precision("tf23"), "tf32"),
    "frame": (lambda: find_frame("pgae"), "page"),
    "algorithm": (lambda: Conv2d(1, 1, 3, algorithm="im2coll"), "im2col"),
    "recipe": (lambda: find_recipe("omnigolt"), "omniglot"),
    "field of a recipe": (lambda: override(RECIPES["glyphs"], {"epocs": "3"}), "epochs"),
    "option of an architecture": (lambda: override(RECIPES["glyphs"], {"architecture.featurs": "3"}), "features"),
    "option to build by": (lambda: build({"name": "compact", "widht": 3}), "width"),
    "architecture": (lambda: build({"name": "compcat"}), "compact"),
    "initialisation": (lambda: koch2015(init="litteral"), "literal"),
    "schedule": (lambda: replace(RECIPES["glyphs"], schedule="cosin"), "cosine"),
    "setting of a layer": (lambda: SGD(0.1, per_layer={"head": {"momentun": 0.5}}), "momentum"),
    "setting of a layer in a recipe": (
        lambda: override(RECIPES["glyphs"], {"per_layer.head": '{"momentun": 0.5}'}),
        "momentum",
    ),
    "layer": (
        lambda: SGD(0.1, per_layer={"enocder.conv2": {"lr": 1}}).expect_prefixes_to_match(compact(image_size=8).params),
        "encoder.conv2",
    ),
    "method": (lambda: gradcheck.check(ReLU(), {}, np.ones(3), method="compelx"), "complex"),
    "storage": (lambda: save_model("x.npz", compact(image_size=8), storage="flaot16"), "float16"),
    "bundled network": (lambda: load_model("omnigolt"), "omniglot"),
    "archive": (lambda: download("x", names=["images_backgroud.zip"]), "images_background.zip"),
    "archive to verify": (lambda: verify("images_backgroud.zip"), "images_background.zip"),
    "alphabet": (lambda: pick(NAMES, [NAMES[1].name[:-1]]), NAMES[1].name),
}


@pytest.mark.parametrize("kind", CALLS)
def test_a_name_that_is_nearly_right_is_answered_with_the_right_one(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call, meant = CALLS[kind]
    with pytest.raises(ScratchnetError) as refusal:
        call()
    assert f"(did you mean {meant!r}?)" in str(refusal.value)
    assert not list(tmp_path.iterdir())


def test_environment_variables_are_answered_alike(monkeypatch):
    monkeypatch.setenv("SCRATCHNET_DEVICE", "cup")
    with pytest.raises(ScratchnetError, match=r"SCRATCHNET_DEVICE=cup \(did you mean 'cpu'\?\): choose one of cpu"):
        get_device()
    monkeypatch.setattr(products, "_precision", "tf-32")
    with pytest.raises(ScratchnetError, match=r"SCRATCHNET_PRECISION=tf-32 \(did you mean 'tf32'\?\)"):
        get_precision()


def refusals():
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Raise) and node.exc is not None:
                yield f"{path.relative_to(PACKAGE)}:{node.lineno}", ast.unparse(node.exc)


def test_every_message_that_lists_what_there_is_has_a_hint():
    lists = {place: text for place, text in refusals() if ".join(" in text and "unknown" not in place}
    said = ("choose one", "choose from {', '", "is none of", "is not one of", "there are {", "it can set", "is neither")
    about_names = {place: text for place, text in lists.items() if any(words in text for words in said)}
    assert len(about_names) > 12
    assert [place for place, text in about_names.items() if "hint(" not in text] == []
