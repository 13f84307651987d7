"""Interleaved timing, and summaries of repeated measurements."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from scratchnet.backend import CPU, Device

WARM_UP = 0.5  # seconds on a GPU, which compiles kernels on first use and takes a while to reach its full clock rate


class Spread(NamedTuple):
    """The median and range of some figures."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Median, minimum and maximum of at least one value."""
        return cls(float(np.median(values)), min(values), max(values))


def now(device: Device) -> float:
    """The time in seconds, read once the device has finished all queued work."""
    device.synchronise()
    return time.perf_counter()


def in_turns(steps: Mapping[str, Callable[[], Any]], rounds: int, device: Device) -> dict[str, list[float]]:
    """The seconds of each step in each round, with the steps interleaved.

    Other load on the machine then affects all of them alike, and ratios within a round stay meaningful. The first round
    is not counted, nor on a GPU any that starts within WARM_UP seconds after it.
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
    """Our time divided by theirs, round by round."""
    return Spread.of([our / their for our, their in zip(ours, theirs, strict=True)])
