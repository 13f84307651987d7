"""What an optimiser does to the arrays of one parameter, in place.

failed: None, or a flag () int32 of ops/finite.py on the device of the arrays; where it is raised, nothing changes.
"""

from collections.abc import Sequence
from typing import NamedTuple

from scratchnet.backend import Array
from scratchnet.ops.accelerated import accelerated
from scratchnet.ops.finite import flag_not_finite, unless


class Settings(NamedTuple):
    """The settings of one parameter in one epoch."""

    lr: float
    momentum: float
    weight_decay: float


class Update(NamedTuple):
    """What `sgd` takes for one parameter."""

    weight: Array
    velocity: Array
    gradient: Array
    settings: Settings


def next_velocity(v: Array, w: Array, g: Array, settings: Settings) -> Array:
    """momentum v - lr (g + weight_decay w), multiplied out: the sum in brackets could overflow."""
    lr, momentum, weight_decay = settings
    return momentum * v - lr * g - (lr * weight_decay) * w


@accelerated
def sgd(weight: Array, velocity: Array, gradient: Array, settings: Settings, failed: Array | None) -> None:
    """v <- momentum v - lr (g + weight_decay w), then w <- w + v."""
    new = next_velocity(velocity, weight, gradient, settings)
    velocity[...] = unless(failed, velocity, new)
    weight[...] = unless(failed, weight, weight + new)


@accelerated
def flag_sgd(updates: Sequence[Update], failed: Array) -> None:
    """Raise the flag unless `sgd` would leave every number of every weight finite; changes nothing else."""
    new = [weight + next_velocity(velocity, weight, gradient, own) for weight, velocity, gradient, own in updates]
    flag_not_finite(new, failed)


@accelerated
def average(mean: Array, value: Array, share: float, failed: Array | None) -> None:
    """mean <- mean + share (value - mean)."""
    mean[...] = unless(failed, mean, mean + share * (value - mean))
