"""The command line: what each command prints, its exit codes, and one clear line for every bad input."""

import functools
import importlib.util
import io
import json
import os
import re
import signal
import subprocess
import sys
import zipfile
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from scratchnet import backend, cli, gradcases, oneshot, planted
from scratchnet import train as training
from scratchnet.checkpoint import WEIGHTS, load_arrays, load_model, save_arrays
from scratchnet.cli import main
from scratchnet.data import splits
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.gradcheck import Report
from scratchnet.layers import ReLU
from scratchnet.recipes import RECIPES
from scratchnet.train import STATE
from scratchnet.version import VERSION

COMMANDS = ["train", "evaluate", "compare", "classify", "gradcheck", "bench", "download", "info"]
BASELINES = dict(oneshot.BASELINES)
piped_and_on_a_terminal = pytest.mark.parametrize("terminal", [False, True], ids=["piped", "terminal"])
TINY = [
    f"--set={setting}" for setting in (
        "architecture.image_size=16", "architecture.width=2", "architecture.features=8", "epochs=2", "steps=3",
        "batch_size=2", "n_way=5", "validation_trials=20",
    )
]


@pytest.fixture(scope="module", autouse=True)
def few_glyphs():
    """As many generated alphabets as a test needs, drawn once, and of the baselines the fast one."""
    with pytest.MonkeyPatch.context() as patch:
        for name, count in (("GLYPH_TRAIN", 3), ("GLYPH_VALIDATION", 2), ("GLYPH_TEST", 2)):
            patch.setattr(splits, name, count)
        patch.setattr(splits, "generate_alphabets", functools.cache(generate_alphabets))
        patch.setattr(oneshot, "BASELINES", {"pixel nearest neighbour": BASELINES["pixel nearest neighbour"]})
        yield


@pytest.fixture
def all_baselines(monkeypatch):
    monkeypatch.setattr(oneshot, "BASELINES", BASELINES)


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch, default_device):
    """An empty current folder, an empty cache, and no data named in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SCRATCHNET_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def run(few_glyphs, tmp_path_factory):
    """The folder of a short run."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    assert main(["train", *TINY, "--json", "--out", str(folder)]) == 0
    return folder


@dataclass
class Answer:
    code: int
    out: str
    err: str

    @property
    def json(self):
        assert self.code == 0, self.err
        return json.loads(self.out)


@pytest.fixture
def ask(capsys):
    """Runs one command in this process; where stderr is a terminal, progress bars are drawn."""

    def run_command(*arguments, terminal=False):
        capsys.readouterr()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys.stderr, "isatty", lambda: terminal)
            try:
                code = main([str(argument) for argument in arguments])
            except SystemExit as stop:  # argparse
                code = stop.code
        return Answer(code, *capsys.readouterr())

    return run_command


def everything_in(folder):
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.fixture
def refused(ask, tmp_path):
    """Runs a command that must fail with one line, leaving everything as it was; returns the line."""

    def run_command(*arguments):
        before = everything_in(tmp_path)
        answer = ask(*arguments)
        assert answer.code == 2
        assert answer.out == ""
        assert answer.err.count("\n") == 1
        assert answer.err.startswith("scratchnet")
        assert "Traceback" not in answer.err
        assert everything_in(tmp_path) == before
        return answer.err

    return run_command


def drawing(path, ink):
    """Saves ink (H, W) bool as a picture, black on white."""
    Image.fromarray(np.where(ink, 0, 255).astype(np.uint8)).save(path)
    return path


@pytest.fixture
def glyphs(tmp_path):
    """A folder with one drawing of each of six characters, and a second drawing of the third beside it."""
    (alphabet,) = generate_alphabets(1, characters=6, drawers=2, image_size=40, seed=8)
    (tmp_path / "support").mkdir()
    for number, images in enumerate(alphabet.images):
        drawing(tmp_path / "support" / f"sign{number}.png", images[0])
    return tmp_path / "support", drawing(tmp_path / "query.png", alphabet.images[2, 1])


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


