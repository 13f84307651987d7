"""A command as a job of several processes: one of them speaks, they share the machine, and none is left waiting.

An exception on every rank ends the job in the usual way, and rank 0 tells of it. One on a single rank would leave the
others waiting for it: after GRACE seconds it prints its reason and ends them.
"""

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from scratchnet.backend import Device, get_device
from scratchnet.common.console import note
from scratchnet.errors import ScratchnetError
from scratchnet.parallel.comm import Comm
from scratchnet.parallel.mpi import Mpi, started, world

GRACE = 5.0  # seconds


@contextmanager
def job() -> Iterator[Comm]:
    """The ranks of this process's job. Inside and afterwards, only rank 0 prints."""
    spoken, (_, number) = sys.stderr, started()
    if number:
        sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # until the process ends
    ranks = world()
    if not isinstance(ranks, Mpi):
        yield ranks
        return
    _share_processors(ranks)
    try:
        yield ranks
    except BaseException as error:
        if not ranks.all_end(within=GRACE) or ranks.waits:  # it would wait for ever as it exits
            sys.stderr = spoken
            _tell(ranks, error)
            ranks.abort(2)
        raise
    ranks.all_end()  # a rank that is through leaves its processor to the others until they are


def device_of_rank(name: str | None, ranks: Comm) -> Device:
    """The device called `name` as this rank has it: of several GPUs in a machine, each rank takes another."""
    asked = name or os.environ.get("SCRATCHNET_DEVICE")
    if isinstance(ranks, Mpi) and asked == "cuda" and "," in os.environ.get("CUDA_VISIBLE_DEVICES", ","):
        name = f"cuda:{[rank for rank, _ in ranks.on_this_machine()].index(ranks.rank)}"
    return get_device(name)


def _share_processors(ranks: Mpi) -> None:
    """Give each rank its share of this machine's processors, unless the environment says how many threads to use."""
    here = ranks.on_this_machine()
    processors: set[int] = set().union(*(own for _, own in here))
    # The last of the variables that `thread_count` looks at, so that any other counts before it.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", str(max(1, len(processors) // len(here))))


def _tell(ranks: Mpi, error: BaseException) -> None:
    """Print what ends the job."""
    if not isinstance(error, ScratchnetError):
        traceback.print_exception(error)
    note(f"scratchnet: rank {ranks.rank} of {ranks.size} ends the job: {error or type(error).__name__}")
