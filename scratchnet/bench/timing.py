"""Times of things that are done in turns, and what is told of many times."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from scratchnet.backend import CPU, Device

WARM_UP = 0.5  # seconds, on a GPU, which compiles what it meets first and takes a while to reach its clock rate


class Spread(NamedTuple):
    """The middle and the ends of some figures."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        return cls(float(np.median(values)), min(values), max(values))


def now(device: Device) -> float:
    """Seconds on a clock that is read once the device has computed all that it was asked for."""
    device.synchronise()
    return time.perf_counter()


def in_turns(steps: Mapping[str, Callable[[], Any]], rounds: int, device: Device) -> dict[str, list[float]]:
    """Seconds of each step in each round, the steps taken in turns.

    The first round is not counted, and on a GPU none that begins within the first WARM_UP seconds after it. Whatever
    else the machine does meanwhile then meets all of them alike, and the ratios within a round hold.
    """
    seconds: dict[str, list[float]] = {name: [] for name in steps}

    def take_turns() -> None:
        for name, step in steps.items():
            start = now(device)
            step()
            seconds[name].append(now(device) - start)

    take_turns()
    warm = time.perf_counter() + (0 if device is CPU else WARM_UP)
    while time.perf_counter() < warm:
        take_turns()
    for _ in range(rounds):
        take_turns()
    return {name: values[-rounds:] for name, values in seconds.items()}


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Our time over theirs, round by round."""
    return Spread.of([our / their for our, their in zip(ours, theirs, strict=True)])
