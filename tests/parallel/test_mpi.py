"""Which job a process belongs to, and what its processes say to each other by MPI."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from mpi_jobs import needs_mpi, run_job

import scratchnet
from scratchnet.errors import ScratchnetError
from scratchnet.parallel import mpi
from scratchnet.parallel.comm import ALONE, of_all_ranks
from scratchnet.parallel.job import device_of_rank, job
from scratchnet.parallel.mpi import started, world

STARTED = {
    "Open MPI's mpiexec": {"OMPI_COMM_WORLD_SIZE": "3", "OMPI_COMM_WORLD_RANK": "2"},
    "MPICH's or Intel's mpiexec": {"PMI_SIZE": "3", "PMI_RANK": "2"},
    "srun": {"SLURM_STEP_NUM_TASKS": "3", "SLURM_PROCID": "2"},
}


@pytest.fixture(autouse=True)
def started_by_nobody(monkeypatch):
    for name in (name for names in mpi.VARIABLES for name in names):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    "variables",
    [{}, {"OMPI_COMM_WORLD_SIZE": "1", "OMPI_COMM_WORLD_RANK": "0"}, {"SLURM_NTASKS": "4", "SLURM_PROCID": "0"}],
    ids=str,
)
def test_a_process_that_is_alone_loads_no_mpi(variables, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    assert world() is ALONE
    with job() as ranks:
        assert ranks is ALONE


@pytest.mark.parametrize("variables", STARTED.values(), ids=STARTED)
def test_one_of_several_says_what_is_missing(variables, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(ScratchnetError, match=r'one of 3 processes, which need mpi4py.*pip install -e "\.\[mpi\]"'):
        world()
    assert started() == (3, 2)


def test_an_mpiexec_of_another_mpi_is_refused(monkeypatch):
    monkeypatch.setenv("PMI_SIZE", "3")
    monkeypatch.setenv("PMI_RANK", "0")
    one = SimpleNamespace(COMM_WORLD=SimpleNamespace(size=1))
    monkeypatch.setattr(mpi, "importlib", SimpleNamespace(import_module=lambda name: one))
    with pytest.raises(ScratchnetError, match="one of 3 processes, but mpi4py sees 1: it uses another MPI"):
        world()


def test_alone_every_sum_is_the_number_itself():
    assert of_all_ranks(ALONE, 3) == [3.0]
    assert ALONE.broadcast(5) == ALONE.allreduce(5) == ALONE.start_allreduce(5)() == 5


@pytest.mark.parametrize(("visible", "expected"), [(None, "cuda:1"), ("4,5", "cuda:1"), ("5", "cuda")])
def test_each_rank_of_a_machine_has_a_gpu_of_its_own(visible, expected, monkeypatch):
    class Second(mpi.Mpi):
        rank, size = 5, 8

        def __init__(self):
            pass

        def on_this_machine(self):
            return [(4, {0}), (5, {1})]

    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr("scratchnet.parallel.job.get_device", lambda name: name)
    asked = [("cuda", Second()), ("cpu", Second()), ("cuda", ALONE)]
    assert [str(device_of_rank(name, ranks)) for name, ranks in asked] == [expected, "cpu", "cuda"]


def test_an_mpi_for_one_thread_sums_at_once():
    class Communicator(SimpleNamespace):
        rank, size = 0, 1

        def Dup(self):
            return self

        def Allreduce(self, _place, array):
            array *= 2

    for level, at_once in ((2, True), (3, False)):
        single = SimpleNamespace(Query_thread=lambda level=level: level, THREAD_MULTIPLE=3, IN_PLACE=None)
        ranks, array = mpi.Mpi(single, Communicator()), np.ones(3)
        wait = ranks.start_allreduce(array)
        assert (ranks._latest is None) is at_once
        assert wait().tolist() == [2, 2, 2]
        assert not ranks.waits


SAY = """
import os
import numpy as np
from scratchnet.backend import thread_count
from scratchnet.parallel.comm import of_all_ranks
from scratchnet.parallel.job import job

os.environ.pop("SCRATCHNET_THREADS")
with job() as ranks:
    r = float(ranks.rank)
    later = [ranks.start_allreduce(np.full((2, 3), (k + 1) * (r + 1), np.float32)) for k in range(3)]
    assert of_all_ranks(ranks, 10 + r) == [10.0, 11.0, 12.0]
    assert ranks.allreduce(np.array(r)) == 3
    assert ranks.allreduce(np.arange(12.0).reshape(3, 4)[:, 1]).tolist() == [3.0, 15.0, 27.0], "an array with gaps"
    assert ranks.broadcast(np.array([7 + r])).tolist() == [7.0]
    assert [wait()[0, 0] for wait in later] == [6.0, 12.0, 18.0]
    assert thread_count() == max(1, len(os.sched_getaffinity(0)) // 3), "they share the processors"
    ranks.barrier()
    print("said by rank", ranks.rank)
"""


@needs_mpi
def test_three_processes_talk_and_one_speaks():
    done = run_job(3, "-c", SAY)
    assert (done.code, done.out) == (0, "said by rank 0\n"), done.err


def test_only_one_file_imports_mpi4py():
    package = Path(scratchnet.__file__).parent
    assert [path.name for path in package.rglob("*.py") if "mpi4py.MPI" in path.read_text("utf-8")] == ["mpi.py"]
