"""Schedules: how the learning rate and the momentum change from epoch to epoch, counted from 0."""

import math
from collections.abc import Callable
from dataclasses import dataclass

Schedule = Callable[[int], float]  # from the epoch to the factor that multiplies every learning rate


@dataclass(frozen=True)
class Decay:
    """factor^epoch; the paper's factor is 0.99. A factor of 1 is a constant learning rate."""

    factor: float = 1.0

    def __call__(self, epoch: int) -> float:
        return self.factor**epoch


CONSTANT = Decay(1.0)


@dataclass(frozen=True)
class Cosine:
    """(1 + cos(pi epoch / epochs)) / 2, which falls from 1 to 0 (Loshchilov and Hutter 2017, without restarts)."""

    epochs: int

    def __call__(self, epoch: int) -> float:
        return (1 + math.cos(math.pi * min(1.0, epoch / self.epochs))) / 2


@dataclass(frozen=True)
class WarmUp:
    """Another schedule, multiplied by (epoch + 1) / (epochs + 1) in the first `epochs` epochs."""

    epochs: int
    schedule: Schedule

    def __call__(self, epoch: int) -> float:
        return min(1.0, (epoch + 1) / (self.epochs + 1)) * self.schedule(epoch)


@dataclass(frozen=True)
class MomentumRise:
    """A linear rise of the momentum from `initial` at epoch 0 to its final value at epoch `epochs` (section 3.2)."""

    initial: float
    epochs: int

    def __call__(self, epoch: int, final: float) -> float:
        return self.initial + min(1.0, epoch / self.epochs) * (final - self.initial)
