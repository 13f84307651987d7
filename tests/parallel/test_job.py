"""Jobs of two processes: one network, one voice, and an end for all, with nothing lost but the steps since a save."""

import json
from pathlib import Path

import numpy as np
import pytest
from commands import TINY
from mpi_jobs import needs_mpi, run_job

from scratchnet.checkpoint import load_arrays
from scratchnet.train import LOG, STATE

pytestmark = needs_mpi
TRAIN = Path(__file__).parents[1] / "support" / "train_on_ranks.py"


def log(out):
    return [json.loads(line) for line in (out / LOG).read_text().splitlines()]


def state(out):
    return load_arrays(out / STATE)


def assert_alike(out, other):
    """Both runs have ended, with the same weights: to 1e-5 of the largest."""
    (arrays, notes), (others, other_notes) = state(out), state(other)
    assert (notes["epoch"], notes["step"]) == (other_notes["epoch"], other_notes["step"])
    largest = max(np.abs(value).max() for value in others.values())
    for name, value in others.items():
        assert np.abs(arrays[name] - value).max() <= 1e-5 * largest, name


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run that one process makes without a stop."""
    out = tmp_path_factory.mktemp("whole") / "run"
    assert run_job(1, TRAIN, "plain", out).code == 0
    return out


def test_two_ranks_end_with_the_weights_of_one_process(whole, tmp_path):
    done = run_job(2, TRAIN, "plain", tmp_path / "two")
    assert done.code == 0, done.err
    assert_alike(tmp_path / "two", whole)
    assert [record["ranks"] for record in log(tmp_path / "two")] == [2, 2, 2]
    assert [record["validation"] for record in log(tmp_path / "two")] == [r["validation"] for r in log(whole)]


def test_the_command_speaks_with_one_voice_and_reports_its_ranks(tmp_path):
    done = run_job(2, "-m", "scratchnet", "train", *TINY, cwd=tmp_path)
    assert done.code == 0, done.err
    assert done.err.count("recipe glyphs, seed 0, run folder runs/glyphs, 2 ranks") == 1
    assert done.err.count("epoch   1/2") == 1
    assert done.out.count("weights in runs/glyphs") == 1, "all ranks have found the same new folder"
    assert [record["ranks"] for record in log(tmp_path / "runs" / "glyphs")] == [2, 2]


def test_a_batch_that_the_ranks_do_not_divide_is_one_line(tmp_path):
    done = run_job(2, "-m", "scratchnet", "train", *TINY, "--set", "batch_size=3", "--out", "run", cwd=tmp_path)
    assert done.code == 2
    (line,) = [line for line in done.err.splitlines() if line.startswith("scratchnet")]
    assert "batch_size=3 is the batch of the whole job" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("event", "code"), [("1:2:signal", 143), ("1:2:job", 138)])
def test_a_signal_to_one_rank_or_to_the_job_saves_first_and_another_number_goes_on(event, code, whole, tmp_path):
    out = tmp_path / "run"
    done = run_job(2, TRAIN, "plain", out, event)
    assert done.code == code, done.err
    assert done.err.count("state saved") == 1
    notes = state(out)[1]
    taken = 4 * notes["epoch"] + notes["step"]
    assert 2 <= taken < 12
    assert f"step {notes['step']}, state saved" in done.err, "no step is lost"
    again = run_job(1, TRAIN, "plain", out, "resume")
    assert again.code == 0, again.err
    assert "goes on with other ranks (then 2, now 1)" in again.err
    assert_alike(out, whole)


def test_a_killed_rank_ends_the_job_and_loses_the_steps_since_the_last_save(whole, tmp_path):
    out = tmp_path / "run"
    killed = run_job(2, TRAIN, "plain", out, "1:6:kill")
    assert killed.code != 0
    assert "signal 9" in killed.err, "mpiexec says what happened"
    notes = state(out)[1]
    assert (notes["epoch"], notes["step"]) == (1, 0), "that was saved at the end of the first epoch"
    again = run_job(2, TRAIN, "plain", out, "resume")
    assert again.code == 0, again.err
    assert_alike(out, whole)


def test_an_error_on_one_rank_ends_all_with_its_reason(tmp_path):
    done = run_job(2, TRAIN, "plain", tmp_path / "run", "1:2:raise")
    assert done.code == 2
    assert done.err.count("scratchnet: rank 1 of 2 ends the job: the pictures are gone") == 1
