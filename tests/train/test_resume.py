"""A run that stops goes on to the same bits, however it was stopped."""

import os
import signal
import types
from dataclasses import replace

import pytest
from short_runs import RUN, RUNS, TINY, outcome, stop_at, stopped

from scratchnet.checkpoint import WEIGHTS, load_arrays
from scratchnet.oneshot import trials as oneshot
from scratchnet.train import LOG, STATE, Interrupted, loop, train
from scratchnet.train.state import TrainingRun


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("number", [1, 4, 6, 12])
def test_a_run_interrupted_after_any_step_goes_on_to_the_same_bits(
    name, number, split, tmp_path, steps, uninterrupted, capsys
):
    steps.then = stop_at(number)
    epoch, step = divmod(number - 1, 4)
    with pytest.raises(Interrupted, match=f"stopped in epoch {epoch + 1} after step {step + 1}, state saved"):
        train(RUNS[name], split, tmp_path)
    assert len(steps) == number
    train(RUNS[name], split, tmp_path, resume=True)
    assert len(steps) == 12
    assert outcome(tmp_path) == uninterrupted[name]
    assert capsys.readouterr().out == ""


def test_a_run_interrupted_again_and_again_goes_on_to_the_same_bits(split, tmp_path, steps, uninterrupted):
    steps.then = lambda _: os.kill(os.getpid(), signal.SIGINT)
    for number in range(12):
        with pytest.raises(Interrupted):
            train(RUNS["episodes"], split, tmp_path, resume=number > 0, quiet=True)
    train(RUNS["episodes"], split, tmp_path, resume=True, quiet=True)
    assert outcome(tmp_path) == uninterrupted["episodes"]


@pytest.mark.parametrize("name", RUNS)
def test_a_run_that_ran_out_of_time_goes_on_to_the_same_bits(name, split, tmp_path, steps, uninterrupted):
    train(RUNS[name], split, tmp_path, max_minutes=0, quiet=True)
    assert len(steps) == 4
    train(RUNS[name], split, tmp_path, resume=True, quiet=True)
    assert outcome(tmp_path) == uninterrupted[name]


def test_a_run_killed_before_it_could_save_goes_on_from_the_last_state(split, tmp_path, steps, uninterrupted):
    def die(taken):
        if taken == 7:
            raise RuntimeError("power cut")

    steps.then = die
    with pytest.raises(RuntimeError, match="power cut"):
        train(RUNS["episodes"], split, tmp_path, quiet=True)
    train(RUNS["episodes"], split, tmp_path, resume=True, quiet=True)
    assert len(steps) == 7 + 8
    assert outcome(tmp_path) == uninterrupted["episodes"]


def test_an_interrupt_during_validation_stops_after_the_epoch(split, tmp_path, monkeypatch, uninterrupted):
    evaluate = oneshot.evaluate

    def interrupted(net, runs):
        os.kill(os.getpid(), signal.SIGINT)
        return evaluate(net, runs)

    with monkeypatch.context() as patch:
        patch.setattr(oneshot, "evaluate", interrupted)
        with pytest.raises(Interrupted, match="stopped after epoch 1, state saved"):
            train(RUNS["episodes"], split, tmp_path, quiet=True)
    train(RUNS["episodes"], split, tmp_path, resume=True, quiet=True)
    assert outcome(tmp_path) == uninterrupted["episodes"]


# When states are saved


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
        (loop.SAVE_EVERY, [(1, 0), (2, 0)]),
    ],
)
def test_states_are_saved_within_epochs_whenever_the_minutes_have_passed(
    minutes, expected, split, tmp_path, steps, saves, monkeypatch
):
    monkeypatch.setattr(loop, "time", types.SimpleNamespace(monotonic=lambda: 30.0 * len(steps)))
    train(replace(TINY, epochs=2), split, tmp_path, quiet=True, save_every=minutes)
    assert saves == expected


def test_an_epoch_in_several_processes_is_logged_with_all_its_time_and_images(split, tmp_path, steps, monkeypatch):
    monkeypatch.setattr(loop, "time", types.SimpleNamespace(monotonic=lambda: 10.0 * len(steps)))
    once = replace(TINY, epochs=1)
    stopped(once, split, tmp_path, steps)
    train(once, split, tmp_path, resume=True, quiet=True)
    (record,) = load_arrays(tmp_path / STATE)[1]["history"]
    assert (record["seconds"], record["images_per_second"]) == (40.0, 4 * 20 / 40)


def test_the_same_run_writes_the_same_weights_file_and_only_the_log_has_times(split, tmp_path, steps):
    train(RUN, split, tmp_path / "first", quiet=True)
    stopped(RUN, split, tmp_path / "second", steps, 7)
    train(RUN, split, tmp_path / "second", resume=True, quiet=True)
    assert (tmp_path / "first" / WEIGHTS).read_bytes() == (tmp_path / "second" / WEIGHTS).read_bytes()
    assert '"seconds": ' in (tmp_path / "first" / LOG).read_text()
