"""benchmarks/reliability in short: kills at random moments, and file operations that fail one at a time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks" / "reliability"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the benchmarks are not here, as in an installed package")


def run(script, *arguments):
    command = [sys.executable, FOLDER / script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_training_run_that_is_killed_repeatedly_ends_with_the_same_bits():
    result = run("kills.py", "--kills", "10")
    assert result.stdout.rstrip().endswith(" 0 faults"), result.stdout + result.stderr
    assert result.returncode == 0


def test_operations_on_files_that_fail_leave_old_files_sound_and_no_litter():
    result = run("failures.py", "--stride", "401")
    lines = result.stdout.splitlines()
    assert len(lines) == 5, result.stdout + result.stderr
    assert all(line.endswith("; 0 faults") for line in lines), result.stdout
    assert result.returncode == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_an_index_whose_writer_is_killed_answers_as_before_and_is_finished_by_the_same_call():
    result = run("index_kills.py", "--stride", "23")
    assert [line.partition(" kills, ")[2] for line in result.stdout.splitlines()] == ["0 faults"] * 2, result.stderr
    assert result.returncode == 0
