"""`scratchnet train`: what it refuses, prints and writes, and how a run is resumed."""

import importlib.util
import io
import os
import re
import signal
import zipfile

import numpy as np
import pytest
from commands import TINY
from PIL import Image

from scratchnet import backend
from scratchnet.checkpoint import load_arrays, load_model
from scratchnet.cli import training
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.train import STATE, stepper

piped_and_on_a_terminal = pytest.mark.parametrize("terminal", [False, True], ids=["piped", "terminal"])


def omniglot_zip(path, alphabets=2):
    """A small set in Omniglot's layout."""
    with zipfile.ZipFile(path, "w") as archive:
        for alphabet in generate_alphabets(alphabets, characters=3, drawers=2, image_size=16, seed=1):
            for (character, drawer), _ in np.ndenumerate(alphabet.images[..., 0, 0]):
                picture = io.BytesIO()
                drawing_of = alphabet.images[character, drawer]
                Image.fromarray(np.where(drawing_of, 0, 255).astype(np.uint8)).save(picture, "PNG")
                name = f"images_background/{alphabet.name}/character{character + 1:02}/0001_{drawer + 1:02}.png"
                archive.writestr(name, picture.getvalue())
    return path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recipe", "vgg"], "unknown recipe 'vgg': choose one of glyphs, quick, omniglot, koch2015, own, tune"),
        (["--set", "colour=3"], "no setting 'colour'"),
        (["--set", "lr"], "--set: lr: expected NAME=VALUE"),
        (["--set", "lr=fast"], "lr=fast is not a number"),
        (["--set", "epochs=1.5"], "epochs=1.5 is not a whole number"),
        (["--set", "epochs=0"], "epochs=0 is out of range: give 1 or more"),
        (["--set", "batch_size=-1"], "batch_size=-1"),
        (["--set", "architecture.width=0"], "architecture.width=0"),
        (["--set", "architecture.colour=1"], "architecture.colour is no option of compact"),
        (["--set", "architecture.name=vgg"], "architecture.name=vgg is none of koch2015, compact"),
        (["--set", "architecture.image_size=8"], "image_size is 8"),
        (["--set", 'per_layer.nose={"lr": 1}'], "per_layer sets nose"),
        (["--set", "objective=pairs"], "pairs=0 is out of range"),
        (
            ["--set", "objective=pairs", "--set", "pairs=5", "--set", "batch_size=6"],
            "a batch of 6 is larger than the 5",
        ),
        (["--set", "n_way=21"], "episodes of 21 characters"),
        (["--device", "tpu"], "unknown device 'tpu': choose one of cpu, cuda"),
        (["--memory", "0.001"], "batch norm needs the whole batch, which takes about"),
        (["--resume"], "--resume requires --out"),
        (["--recipe", "own"], "own is for pictures of your own: give their folder with --data"),
        (["--recipe", "tune"], "tune is for fine-tuning: name the network with --from"),
        (["--from", "omniglot"], "--from fine-tunes on pictures of your own: give their folder with --data"),
    ],
)
def test_train_refuses_what_it_cannot_do_before_it_writes_anything(arguments, message, refused):
    assert message in refused("train", *TINY, *arguments)