# Help and usage


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_exits_0_and_fits_120_columns(command, ask, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    answer = ask(*([command] if command else []), "--help")
    assert (answer.code, answer.err) == (0, "")
    assert max(map(len, answer.out.splitlines())) <= 120
    assert f"usage: scratchnet {command or ''}".strip() in answer.out
    if command is None:
        assert all(name in answer.out for name in COMMANDS)


def test_the_version_is_printed(ask):
    assert ask("--version") == Answer(0, f"scratchnet {VERSION}\n", "")


@pytest.mark.parametrize(("arguments", "message"), [
    ([], "COMMAND"),
    (["fly"], "invalid choice: 'fly'"),
    (["train", "--colour", "red"], "unrecognized arguments: --colour"),
    (["train", "--seed", "-1"], "--seed: -1 is too small, give 0 or more"),
    (["train", "--seed", "x"], "--seed: invalid"),
    (["train", "--minutes", "soon"], "--minutes: invalid"),
    (["train", "--memory", "0"], "--memory: 0 is too small or no number, give a number over 0"),
    (["train", "--memory", "nan"], "--memory: nan is too small or no number"),
    (["evaluate"], "required: model"),
    (["evaluate", "m", "--on", "moon"], "--on: invalid choice: 'moon'"),
    (["evaluate", "m", "--trials", "0"], "--trials: 0 is too small, give 1 or more"),
    (["evaluate", "m", "--way", "1"], "--way: 1 is too small, give 2 or more"),
    (["evaluate", "m", "--shot", "0"], "--shot: 0 is too small, give 1 or more"),
    (["evaluate", "m", "--pairs", "-1"], "--pairs: -1 is too small, give 1 or more"),
    (["evaluate", "m", "--seed", "-1"], "--seed: -1 is too small"),
    (["compare", "a.png"], "IMAGE"),
    (["compare", "a.png", "b.png"], "--model"),
    (["classify", "a.png", "--model", "m"], "--support"),
    (["gradcheck", "--method", "guess"], "--method: invalid choice: 'guess'"),
    (["gradcheck", "--seed", "-1"], "--seed: -1 is too small"),
    (["download", "x", "--only", "moon.zip"], "--only: invalid choice: 'moon.zip'"),
])
def test_bad_usage_is_one_line_that_names_the_option(arguments, message, refused):
    line = refused(*arguments)
    assert message in line
    assert "--help" in line


def test_a_real_process_prints_its_answer_and_returns_its_code(tmp_path):
    def process(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "scratchnet", *arguments], capture_output=True, text=True, check=False, cwd=tmp_path
        )

    info = process("info", "--json")
    assert (info.returncode, info.stderr) == (0, "")
    assert json.loads(info.stdout)["scratchnet"] == VERSION
    bad = process("evaluate", "absent")
    assert (bad.returncode, bad.stdout) == (2, "")
    assert re.fullmatch(r"scratchnet: absent is no file: .*\n", bad.stderr)


# train


@pytest.mark.parametrize(("arguments", "message"), [
    (["--recipe", "vgg"], "unknown recipe 'vgg': choose one of glyphs, quick, koch2015"),
    (["--set", "colour=3"], "no setting 'colour'"),
    (["--set", "lr"], "--set lr: expected NAME=VALUE"),
    (["--set", "lr=fast"], "lr=fast is no number"),
    (["--set", "epochs=1.5"], "epochs=1.5 is no int"),
    (["--set", "epochs=0"], "epochs=0 is out of range: give 1 or more"),
    (["--set", "batch_size=-1"], "batch_size=-1"),
    (["--set", "architecture.width=0"], "architecture.width=0"),
    (["--set", "architecture.colour=1"], "does not take these options"),
    (["--set", "architecture.name=vgg"], "unknown architecture 'vgg'"),
    (["--set", "architecture.image_size=8"], "image_size is 8"),
    (["--set", 'per_layer.nose={"lr": 1}'], "per_layer sets nose"),
    (["--set", "objective=pairs"], "pairs=0 is out of range"),
    (["--set", "objective=pairs", "--set", "pairs=5", "--set", "batch_size=6"], "a batch of 6 is larger than the 5"),
    (["--set", "n_way=21"], "episodes of 21 characters"),
    (["--device", "tpu"], "unknown device 'tpu': choose one of cpu, cuda"),
    (["--memory", "0.001"], "batch norm sees the whole batch, which takes about"),
    (["--resume"], "--resume needs --out"),
])
def test_train_refuses_what_it_cannot_do_before_it_writes_anything(arguments, message, refused):
    assert message in refused("train", *TINY, *arguments)


