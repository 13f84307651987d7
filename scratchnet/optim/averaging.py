"""A running average of the weights."""

from dataclasses import dataclass

from scratchnet.backend import Array, Params
from scratchnet.optim.update import approach


@dataclass
class WeightAverage:
    """The exponential moving average of all parameters, batch norm's statistics included (Polyak and Juditsky 1992).

    After training step t = 0, 1, 2 ..., with d = min(decay, (1 + t) / (10 + t)),

        average <- average + (1 - d) (value - average)

    With a constant d, the untrained parameters would linger for about 1 / (1 - decay) steps.
    """

    decay: float
    params: Params

    @classmethod
    def starting_at(cls, params: Params, *, decay: float) -> "WeightAverage":
        """An average before its first step: a copy of `params`."""
        return cls(decay, {name: value.copy() for name, value in params.items()})

    def update(self, params: Params, step: int, *, failed: Array | None = None) -> None:
        """Take in the parameters after training step `step`, counted from 0; the average changes in place.

        failed: a flag () int32 of ops/finite.py on the parameters' device; once it is raised, nothing changes.
        """
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        for name, value in params.items():
            approach(self.params[name], value, share, failed)
