"""One process at a time trains in a folder."""

import os
import subprocess
import sys

import pytest
from helpers import everything_in
from short_runs import RUN, outcome

from scratchnet.checkpoint import WEIGHTS
from scratchnet.errors import InUseError
from scratchnet.train import train
from scratchnet.train.folder import LOG, RECIPE, STATE, TABLE


@pytest.mark.parametrize("resume", [False, True])
def test_a_second_process_in_the_folder_is_refused_at_the_start_and_the_first_goes_on(
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


def test_the_leftovers_of_a_killed_run_are_removed_and_its_lock_blocks_nobody(split, tmp_path, whole):
    subprocess.run([sys.executable, "-c", DYING, tmp_path], check=False)
    assert len(list(tmp_path.iterdir())) == 2
    train(RUN, split, tmp_path, quiet=True)
    assert {path.name for path in tmp_path.iterdir()} == {RECIPE, STATE, WEIGHTS, LOG, TABLE}
    assert outcome(tmp_path) == whole
