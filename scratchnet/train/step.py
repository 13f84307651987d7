"""The training step: forward, backward and update on one batch. Nothing changes unless every result is finite."""

from collections.abc import Callable

import numpy as np

from scratchnet.backend import Array
from scratchnet.losses import Loss
from scratchnet.ops.finite import flag_not_finite, unless, unless_all
from scratchnet.optim.sgd import SGD
from scratchnet.train.gradients import Batch, Gradients, Trainable, gradients

Take = Callable[..., Gradients]  # as `gradients`, for a whole batch: alone, or with other processes


@np.errstate(over="ignore", invalid="ignore")
def queue_step(
    net: Trainable, optimiser: SGD, batch: Batch, loss: Loss, failed: Array, *, pieces: int = 1, take: Take = gradients
) -> Array:
    """`train_step` without waiting for the device: returns the loss () there; NaN once a step has failed.

    failed: a flag () int32 of ops/finite.py, raised where `train_step` fails; from then on nothing changes.
    """
    grads = take(net, loss, batch.a, batch.b, batch.target, pieces)
    flag_step(net, optimiser, grads, failed)
    optimiser.step(net.params, grads.params, failed=failed)
    names, values = grads.running_statistics.keys(), list(grads.running_statistics.values())
    statistics = unless_all(failed, [net.params[name] for name in names], values)
    net.params.update(zip(names, statistics, strict=True))
    return unless(failed, np.nan, grads.loss)


def flag_step(net: Trainable, optimiser: SGD, grads: Gradients, failed: Array) -> None:
    """Raise the flag if the loss, a running statistic or an updated parameter is not finite."""
    flag_not_finite([grads.loss, *grads.running_statistics.values()], failed)
    optimiser.flag(net.params, grads.params, failed)
