"""A running average of the weights."""

from dataclasses import dataclass
from functools import partial

from scratchnet.backend import Array, Params, blocks, for_each
from scratchnet.ops.cuda import sgd as cuda_sgd
from scratchnet.ops.finite import unless


@dataclass
class WeightAverage:
    """The exponential running average of all parameters, batch norm's statistics among them (Polyak and Juditsky 1992).

    After training step t = 0, 1, 2 ..., with d = min(decay, (1 + t) / (10 + t)),

        average <- average + (1 - d) (value - average)

    A constant d would keep the untrained parameters for some 1 / (1 - decay) steps; this one lets go of them at once.
    """

    decay: float
    params: Params

    @classmethod
    def starting_at(cls, params: Params, decay: float) -> "WeightAverage":
        """An average that has seen no step yet: a copy of `params`."""
        return cls(decay, {name: value.copy() for name, value in params.items()})

    def update(self, params: Params, step: int, failed: Array | None = None) -> None:
        """Take in the parameters after training step number `step`, counted from 0; the average changes in place.

        failed: a flag of ops/finite.py, on a device that nobody waits for; once it is raised, nothing changes.
        """
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        for name, value in params.items():
            for_each(partial(_approach, self.params[name], value, share, failed), blocks(value), like=value)


def _approach(average: Array, value: Array, share: float, failed: Array | None, rows: slice) -> None:
    """Some rows of the average, a share of the way to the value: few enough at a time to stay in the cache."""
    part, value = average[rows], value[rows]
    if cuda_sgd.usable(part, value):
        cuda_sgd.approach(part, value, share, failed)
        return
    difference = value - part
    difference *= share
    if failed is None:
        part += difference
    else:
        part[...] = unless(failed, part, part + difference)
