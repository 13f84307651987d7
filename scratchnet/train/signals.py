"""Signals that ask a training to stop, once the batch under way is finished."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


class Interrupted(Exception):
    """Training was asked to stop, and has saved its state."""


@dataclass
class Stop:
    requested: bool = False


@contextmanager
def stop_requests() -> Iterator[Stop]:
    """SIGINT and SIGTERM set a flag that the loop reads between two batches; a second one ends the program at once."""
    stop = Stop()

    def request(number: int, _frame: Any) -> None:
        if stop.requested:
            raise KeyboardInterrupt
        stop.requested = True

    try:
        previous = {number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread, where signals arrive
        previous = {}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
