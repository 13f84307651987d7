"""A training survives signals, kills, closed terminals and a second process, and is resumed to the same bits."""

import os
import runpy
import signal
import subprocess
import sys
import types
from dataclasses import replace

import numpy as np
import pytest
from helpers import everything_in
from short_runs import RUNS, TINY, outcome, stop_at

from scratchnet.checkpoint import WEIGHTS, load_arrays, save_arrays
from scratchnet.data.alphabets import Alphabet, digest
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.data.splits import Split
from scratchnet.errors import CheckpointError, InUseError
from scratchnet.train import LOG, STATE, Interrupted, StoppedAtOnce, exit_code, signals, train
from scratchnet.train import loop as training
from scratchnet.train.folder import LOCK
from scratchnet.train.state import TrainingRun

RUN = RUNS["episodes both ways, averaged"]
HANGUP = getattr(signal, "SIGHUP", signal.SIGTERM)  # which Windows lacks
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, HANGUP: 128 + HANGUP}
every_signal = pytest.mark.parametrize("how", CODES, ids=lambda how: how.name)


@pytest.fixture(scope="module")
def whole(split, tmp_path_factory):
    """What RUN leaves behind when nothing stops it."""
    out = tmp_path_factory.mktemp("whole")
    train(RUN, split, out, quiet=True)
    return outcome(out)


@pytest.fixture
def saves(monkeypatch):
    """The (epoch, step) of each state that is saved."""
    positions, save = [], TrainingRun.save

    def saved(run):
        save(run)
        positions.append((run.progress.epoch, run.progress.step))

    monkeypatch.setattr(TrainingRun, "save", saved)
    return positions


def power_cut_at(number):
    def cut(taken):
        if taken == number:
            raise RuntimeError("power cut")

    return cut


def stopped(recipe, split, out, steps, number=2, **options):
    """A run that is stopped after so many steps."""
    steps.then = stop_at(len(steps) + number)
    with pytest.raises(Interrupted):
        train(recipe, split, out, quiet=True, **options)
    steps.then = lambda taken: None
    return out


# Signals


@every_signal
def test_each_signal_saves_the_state_and_has_its_exit_code(how, split, tmp_path, steps, whole):
    before = signal.getsignal(how)
    steps.then = stop_at(6, how)
    with pytest.raises(Interrupted, match="stopped in epoch 2 after step 2, state saved") as stop:
        train(RUN, split, tmp_path, quiet=True)
    assert exit_code(stop.value) == CODES[how]
    assert signal.getsignal(how) is before
    train(RUN, split, tmp_path, resume=True, quiet=True)
    assert outcome(tmp_path) == whole


@every_signal
def test_a_signal_that_was_ignored_at_the_start_stays_ignored(how, split, tmp_path, steps, whole):
    """As SIGHUP is under nohup."""
    before = signal.signal(how, signal.SIG_IGN)
    try:
        steps.then = stop_at(2, how)
        train(RUN, split, tmp_path, quiet=True)
        assert signal.getsignal(how) is signal.SIG_IGN
    finally:
        signal.signal(how, before)
    assert outcome(tmp_path) == whole


@pytest.mark.parametrize("second", CODES, ids=lambda how: how.name)
def test_a_second_signal_ends_at_once_with_its_own_exit_code(second, split, tmp_path, steps):
    def twice(_):
        for how in (signal.SIGINT, second):
            os.kill(os.getpid(), how)

    steps.then = twice
    with pytest.raises(StoppedAtOnce, match="the state is that of the last save") as stop:
        train(TINY, split, tmp_path, quiet=True)
    assert exit_code(stop.value) == CODES[second]
    assert not list(tmp_path.glob("*.npz"))
    assert not (tmp_path / LOCK).exists()


def test_a_signal_while_data_are_prepared_stops_after_the_first_step(split, tmp_path, steps, monkeypatch):
    def interrupted(alphabets):
        os.kill(os.getpid(), signal.SIGTERM)
        return digest(alphabets)

    monkeypatch.setattr(training, "digest", interrupted)
    with pytest.raises(Interrupted, match="stopped in epoch 1 after step 1, state saved"):
        train(TINY, split, tmp_path, quiet=True)
    assert len(steps) == 1


