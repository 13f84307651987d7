"""What the processes of a job say to each other: a few methods, which a process that is alone has as well.

A job is started by mpiexec or srun; its K processes are called ranks and counted from 0. Every method is called by all
of them, in the same order, with arrays of the same shape and dtype.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from scratchnet.backend import Array

LONGEST = 4096  # bytes of a text
Wait = Callable[[], Array]  # waits for a sum that has been started, and returns it


class Comm(Protocol):
    """The ranks of a job: `rank` is this process's number, `size` is how many there are."""

    @property
    def rank(self) -> int:
        """The number of this process."""

    @property
    def size(self) -> int:
        """How many processes there are."""

    def broadcast(self, array: Array) -> Array:
        """Rank 0's array."""

    def allreduce(self, array: Array) -> Array:
        """The sum of the arrays of all ranks, the same bits on each. It may be `array` itself, with new values."""

    def start_allreduce(self, array: Array) -> Wait:
        """Start `allreduce` and go on; nobody touches `array` until the function that is returned has been called."""

    def barrier(self) -> None:
        """Wait until all ranks are here."""


@dataclass(frozen=True)
class Alone:
    """The ranks of a job that is a single process."""

    rank: int = 0
    size: int = 1

    def broadcast(self, array: Array) -> Array:
        """The array itself."""
        return array

    def allreduce(self, array: Array) -> Array:
        """The array itself."""
        return array

    def start_allreduce(self, array: Array) -> Wait:
        """The array itself, later."""
        return lambda: array

    def barrier(self) -> None:
        """Nobody to wait for."""


ALONE = Alone()


def of_all_ranks(comm: Comm, number: float) -> list[float]:
    """The numbers of all ranks, in their order."""
    numbers = np.zeros(comm.size)
    numbers[comm.rank] = number
    return [float(each) for each in comm.allreduce(numbers)]


def told_by(comm: Comm, rank: int, text: str) -> str:
    """The text of that rank, cut off after LONGEST bytes."""
    letters = np.zeros(LONGEST, np.uint8)
    if comm.rank == rank:
        own = text.encode()[:LONGEST]
        letters[: len(own)] = np.frombuffer(own, np.uint8)
    return bytes(comm.allreduce(letters).tolist()).rstrip(b"\0").decode(errors="replace")
