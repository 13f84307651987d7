"""Signals and deadlines that ask a process to stop, at the next point where it can be resumed."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from typing import Any

from scratchnet.parallel.comm import ALONE, Comm, of_all_ranks

# Ctrl-C, a request to end, a closed terminal, and what job schedulers and mpiexec pass on; Windows lacks the last two.
NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")
STOPPING = tuple(getattr(signal, name) for name in NAMES if hasattr(signal, name))


class Interrupted(Exception):
    """The signal `number` asked training to stop, and the state is saved."""

    def __init__(self, message: str, number: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.number = number


class OutOfTime(Interrupted):
    """The deadline has come, and the state is saved."""


class StoppedAtOnce(KeyboardInterrupt):
    """A second signal, `number`, came before the first was handled."""

    def __init__(self, number: int) -> None:
        super().__init__("stopped at once, the state is that of the last save")
        self.number = number


def exit_code(stop: BaseException) -> int:
    """The exit code of a program that a signal ended, as shells count it: 128 plus the signal's number."""
    return 128 + (stop.number if isinstance(stop, Interrupted | StoppedAtOnce) else signal.SIGINT)


@dataclass
class Stop:
    """The number of the first signal that asked to stop, 0 until then; and when to stop without one.

    deadline: on the clock of time.monotonic(). answer: the signal that all ranks stop for, 0 for the deadline.
    """

    number: int = 0
    deadline: float = inf
    answer: int = 0

    def agreed(self, ranks: Comm = ALONE) -> bool:
        """Whether to stop now: if a signal has asked a rank to, or its deadline has come, all do so together."""
        asked = self.number or (-1 if time.monotonic() >= self.deadline else 0)
        of_all = of_all_ranks(ranks, asked)
        self.answer = int(max(0, *of_all))
        return any(of_all)

    def interruption(self, message: str) -> Interrupted:
        """The exception that says why."""
        return Interrupted(message, self.answer) if self.answer else OutOfTime(message)


@contextmanager
def stop_requests(deadline: float = inf) -> Iterator[Stop]:
    """SIGINT, SIGTERM, SIGHUP and SIGUSR1 set a flag for the caller to poll; a second one raises StoppedAtOnce.

    A signal that is ignored stays ignored: SIGHUP under nohup, SIGINT in the background of a script. Outside the main
    thread, where signals do not arrive, nothing changes.
    """
    stop = Stop(deadline=deadline)

    def request(number: int, _frame: Any) -> None:
        if stop.number:
            raise StoppedAtOnce(number)
        stop.number = number

    previous = {}
    try:
        for number in STOPPING:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):  # None: set by C code, not ours to restore
                previous[number] = signal.signal(number, request)
    except ValueError:  # not in the main thread
        pass
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