def test_a_system_without_sighup_has_the_other_two(monkeypatch):
    monkeypatch.delattr(signal, "SIGHUP", raising=False)
    assert runpy.run_path(signals.__file__)["STOPPING"] == (signal.SIGINT, signal.SIGTERM)


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no such signals")
def test_the_command_saves_says_how_to_go_on_and_leaves_no_child(tmp_path):
    settings = [
        f"--set={setting}"
        for setting in (
            "architecture.image_size=16",
            "architecture.width=2",
            "steps=2000",
            "architecture.features=8",
            "n_way=2",
            "batch_size=1",
        )
    ]
    command = [sys.executable, "-m", "scratchnet", "train", *settings, "--save-every", "1e-6", "--out"]
    running = {
        how: subprocess.Popen(
            [*command, tmp_path / how.name], stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        for how in CODES
    }
    for how, process in running.items():
        while not (tmp_path / how.name / STATE).exists():
            assert process.poll() is None
        process.send_signal(how)
    for how, process in running.items():
        said = process.communicate()[1].splitlines()
        assert process.returncode == CODES[how]
        assert said[-1].startswith("scratchnet: stopped in epoch 1 after step ")
        assert f"go on with: scratchnet train --resume --out {tmp_path / how.name}" in said[-1]
        with pytest.raises(ProcessLookupError):
            os.killpg(process.pid, 0)
        assert load_arrays(tmp_path / how.name / STATE)[1]["step"] > 0


# Stops without a signal


@pytest.mark.parametrize("number", [1, 3, 7])
def test_a_power_cut_loses_nothing_but_steps_since_the_last_save(number, split, tmp_path, steps, saves, whole):
    steps.then = power_cut_at(number)
    with pytest.raises(RuntimeError, match="power cut"):
        train(RUN, split, tmp_path, quiet=True, save_every=1e-9)
    assert len([position for position in saves if position[1]]) == number - 1
    steps.then = lambda taken: None
    train(RUN, split, tmp_path, resume=number > 1, quiet=True)
    assert len(steps) == 12 + 1
    assert outcome(tmp_path) == whole


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [
        (1.0, [(0, 2), (0, 4), (1, 0), (1, 2), (1, 4), (2, 0)]),
        (1.5, [(0, 3), (1, 0), (1, 3), (2, 0)]),
        (10.0, [(1, 0), (2, 0)]),
        (training.SAVE_EVERY, [(1, 0), (2, 0)]),
    ],
)
def test_states_are_saved_within_epochs_each_time_so_many_minutes_have_passed(
    minutes, expected, split, tmp_path, steps, saves, monkeypatch
):
    monkeypatch.setattr(training, "time", types.SimpleNamespace(monotonic=lambda: 30.0 * len(steps)))
    train(replace(TINY, epochs=2), split, tmp_path, quiet=True, save_every=minutes)
    assert saves == expected


def test_an_epoch_in_several_processes_is_logged_with_all_its_time_and_images(split, tmp_path, steps, monkeypatch):
    monkeypatch.setattr(training, "time", types.SimpleNamespace(monotonic=lambda: 10.0 * len(steps)))
    once = replace(TINY, epochs=1)
    stopped(once, split, tmp_path, steps)
    train(once, split, tmp_path, resume=True, quiet=True)
    (record,) = load_arrays(tmp_path / STATE)[1]["history"]
    assert (record["seconds"], record["images_per_second"]) == (40.0, 4 * 20 / 40)


def test_the_same_run_writes_the_same_weights_file_and_times_go_to_the_log(split, tmp_path, steps):
    train(RUN, split, tmp_path / "first", quiet=True)
    stopped(RUN, split, tmp_path / "second", steps, 7)
    train(RUN, split, tmp_path / "second", resume=True, quiet=True)
    assert (tmp_path / "first" / WEIGHTS).read_bytes() == (tmp_path / "second" / WEIGHTS).read_bytes()
    assert '"seconds": ' in (tmp_path / "first" / LOG).read_text()


# Two processes in one folder