def test_train_refuses_a_gpu_without_cupy_and_says_what_to_install(refused, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.delitem(backend.device._devices, "cuda", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "cupy" else find_spec(name))
    assert 'pip install -e ".[cuda12x]"' in refused("train", *TINY, "--device", "cuda")


def no_folder(_tmp_path):
    return "absent"


def empty_folder(tmp_path):
    (tmp_path / "data").mkdir()
    return "data"


def empty_file(tmp_path):
    (tmp_path / "data.zip").touch()
    return "data.zip"


def empty_zip(tmp_path):
    zipfile.ZipFile(tmp_path / "data.zip", "w").close()
    return "data.zip"


def truncated_zip(tmp_path):
    whole = omniglot_zip(tmp_path / "data.zip").read_bytes()
    (tmp_path / "data.zip").write_bytes(whole[: len(whole) // 2])
    return "data.zip"


def damaged_zip(tmp_path):
    whole = bytearray(omniglot_zip(tmp_path / "data.zip").read_bytes())
    whole[whole.index(b"IDAT") + 6] ^= 8
    (tmp_path / "data.zip").write_bytes(whole)
    return "data.zip"


def text_as_zip(tmp_path):
    (tmp_path / "data.zip").write_text("no zip\n")
    return "data.zip"


@pytest.mark.parametrize(
    "make", [no_folder, empty_folder, empty_file, empty_zip, truncated_zip, damaged_zip, text_as_zip]
)
def test_train_refuses_bad_data_with_their_name_and_makes_no_folder(make, refused, tmp_path):
    name = make(tmp_path)
    assert name in refused("train", "--data", name, "--out", "out")


def test_train_refuses_data_without_the_alphabets_to_choose_by(refused, tmp_path):
    omniglot_zip(tmp_path / "data.zip")
    assert "no alphabet called Armenian" in refused("train", "--data", "data.zip", "--out", "out")


def test_train_on_all_alphabets_says_that_nothing_chose_and_evaluate_that_none_is_left(ask, refused, tmp_path):
    omniglot_zip(tmp_path / "data.zip")
    settings = *TINY, "--set=validation_alphabets=[]", "--set=n_way=2", "--set=hands=1"
    answer = ask("train", "--data", "data.zip", *settings, "--out", "out")
    assert answer.code == 0
    assert answer.out == "last epoch 2, without validation; weights in out\n"
    figures = ask("train", "--data", "data.zip", *settings, "--out", "again", "--json").json
    assert (figures["epochs"], figures["best"]) == (2, None)
    line = refused("evaluate", "out", "--on", "background", "--data", "data.zip", "--way", "2")
    assert "all alphabets of the background set were trained on" in line


def test_train_refuses_a_file_as_its_folder(refused, tmp_path):
    (tmp_path / "file").touch()
    assert "file: File exists; check the path" in refused("train", *TINY, "--out", "file")


def test_a_full_disk_is_one_line(ask, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    answer = ask("train", *TINY, "--out", "out")
    assert answer.code == 2
    assert answer.err == (
        "scratchnet: out/recipe.json: No space left on device; check the path, its permissions and the disk\n"
    )


def test_too_little_memory_is_one_line(ask, monkeypatch):
    def exhausted(*_arguments, **_options):
        raise MemoryError("Unable to allocate 7 TiB")

    monkeypatch.setattr(training, "train", exhausted)
    answer = ask("train", *TINY, "--out", "out")
    assert answer.code == 2
    assert answer.err == (
        "scratchnet: out of memory (Unable to allocate 7 TiB): use a smaller batch, --set batch_size=N or --pairs N\n"
    )


def test_weights_that_overflow_are_one_line_without_warnings(ask):
    answer = ask("train", *TINY, "--set", "lr=1e9", "--set", "weight_decay=1e9", "--json", "--out", "out")
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert "lower the learning rate" in answer.err


def test_train_without_a_folder_makes_a_new_one_each_time(ask):
    for folder in ("runs/glyphs", "runs/glyphs-2"):
        answer = ask("train", *TINY)
        assert answer.code == 0
        assert f"run folder {folder}\n" in answer.err
        assert f"weights in {folder}\n" in answer.out
        assert load_model(folder).image_size == 16


def test_train_reports_the_best_epoch_and_the_test_on_unseen_alphabets(ask):
    answer = ask("train", *TINY, "--out", "out", "--seed", "4")
    assert answer.code == 0
    assert answer.err.splitlines()[0] == "recipe glyphs, seed 4, run folder out"
    assert re.search(r"best epoch [12]: +\d+\.\d% of validation trials correct", answer.out)
    for name in ("scratchnet", "pixel nearest neighbour"):
        assert re.search(rf"  {name} +\d+\.\d%  \(\d+ of 800, 95 % interval ", answer.out)


@piped_and_on_a_terminal
def test_progress_is_a_bar_on_a_terminal_and_lines_elsewhere(terminal, ask):
    answer = ask("train", *TINY, "--out", "out", terminal=terminal)
    assert answer.code == 0
    assert ("images/s, best validation" in answer.err) == terminal
    assert len(re.findall(r"epoch +\d/2  loss \d\.\d+  validation", answer.err)) == 2


def test_train_under_a_memory_cap_says_into_how_many_pieces_it_cuts(ask):
    answer = ask("train", *TINY, "--out", "out", "--memory", "1000")
    assert answer.code == 0
    said = answer.err.splitlines()[1]
    assert re.fullmatch(r"batches of 2 in pieces of 2 \(1 a batch\), forecast: \d+\.\d\d GiB", said)


def test_train_as_json_prints_nothing_else(ask):
    answer = ask("train", *TINY, "--out", "out", "--json")
    assert answer.err == ""
    figures = answer.json
    assert (figures["run"], figures["recipe"], figures["epochs"]) == ("out", "glyphs", 2)
    assert set(figures["test"]) == {"scratchnet", "pixel nearest neighbour"}
    assert 0 <= figures["best"]["validation"] <= 1


def interrupt_after(monkeypatch, steps):
    train_step, taken = stepper.train_step, []

    def interrupted(*arguments, **options):
        loss = train_step(*arguments, **options)
        taken.append(loss)
        if len(taken) == steps:
            os.kill(os.getpid(), signal.SIGINT)
        return loss

    monkeypatch.setattr(stepper, "train_step", interrupted)


def test_an_interrupted_training_goes_on_under_the_same_cap(ask, monkeypatch):
    interrupt_after(monkeypatch, 1)
    answer = ask("train", *TINY, "--out", "out", "--memory", "1000.5", "--json")
    assert answer.err.endswith("to continue: scratchnet train --resume --out out --memory 1000.5\n")


@pytest.mark.parametrize("arguments", [["--out", "out"], []], ids=["named", "default"])
def test_an_interrupted_training_exits_130_and_says_how_to_go_on(arguments, ask, tmp_path, run, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt_after(patch, 4)
        answer = ask("train", *TINY, *arguments, "--json")
    folder = "out" if arguments else "runs/glyphs"
    assert (answer.code, answer.out) == (130, "")
    assert answer.err == (
        "scratchnet: stopped in epoch 2 after step 1, state saved; "
        f"to continue: scratchnet train --resume --out {folder}\n"
    )
    assert ask(*answer.err.split("scratchnet ")[1].split(), "--json").json["epochs"] == 2
    expected, found = load_arrays(run / STATE)[0], load_arrays(tmp_path / folder / STATE)[0]
    assert {name: value.tobytes() for name, value in found.items()} == {
        name: value.tobytes() for name, value in expected.items()
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "run"], "run holds a run already: go on with --resume"),
        (["--out", "absent", "--resume"], "absent holds no run"),
        (["--out", "run", "--resume", "--seed", "5"], "was trained with seed=0, not seed=5"),
        (["--out", "run", "--resume", "--set", "architecture.width=3"], "was trained with architecture="),
        (["--out", "run", "--resume", "--recipe", "glyphs"], "resume it as it began"),
    ],
)
def test_a_run_is_only_resumed_as_it_began(arguments, message, finished, refused):
    assert message in refused("train", *arguments, *([] if "--resume" in arguments else TINY))
