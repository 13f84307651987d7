"""Signals stop a run at a point from which it goes on, with the exit codes of the shell."""

import os
import runpy
import signal
import subprocess
import sys
import threading

import pytest
from short_runs import RUN, TINY, outcome, stop_at

from scratchnet.checkpoint import load_arrays
from scratchnet.data.alphabets import digest
from scratchnet.train import STATE, Interrupted, OutOfTime, StoppedAtOnce, exit_code, signals, train
from scratchnet.train import state as state_module
from scratchnet.train.folder import LOCK

HANGUP = getattr(signal, "SIGHUP", signal.SIGTERM)  # Windows has no SIGHUP

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, HANGUP: 128 + HANGUP}

every_signal = pytest.mark.parametrize("how", CODES, ids=lambda how: how.name)


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
    """SIGHUP is ignored under nohup."""
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


def test_a_signal_during_data_preparation_stops_after_the_first_step(split, tmp_path, steps, monkeypatch):
    def interrupted(alphabets):
        os.kill(os.getpid(), signal.SIGTERM)
        return digest(alphabets)

    monkeypatch.setattr(state_module, "digest", interrupted)
    with pytest.raises(Interrupted, match="stopped in epoch 1 after step 1, state saved"):
        train(TINY, split, tmp_path, quiet=True)
    assert len(steps) == 1


def test_a_system_without_sighup_and_sigusr1_has_the_other_two(monkeypatch):
    for name in ("SIGHUP", "SIGUSR1"):
        monkeypatch.delattr(signal, name, raising=False)
    assert runpy.run_path(signals.__file__)["STOPPING"] == (signal.SIGINT, signal.SIGTERM)


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no such signals")
def test_the_command_saves_says_how_to_resume_and_leaves_no_child(tmp_path):
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
        assert f"to continue: scratchnet train --resume --out {tmp_path / how.name}" in said[-1]
        with pytest.raises(ProcessLookupError):
            os.killpg(process.pid, 0)
        assert load_arrays(tmp_path / how.name / STATE)[1]["step"] > 0


def test_a_training_outside_of_the_main_thread_leaves_signals_alone(split, tmp_path, whole):
    before = {number: signal.getsignal(number) for number in signals.STOPPING}
    thread = threading.Thread(target=train, args=(RUN, split, tmp_path), kwargs={"quiet": True})
    thread.start()
    thread.join()
    assert {number: signal.getsignal(number) for number in signals.STOPPING} == before
    assert outcome(tmp_path) == whole


def test_a_deadline_stops_within_an_epoch_and_loses_nothing(split, tmp_path, steps, whole, monkeypatch):
    monkeypatch.setattr(signals.time, "monotonic", lambda: float(len(steps)))  # a step a second
    with pytest.raises(OutOfTime, match="stopped in epoch 2 after step 1, state saved"):
        train(RUN, split, tmp_path, quiet=True, deadline=5)
    train(RUN, split, tmp_path, quiet=True, resume=True)
    assert outcome(tmp_path) == whole
