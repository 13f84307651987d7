"""The state of a run: it is resumed only with its recipe, on its drawings, and if it is intact."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import everything_in
from short_runs import RUN, RUNS, TINY, outcome, poison, refusal_of, stopped

from scratchnet.checkpoint import load_arrays, save_arrays
from scratchnet.data.alphabets import Alphabet, digest
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.data.splits import Split
from scratchnet.errors import CheckpointError
from scratchnet.train import RECIPE, STATE, train
from scratchnet.train.recipe import Recipe


@pytest.fixture
def finished(split, tmp_path):
    train(replace(TINY, epochs=1), split, tmp_path / "run", quiet=True)
    return tmp_path / "run"


def test_a_folder_without_a_run_cannot_be_resumed(split, tmp_path):
    message = refusal_of(CheckpointError, TINY, split, tmp_path / "absent", resume=True)
    assert "absent holds no run to resume: start it without --resume" in message
    assert not (tmp_path / "absent").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr": 0.25}, "was trained with lr=0.05, not lr=0.25"),
        ({"seed": 4}, "was trained with seed=11, not seed=4"),
        ({"architecture": {**TINY.architecture, "width": 3}}, "was trained with architecture="),
        ({"objective": "pairs", "pairs": 12}, "was trained with objective=episodes, not objective=pairs"),
    ],
)
def test_another_recipe_cannot_resume_a_run(change, message, finished, split):
    before = everything_in(finished)
    assert message in refusal_of(CheckpointError, replace(TINY, epochs=1, **change), split, finished, resume=True)
    assert everything_in(finished) == before


def changed_state(out, change):
    arrays, description = load_arrays(out / STATE)
    del description["version"]
    change(arrays, description)
    save_arrays(out / STATE, arrays, description)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays, saved: saved.pop("history"), "is no state of a run (the state has no history)"),
        (lambda arrays, saved: arrays.pop("params/head.weight"), "has no head.weight"),
        (lambda arrays, saved: poison(arrays["params/head.weight"]), "has a NaN or an infinity in head.weight"),
        (lambda arrays, saved: poison(arrays["velocity/head.bias"]), "has a NaN or an infinity in head.bias"),
        (lambda arrays, saved: arrays.pop("average/head.weight"), "has no head.weight"),
        (lambda arrays, saved: arrays.update({"velocity/tail.bias": arrays["velocity/head.bias"]}), "has tail.bias"),
        (
            lambda arrays, saved: arrays.update({"velocity/head.bias": arrays["velocity/head.weight"]}),
            "has head.bias as",
        ),
    ],
)
def test_a_state_that_does_not_fit_is_refused_and_left_alone(change, message, split, tmp_path):
    recipe, finished = replace(TINY, epochs=1, weight_average=0.9), tmp_path / "run"
    train(recipe, split, finished, quiet=True)
    changed_state(finished, change)
    before = everything_in(finished)
    assert message in refusal_of(CheckpointError, recipe, split, finished, resume=True)
    assert everything_in(finished) == before


def test_a_damaged_state_is_refused_and_left_alone(finished, split):
    damaged = bytearray((finished / STATE).read_bytes())
    damaged[len(damaged) // 2] ^= 4
    (finished / STATE).write_bytes(damaged)
    assert "use another copy" in refusal_of(CheckpointError, replace(TINY, epochs=1), split, finished, resume=True)
    assert (finished / STATE).read_bytes() == damaged


# The drawings


def renamed(alphabets):
    return [Alphabet(f"{alphabet.name}, renamed", np.asfortranarray(alphabet.images)) for alphabet in alphabets]


def one_pixel_other(alphabets):
    images = alphabets[-1].images.copy()
    images[-1, -1, 0, 0] ^= True
    return [*alphabets[:-1], Alphabet(alphabets[-1].name, images)]


def other_order(alphabets):
    return alphabets[::-1]


@pytest.mark.parametrize("change", [one_pixel_other, other_order])
@pytest.mark.parametrize("part", ["train", "validation"])
def test_a_run_is_not_resumed_on_other_drawings(part, change, split, tmp_path, steps):
    stopped(RUN, split, tmp_path, steps)
    before = everything_in(tmp_path)
    other = replace(split, **{part: change(getattr(split, part))})
    with pytest.raises(CheckpointError, match="trained on other drawings than these: resume it with the data that it"):
        train(RUN, other, tmp_path, resume=True, quiet=True)
    assert everything_in(tmp_path) == before


def test_the_same_drawings_from_other_files_are_the_same_data(split, tmp_path, steps, whole):
    stopped(RUN, split, tmp_path, steps)
    train(RUN, Split(renamed(split.train), renamed(split.validation)), tmp_path, resume=True, quiet=True)
    assert outcome(tmp_path)[1:] == whole[1:]


def test_unused_drawings_may_change(split, tmp_path, steps):
    unwatched = replace(RUN, data="omniglot", validation_alphabets=(), epochs=1)
    stopped(unwatched, split, tmp_path, steps)
    train(unwatched, Split(split.train, []), tmp_path, resume=True, quiet=True)


def test_the_digest_knows_pixels_shapes_and_their_order():
    (alphabet,) = generate_alphabets(1, characters=2, drawers=2, image_size=16, seed=1)
    images = alphabet.images
    shown = [
        images,
        images[::-1],
        images[:, ::-1],
        one_pixel_other([alphabet])[0].images,
        images[..., :8],
        images[:1],
        images.reshape(1, 4, 16, 16),
        images.astype(np.float32),
    ]
    assert len({digest([Alphabet("a", each)]) for each in shown}) == len(shown)
    assert digest([alphabet]) == digest(renamed([alphabet]))
    halves = [Alphabet("a", images[:1]), Alphabet("b", images[1:])]
    assert digest(halves) not in (digest([alphabet]), digest(halves[::-1]))


# Runs of 0.1

RUN_0_1 = Path(__file__).parent / "run_0_1"  # of commit c3e1c3d, stopped after step 3 of 8


def test_a_run_of_0_1_is_resumed_with_its_old_weight_decay(split, tmp_path):
    resumed = shutil.copytree(RUN_0_1, tmp_path / "resumed")
    recipe = Recipe.read(resumed / RECIPE)
    assert (recipe.weight_decay, recipe.per_layer["head"]["weight_decay"]) == (0.1, 0.5)
    train(recipe, split, resumed, resume=True, quiet=True)
    train(recipe, split, tmp_path / "whole", quiet=True)
    arrays, whole = (load_arrays(out / STATE)[0] for out in (resumed, tmp_path / "whole"))
    assert list(arrays) == list(whole)
    for name, value in whole.items():
        np.testing.assert_allclose(arrays[name], value, rtol=1e-3, atol=1e-5, err_msg=name)


def test_a_state_of_0_1_with_weight_decay_goes_on_to_the_same_bits(split, tmp_path, steps):
    decays = {"weight_decay": 0.1, "per_layer": {"head": {"weight_decay": 0.3}}}
    recipe = replace(RUNS["pairs, fresh distortions"], **decays)
    train(recipe, split, tmp_path / "whole", quiet=True)
    out = stopped(recipe, split, tmp_path / "stopped", steps, 6)

    def without_format(_arrays, saved):
        del saved["recipe"]["format"]
        saved["recipe"] |= {"weight_decay": 0.05, "per_layer": {"head": {"weight_decay": 0.15}}}

    changed_state(out, without_format)
    train(recipe, split, out, resume=True, quiet=True)
    assert outcome(out) == outcome(tmp_path / "whole")


def test_a_state_of_0_1_is_resumed_without_a_warning(split, tmp_path, steps, whole, capsys):
    stopped(RUN, split, tmp_path, steps)
    arrays, saved = load_arrays(tmp_path / STATE)
    for name in ("version", "data", "environment", "seconds", "images"):
        del saved[name]
    save_arrays(tmp_path / STATE, arrays, saved)
    train(RUN, split, tmp_path, resume=True, quiet=True)
    assert outcome(tmp_path) == whole
    assert capsys.readouterr().err == ""