def test_train_refuses_a_gpu_without_cupy_and_says_what_to_install(refused, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.delitem(backend._devices, "cuda", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "cupy" else find_spec(name))
    assert "pip install 'scratchnet[cuda12x]'" in refused("train", *TINY, "--device", "cuda")


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


@pytest.mark.parametrize("make", [
    no_folder, empty_folder, empty_file, empty_zip, truncated_zip, damaged_zip, text_as_zip,
])
def test_train_refuses_bad_data_with_their_name_and_makes_no_folder(make, refused, tmp_path):
    name = make(tmp_path)
    assert name in refused("train", "--data", name, "--out", "out")


def test_train_refuses_data_without_the_alphabets_to_choose_by(refused, tmp_path):
    omniglot_zip(tmp_path / "data.zip")
    assert "no alphabet called Armenian" in refused("train", "--data", "data.zip", "--out", "out")


def test_train_on_all_alphabets_says_that_nothing_chose_and_evaluate_that_none_is_left(ask, refused, tmp_path):
    omniglot_zip(tmp_path / "data.zip")
    settings = *TINY, "--set=validation_alphabets=[]", "--set=n_way=2"
    answer = ask("train", "--data", "data.zip", *settings, "--out", "out")
    assert answer.code == 0
    assert answer.out == "last epoch 2, with no validation to choose another by; weights in out\n"
    figures = ask("train", "--data", "data.zip", *settings, "--out", "again", "--json").json
    assert (figures["epochs"], figures["best"]) == (2, None)
    line = refused("evaluate", "out", "--on", "background", "--data", "data.zip", "--way", "2")
    assert "the network was trained on all background alphabets" in line


def test_train_refuses_a_file_as_its_folder(refused, tmp_path):
    (tmp_path / "file").touch()
    assert "file: File exists, check the path" in refused("train", *TINY, "--out", "file")


def test_a_full_disk_is_one_line(ask, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    answer = ask("train", *TINY, "--out", "out")
    assert answer.code == 2
    assert answer.err == "scratchnet: a file: No space left on device, check the path, its permissions and the disk\n"


def test_too_little_memory_is_one_line(ask, monkeypatch):
    def exhausted(*_arguments, **_options):
        raise MemoryError("Unable to allocate 7 TiB")

    monkeypatch.setattr(cli, "train", exhausted)
    answer = ask("train", *TINY, "--out", "out")
    assert answer.code == 2
    assert answer.err == (
        "scratchnet: out of memory (Unable to allocate 7 TiB): use a smaller batch, --set batch_size=N or --pairs N\n"
    )


def test_weights_that_overflow_are_one_line_without_warnings(ask):
    answer = ask("train", *TINY, "--set", "lr=1e38", "--set", "weight_decay=1", "--json", "--out", "out")
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
    assert re.search(r"best epoch [12]: +\d+\.\d% of the validation trials right", answer.out)
    for name in ("scratchnet", "pixel nearest neighbour"):
        assert re.search(rf"  {name} +\d+\.\d%  \(\d+ of 800, 95 % interval ", answer.out)


@piped_and_on_a_terminal
def test_progress_is_drawn_on_a_terminal_and_told_line_by_line_elsewhere(terminal, ask):
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
    train_step, taken = training.train_step, []

    def interrupted(*arguments):
        loss = train_step(*arguments)
        taken.append(loss)
        if len(taken) == steps:
            os.kill(os.getpid(), signal.SIGINT)
        return loss

    monkeypatch.setattr(training, "train_step", interrupted)


def test_an_interrupted_training_goes_on_under_the_same_cap(ask, monkeypatch):
    interrupt_after(monkeypatch, 1)
    answer = ask("train", *TINY, "--out", "out", "--memory", "1000.5", "--json")
    assert answer.err.endswith("go on with: scratchnet train --resume --out out --memory 1000.5\n")


@pytest.mark.parametrize("arguments", [["--out", "out"], []], ids=["named", "default"])
def test_an_interrupted_training_exits_130_and_says_how_to_go_on(arguments, ask, tmp_path, run, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt_after(patch, 4)
        answer = ask("train", *TINY, *arguments, "--json")
    folder = "out" if arguments else "runs/glyphs"
    assert (answer.code, answer.out) == (130, "")
    assert answer.err == (
        "scratchnet: stopped in epoch 2 after step 1, state saved; "
        f"go on with: scratchnet train --resume --out {folder}\n"
    )
    assert ask(*answer.err.split("scratchnet ")[1].split(), "--json").json["epochs"] == 2
    expected, found = load_arrays(run / STATE)[0], load_arrays(tmp_path / folder / STATE)[0]
    assert {name: value.tobytes() for name, value in found.items()} == {
        name: value.tobytes() for name, value in expected.items()
    }


def test_an_interrupt_outside_training_exits_130(ask, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "load_model", interrupted)
    answer = ask("compare", "a.png", "b.png", "--model", "m")
    assert (answer.code, answer.err) == (130, "scratchnet: interrupted\n")


@pytest.fixture
def finished(run, tmp_path):
    """A copy of the run that a test may spoil."""
    (tmp_path / "run").mkdir()
    for path in run.iterdir():
        (tmp_path / "run" / path.name).write_bytes(path.read_bytes())
    return tmp_path / "run"


@pytest.mark.parametrize(("arguments", "message"), [
    (["--out", "run"], "run holds a run already: go on with --resume"),
    (["--out", "absent", "--resume"], "absent holds no run"),
    (["--out", "run", "--resume", "--seed", "5"], "was trained with seed=0, not seed=5"),
    (["--out", "run", "--resume", "--set", "architecture.width=3"], "was trained with architecture="),
    (["--out", "run", "--resume", "--recipe", "glyphs"], "resume it as it began"),
])
def test_a_run_is_only_resumed_as_it_began(arguments, message, finished, refused):
    assert message in refused("train", *arguments, *([] if "--resume" in arguments else TINY))


# evaluate


def test_evaluate_prints_the_network_beside_the_baselines(ask, run, all_baselines):
    answer = ask("evaluate", run, "--trials", "40")
    assert (answer.code, answer.err) == (0, "")
    lines = answer.out.splitlines()
    assert lines[0] == "random trials, glyphs: 20-way 1-shot, each query judged alone"
    assert [line[:30].strip() for line in lines[1:]] == ["scratchnet", *BASELINES]
    assert all("of 40, 95 % interval" in line for line in lines[1:])


def test_evaluate_as_json_reports_the_figures(ask, run, all_baselines):
    figures = ask("evaluate", run, "--json", "--trials", "30", "--way", "10", "--shot", "3", "--pairs", "20").json
    assert (figures["model"], figures["on"], figures["way"], figures["shot"]) == (str(run), "glyphs", 10, 3)
    assert set(figures["results"]) == {"scratchnet", *BASELINES}
    for result in (*figures["results"].values(), figures["verification"]):
        assert result["accuracy"] == result["correct"] / result["trials"]
        low, high = result["interval"]
        assert 0 <= low <= result["accuracy"] <= high <= 1
    assert figures["results"]["scratchnet"]["trials"] == 30
    assert figures["verification"]["trials"] == 20


def test_evaluate_without_baselines_prints_the_network_alone(ask, run):
    answer = ask("evaluate", run, "--trials", "20", "--no-baselines", "--pairs", "10", "--across")
    assert "verification, same or different:" in answer.out
    assert "across alphabets" in answer.out
    assert not any(name in answer.out for name in BASELINES)


@pytest.mark.parametrize("option", ["--pairs 10", "--way 5", "--across", "--trials 40", "--seed 1"])
def test_options_of_random_trials_are_refused_on_the_official_runs(option, run, refused):
    option = option.split()
    message = refused("evaluate", run, "--on", "official", *option)
    assert f"{option[0]} means nothing on the official runs: name other data with --on" in message


def test_the_background_set_is_refused_as_the_evaluation_set(run, refused, real_data):
    data = real_data / "omniglot" / "images_background.zip"
    assert "is not the evaluation set, it has " in refused("evaluate", run, "--on", "evaluation", "--data", data)


def test_a_threshold_is_never_chosen_on_the_alphabets_it_is_judged_on(real_data):
    for on in ("background", "glyphs"):
        validation, test = cli._alphabets(on, str(real_data), {"architecture": {"image_size": 16}})
        assert validation
        assert test
        assert not {alphabet.name for alphabet in validation} & {alphabet.name for alphabet in test}


def test_the_seed_of_evaluate_chooses_the_trials(ask, run):
    def results(seed):
        return ask("evaluate", run, "--json", "--seed", seed, "--trials", "60").json["results"]

    assert results(1) == results(1)
    assert results(1) != results(2)


def test_evaluate_takes_the_official_runs_from_the_environment_or_an_option(ask, run, real_data, monkeypatch):
    arguments = "evaluate", run, "--on", "official", "--json", "--no-baselines"
    by_option = ask(*arguments, "--data", real_data).json["results"]
    monkeypatch.setenv("SCRATCHNET_DATA", str(real_data))
    assert ask(*arguments).json["results"] == by_option
    assert by_option["scratchnet"]["trials"] == 400


@pytest.mark.parametrize(("arguments", "message"), [
    (["--runs", "absent.zip"], "absent.zip"),
    (["--on", "official", "--data", "absent"], "no all_runs.zip or all_runs in absent"),
    (["--on", "official"], "scratchnet download"),
    (["--on", "background", "--data", "absent"], "images_background"),
    (["--on", "evaluation", "--data", "absent"], "absent"),
    (["--on", "mnist", "--data", "absent"], "t10k-images-idx3-ubyte"),
    (["--way", "21"], "no alphabet has 21 characters"),
    (["--shot", "12"], "13 drawers"),
    (["--device", "tpu"], "unknown device 'tpu'"),
])
def test_evaluate_refuses_what_it_cannot_find(arguments, message, refused, run):
    assert message in refused("evaluate", run, *arguments)


# Models that cannot be read


def resaved(change):
    """Spoils the network in the folder `run`, keeping its file intact."""

    def spoil(folder):
        arrays, description = load_arrays(folder / WEIGHTS)
        del description["version"]
        change(arrays, description)
        save_arrays(folder / WEIGHTS, arrays, description)

    return spoil


def set_nan(arrays, _description):
    arrays["head.weight"][3] = np.nan


def widen(_arrays, description):
    description["architecture"]["width"] = 3


def forget(arrays, _description):
    del arrays["head.bias"]


def flip(folder):
    damaged = bytearray((folder / WEIGHTS).read_bytes())
    damaged[len(damaged) // 2] ^= 16
    (folder / WEIGHTS).write_bytes(damaged)


def truncate(folder):
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-40])


@pytest.mark.parametrize(("spoil", "message"), [
    (resaved(set_nan), "has a NaN or an infinity in head.weight"),
    (resaved(widen), "it belongs to another architecture"),
    (resaved(forget), "has no head.bias"),
    (flip, "use another copy"),
    (truncate, "use another copy"),
    (lambda folder: (folder / WEIGHTS).write_text("weights\n"), "use another copy"),
    (lambda folder: (folder / WEIGHTS).write_bytes(b""), "use another copy"),
    (lambda folder: (folder / WEIGHTS).unlink(), "is no file: expected a saved network or a run folder"),
], ids=["NaN", "wider", "missing array", "flipped byte", "truncated", "text", "empty", "missing"])
@pytest.mark.parametrize("command", ["evaluate", "compare", "classify"])
def test_a_model_that_cannot_be_read_is_one_line_with_its_name(command, spoil, message, finished, glyphs, refused):
    support, query = glyphs
    spoil(finished)
    arguments = {
        "evaluate": [finished],
        "compare": [query, query, "--model", finished],
        "classify": [query, "--support", support, "--model", finished],
    }
    line = refused(command, *arguments[command])
    assert f"{finished / WEIGHTS} " in line
    assert message in line


# compare and classify


def test_compare_prints_the_probability_that_the_network_gives(ask, run, glyphs):
    support, query = glyphs
    other = support / "sign1.png"
    expected = load_model(run).similarity([query], [other])[0]
    answer = ask("compare", query, other, "--model", run)
    assert answer == Answer(0, f"{expected:.1%} that {query} and {other} show the same character\n", "")
    assert ask("compare", query, other, "--model", run, "--json").json == {
        "a": str(query), "b": str(other), "probability": pytest.approx(float(expected)),
    }


def test_classify_ranks_the_supports_by_their_scores(ask, run, glyphs):
    support, query = glyphs
    (support / "notes.txt").write_text("no picture, not looked at")
    files = sorted(support.glob("*.png"))
    scores = load_model(run).scores([query], files)[0]
    ranking = ask("classify", query, "--support", support, "--model", run, "--json").json["ranking"]
    assert [place["class"] for place in ranking] == [files[i].stem for i in np.argsort(-scores)]
    assert [place["score"] for place in ranking] == pytest.approx(sorted(scores.tolist(), reverse=True))
    answer = ask("classify", query, "--support", support, "--model", run)
    lines = answer.out.splitlines()
    assert lines[0] == f"{query} fits best to {ranking[0]['class']}"
    assert [line.split()[1] for line in lines[1:]] == [place["class"] for place in ranking[:5]]


def text(path):
    path.write_text("not a picture\n")


def vast(path):
    Image.new("1", (12_000, 12_000)).save(path)
    assert path.stat().st_size < 100_000


BAD_PICTURES = {
    "missing": lambda path: None, "text": text, "empty": lambda path: path.touch(), "vast": vast,
    "folder": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("make", BAD_PICTURES.values(), ids=BAD_PICTURES)
def test_a_picture_that_cannot_be_read_is_one_line_with_its_name(make, refused, run, glyphs, tmp_path):
    support, query = glyphs
    bad = tmp_path / "bad.png"
    make(bad)
    for arguments in (["compare", query, bad], ["compare", bad, query], ["classify", bad, "--support", support]):
        assert f"{bad} " in refused(*arguments, "--model", run).replace(": ", " ")


def test_a_bad_picture_among_the_supports_is_named(refused, run, glyphs):
    support, query = glyphs
    text(support / "sign9.png")
    assert "sign9.png" in refused("classify", query, "--support", support, "--model", run)


@pytest.mark.parametrize(("name", "message"), [
    ("absent", "--support absent is no folder"), ("query.png", "--support query.png is no folder"),
    ("empty", "--support empty has no images"), ("texts", "--support texts has no images"),
])
def test_a_support_that_holds_no_images_is_refused(name, message, refused, run, glyphs, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    text(tmp_path / "texts" / "a.txt")
    line = refused("classify", glyphs[1], "--support", name, "--model", run)
    assert message in line
    assert "expected one" in line


# gradcheck


class BrokenReLU(ReLU):
    """Forgets where its input was negative."""

    def backward(self, dy, cache):
        return dy.copy(), {}


SOUND = {name: case for name, case in gradcases.CASES.items() if name.startswith(("ReLU", "Linear", "WeightedL1"))}
BROKEN = gradcases.Case(BrokenReLU(), ((3, 4),))


@pytest.mark.parametrize("method", ["auto", "complex", "central", "central4"])
def test_gradcheck_exits_0_when_every_check_passes(method, ask, monkeypatch):
    monkeypatch.setattr(gradcases, "CASES", SOUND)
    answer = ask("gradcheck", "--method", method, "--seed", "5")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.splitlines()[-1] == f"{len(SOUND)} of {len(SOUND)} passed ({method}, seed 5)"
    figures = ask("gradcheck", "--json", "--method", method).json
    assert (figures["failed"], figures["method"]) == ([], method)
    assert set(figures["largest_error"]) == {"ReLU", "Linear", "WeightedL1"}


def test_gradcheck_exits_1_when_a_check_fails_and_names_it(ask, monkeypatch):
    monkeypatch.setattr(gradcases, "CASES", SOUND | {BROKEN.name: BROKEN})
    answer = ask("gradcheck")
    assert answer.code == 1
    assert f"FAIL  {BROKEN.name}" in answer.err
    assert f"{len(SOUND)} of {len(SOUND) + 1} passed" in answer.out
    answer = ask("gradcheck", "--json")
    assert answer.code == 1
    assert json.loads(answer.out)["failed"] == [BROKEN.name]
    assert json.loads(answer.out)["largest_error"]["BrokenReLU"] > 0.01


def test_gradcheck_of_a_whole_network_reports_all_its_parameters(ask, monkeypatch):
    asked = []

    def whole_network(name, seed, method):
        asked.append((name, seed, method))
        return SOUND[next(iter(SOUND))].check(seed) if seed else BROKEN.check(seed)

    monkeypatch.setattr(gradcases, "whole_network", whole_network)
    answer = ask("gradcheck", "--network", "koch2015", "--seed", "2", "--method", "central4")
    assert answer.code == 0
    assert answer.out.splitlines()[-1] == "koch2015: passed"
    answer = ask("gradcheck", "--network", "koch2015", "--json")
    assert answer.code == 1
    assert json.loads(answer.out)["failed"] == ["x"]
    assert asked == [("koch2015", 2, "central4"), ("koch2015", 0, "auto")]


@pytest.fixture
def few_bugs(monkeypatch):
    """Three planted bugs, and of the correct cases only theirs."""
    names = ["bias averaged", "relu mask missing", "stale cache"]
    monkeypatch.setattr(planted, "CATALOGUE", {name: planted.CATALOGUE[name] for name in names})
    monkeypatch.setattr(planted, "correct_cases", lambda: {b.case.name: b.case for b in planted.CATALOGUE.values()})


def test_the_self_test_counts_what_is_caught(few_bugs, ask):
    answer = ask("gradcheck", "--self-test", "--seeds", "2")
    assert (answer.code, answer.err) == (0, "")
    *bugs, caught, alarms = answer.out.splitlines()
    assert [line.split("  ")[2] for line in bugs] == list(planted.CATALOGUE)
    assert all(line.startswith("caught   2 of 2  ") for line in bugs)
    assert caught.startswith("3 planted bugs at 2 points each: 6 of 6 caught; 0 points drawn again")
    assert alarms == "3 correct cases at 2 points each: 0 false alarms in 6 checks"
    figures = ask("gradcheck", "--self-test", "--json").json
    assert (figures["seeds"], figures["planted"], figures["caught"], figures["missed"]) == (3, 9, 9, [])
    assert figures["bugs"]["stale cache"] == {"caught": 3, "seeds": 3, "redraws": 0}


def test_the_self_test_fails_when_the_checker_is_blind(few_bugs, ask, monkeypatch):
    monkeypatch.setattr(gradcases, "check", lambda *args, seed, **options: Report((), seed, properties=("blind",)))
    answer = ask("gradcheck", "--self-test", "--seeds", "1")
    assert answer.code == 1
    assert [line.split()[0] for line in answer.out.splitlines()[:3]] == ["MISSED"] * 3
    assert "3 planted bugs at 1 points each: 0 of 3 caught" in answer.out


def test_the_self_test_fails_when_a_correct_layer_does(few_bugs, ask, monkeypatch):
    monkeypatch.setattr(planted, "correct_cases", lambda: {"the broken one": BROKEN})
    answer = ask("gradcheck", "--self-test", "--seeds", "1", "--seed", "4")
    assert answer.code == 1
    assert answer.err == "FALSE ALARM  the broken one, seed 4\n"
    assert json.loads(ask("gradcheck", "--self-test", "--json").out)["false_alarms"] == [
        f"the broken one, seed {seed}" for seed in range(3)
    ]


@pytest.fixture
def reader(monkeypatch):
    """Someone at the keyboard who types the lines given, and then no more."""

    def sit_down(*lines):
        typed = iter(lines)

        def read(question):
            try:
                return next(typed)
            except StopIteration:
                raise EOFError from None

        monkeypatch.setattr("builtins.input", read)
        monkeypatch.setattr(sys.stdin, "isatty", lambda: True)

    return sit_down


def test_a_quiz_keeps_its_answer_until_it_is_asked_for(ask, monkeypatch):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    quiz = planted.make_quiz(7)
    answer = ask("gradcheck", "--quiz", "--seed", "7")
    assert answer.code == 0
    assert quiz.report in answer.out
    assert [line.split("  ", 2)[-1] for line in answer.out.splitlines() if line.startswith("  ")][-4:] == quiz.stories
    assert quiz.bug.name not in answer.out
    assert answer.out.count(quiz.bug.story) == 1
    *_, command = answer.out.splitlines()
    told = ask(*command.removeprefix("The answer: scratchnet ").split())
    assert told.out.splitlines()[-1] == f"{quiz.answer}: {quiz.bug.name}. {quiz.bug.story}"


def test_a_quiz_at_a_terminal_asks_and_tells(ask, reader):
    quiz = planted.make_quiz(7)
    end = f", {quiz.answer}: {quiz.bug.name}. {quiz.bug.story}"
    reader("perhaps", "9", str(quiz.answer))
    assert ask("gradcheck", "--quiz", "--seed", "7").out.splitlines()[-1] == f"Right{end}"
    reader(str(quiz.answer % 4 + 1))
    assert ask("gradcheck", "--quiz", "--seed", "7").out.splitlines()[-1] == f"No{end}"
    for lines in ([""], []):
        reader(*lines)
        answer = ask("gradcheck", "--quiz", "--seed", "7")
        assert answer.code == 0
        assert "gradcheck --quiz --seed 7 --answer" in answer.out.splitlines()[-1]
        assert quiz.bug.name not in answer.out


def test_a_quiz_as_json_has_its_answer_only_when_asked_for(ask):
    quiz = ask("gradcheck", "--quiz", "--json").json
    assert quiz.keys() == {"seed", "layer", "report", "stories"}
    told = ask("gradcheck", "--quiz", "--seed", quiz["seed"], "--answer", "--json").json
    assert told["stories"] == quiz["stories"]
    assert told["stories"][told["answer"] - 1] == planted.CATALOGUE[told["bug"]].story


@pytest.mark.parametrize(("arguments", "message"), [
    (["--seeds", "4"], "--seeds means nothing without --self-test"),
    (["--answer"], "give --quiz --seed S"),
    (["--quiz", "--answer"], "give --quiz --seed S"),
    (["--self-test", "--quiz"], "not allowed with argument"),
    (["--network", "koch2016"], "invalid choice: 'koch2016'"),
])
def test_options_of_gradcheck_that_do_not_go_together_are_refused(arguments, message, refused):
    assert message in refused("gradcheck", *arguments)


# download and info


@piped_and_on_a_terminal
@pytest.mark.parametrize(("arguments", "folder", "names"), [
    ([], "cache/scratchnet", sorted(cli.ARCHIVES)),
    (["there", "--only", "all_runs.zip"], "there", ["all_runs.zip"]),
])
def test_download_fetches_what_it_is_told_where_it_is_told(
    arguments, folder, names, terminal, ask, monkeypatch, tmp_path
):
    asked = []

    def fetch(where, which, progress):
        asked.append((tmp_path / where, sorted(which)))
        for name in which:
            progress(name, 0, 10)
            progress(name, 10, 10)

    monkeypatch.setattr(cli, "download", fetch)
    answer = ask("download", *arguments, terminal=terminal)
    assert answer.code == 0
    assert (names[-1] in answer.err) == terminal
    assert asked == [(tmp_path / folder, names)]
    assert "complete and verified" in answer.out


def test_info_tells_what_it_runs_on(ask, monkeypatch):
    monkeypatch.setenv("SCRATCHNET_DATA", "some/folder")
    facts = ask("info", "--json").json
    assert (facts["scratchnet"], facts["numpy"], facts["device"]) == (VERSION, np.__version__, "cpu")
    assert facts["data"] == "some/folder"
    assert facts["recipes"] == list(RECIPES)
    assert facts["threads"] >= 1
    assert "available" in facts["cuda"]
    answer = ask("info")
    assert answer.code == 0
    assert [line.split()[0] for line in answer.out.splitlines()] == list(facts)
