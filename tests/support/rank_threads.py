"""Ranks as threads of one process: what they tell each other without MPI, and functions that run on all of them.

One of them runs at a time, for the kernels on the host know of no threads.
"""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class Meeting:
    """What the ranks of one job share."""

    size: int
    barrier: threading.Barrier
    slots: list[Any]
    turn: threading.Lock = field(default_factory=threading.Lock)
    sums: list[tuple[int, ...]] = field(default_factory=list)  # the shapes that rank 0 has summed


class RankThread:
    """One of the ranks, a `Comm`."""

    def __init__(self, meeting, rank):
        self.meeting, self.rank, self.size = meeting, rank, meeting.size

    def _meet(self, array):
        """The arrays of all ranks."""
        self.meeting.slots[self.rank] = array
        self.barrier()
        found = list(self.meeting.slots)
        self.barrier()
        return found

    def broadcast(self, array):
        return self._meet(np.array(array))[0].copy()

    def allreduce(self, array):
        if self.rank == 0:
            self.meeting.sums.append(array.shape)
        return sum(self._meet(array))

    def start_allreduce(self, array):
        total = self.allreduce(array)
        return lambda: total

    def barrier(self):
        self.meeting.turn.release()
        try:
            self.meeting.barrier.wait(timeout=60)
        finally:
            self.meeting.turn.acquire()


def on_ranks(size, function):
    """function(ranks) on each of `size` ranks at once; their results. An exception on one of them is raised."""
    meeting = Meeting(size, threading.Barrier(size), [None] * size)

    def run(rank):
        with meeting.turn:
            try:
                return function(RankThread(meeting, rank))
            except BaseException:
                meeting.barrier.abort()
                raise

    with ThreadPoolExecutor(size) as pool:
        started = [pool.submit(copy_context().run, run, rank) for rank in range(size)]
        errors = [future.exception() for future in started]
        for error in errors:
            if error and not isinstance(error, threading.BrokenBarrierError):
                raise error
        return [future.result() for future in started]