@pytest.mark.parametrize("resume", [False, True])
def test_a_second_training_in_the_folder_is_refused_at_the_start_and_the_first_goes_on(
    resume, split, tmp_path, steps, whole
):
    def second(taken):
        if taken == 6:
            before, steps.then = everything_in(tmp_path), lambda _: None
            with pytest.raises(InUseError, match=rf"^.* is in use by process {os.getpid()} on .* since .*: wait until"):
                train(RUN, split, tmp_path, resume=resume, quiet=True)
            assert everything_in(tmp_path) == before

    steps.then = second
    train(RUN, split, tmp_path, quiet=True)
    assert len(steps) == 12
    assert outcome(tmp_path) == whole


DYING = """
import os, sys
from pathlib import Path
from scratchnet.files.atomic import atomic_write
from scratchnet.train.folder import run_folder
with run_folder(Path(sys.argv[1])), atomic_write(Path(sys.argv[1]) / "state.npz") as file:
    file.write(b"half")
    file.flush()
    os._exit(9)
"""


def test_what_a_killed_training_left_is_swept_and_its_lock_holds_nobody_up(split, tmp_path, whole):
    subprocess.run([sys.executable, "-c", DYING, tmp_path], check=False)
    assert len(list(tmp_path.iterdir())) == 2
    train(RUN, split, tmp_path, quiet=True)
    assert len(list(tmp_path.iterdir())) == 4
    assert outcome(tmp_path) == whole


# The same data, another environment


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


def test_drawings_that_nothing_looks_at_may_change(split, tmp_path, steps):
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


def test_another_environment_is_warned_of_in_one_line(split, tmp_path, steps, capsys, monkeypatch):
    stopped(RUN, split, tmp_path, steps)
    here = training.environment

    def elsewhere(device):
        return here(device) | {"threads": "99", "BLAS": "another 1.0", "news": "unknown then"}

    monkeypatch.setattr(training, "environment", elsewhere)
    train(RUN, split, tmp_path, resume=True, quiet=True)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: {tmp_path} goes on with other BLAS (then ")
    assert "now another 1.0), threads (then " in line
    assert line.endswith("its numbers may differ by rounding from those of a run that was never stopped")
    assert "news" not in line


def test_the_same_environment_is_not_warned_of(split, tmp_path, steps, capsys):
    stopped(RUN, split, tmp_path, steps)
    train(RUN, split, tmp_path, resume=True, quiet=True)
    assert capsys.readouterr().err == ""


def test_another_number_of_pieces_is_warned_of(split, tmp_path, steps, capsys, monkeypatch):
    stopped(RUN, split, tmp_path, steps)
    arrays, saved = load_arrays(tmp_path / STATE)
    del saved["version"]
    saved["environment"]["pieces of a batch"] = "2"
    save_arrays(tmp_path / STATE, arrays, saved)
    train(RUN, split, tmp_path, resume=True, quiet=True)
    assert "goes on with other pieces of a batch (then 2, now 1): its" in capsys.readouterr().err


def test_a_state_of_version_0_1_is_resumed_without_a_word(split, tmp_path, steps, whole, capsys):
    stopped(RUN, split, tmp_path, steps)
    arrays, saved = load_arrays(tmp_path / STATE)
    for name in ("version", "data", "environment", "seconds", "images"):
        del saved[name]
    save_arrays(tmp_path / STATE, arrays, saved)
    train(RUN, split, tmp_path, resume=True, quiet=True)
    assert outcome(tmp_path) == whole
    assert capsys.readouterr().err == ""


# A terminal that is gone


class Gone:
    """stderr of a terminal that was closed, or on a full disk."""

    encoding, closed = "utf-8", False

    def __init__(self, terminal):
        self.terminal = terminal

    def isatty(self):
        return self.terminal

    def fileno(self):
        raise OSError("no descriptor")

    def write(self, _text):
        raise OSError(5, "Input/output error")

    def flush(self):
        raise OSError(5, "Input/output error")


@pytest.mark.parametrize("stderr", [Gone(True), Gone(False), None], ids=["terminal", "file", "closed"])
def test_progress_that_cannot_be_shown_stops_no_training(stderr, split, tmp_path, monkeypatch, whole, capsys):
    monkeypatch.setattr(sys, "stderr", stderr)
    train(RUN, split, tmp_path)
    assert outcome(tmp_path) == whole
    assert capsys.readouterr().out == ""
