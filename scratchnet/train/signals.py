"""Signals and deadlines that ask a process to stop, at the next point where it can be resumed."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from typing import Any

# Ctrl-C, a request to end, and a closed terminal; Windows has no SIGHUP.
STOPPING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


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

    deadline: on the clock of time.monotonic().
    """

    number: int = 0
    deadline: float = inf

    @property
    def requested(self) -> bool:
        """Whether a signal has asked to stop, or the deadline has come."""
        return self.number != 0 or time.monotonic() >= self.deadline

    def interruption(self, message: str) -> Interrupted:
        """The exception that says so."""
        return Interrupted(message, self.number) if self.number else OutOfTime(message)


@contextmanager
def stop_requests(deadline: float = inf) -> Iterator[Stop]:
    """SIGINT, SIGTERM and SIGHUP set a flag for the caller to poll; a second one raises StoppedAtOnce.

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
