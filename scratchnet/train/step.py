"""The training step: forward, backward and update on one batch, of which nothing is applied unless all is finite."""

import numpy as np

from scratchnet.backend import Array, keep_freed_memory, memory_errors, one_blas_thread
from scratchnet.errors import NonFiniteError
from scratchnet.images.ink import BatchLook
from scratchnet.losses import Loss, PairCrossEntropy
from scratchnet.models.siamese import SiameseNet
from scratchnet.ops.finite import flag_not_finite, new_flag, unless, unless_all
from scratchnet.optim.sgd import SGD
from scratchnet.train.batches import Batch
from scratchnet.train.diagnosis import diagnosis
from scratchnet.train.gradients import Gradients, gradients, smaller_batch


@np.errstate(over="ignore", invalid="ignore")  # what is not finite is an error of its own
def train_step(
    net: SiameseNet, optimiser: SGD, a: Array, b: Array, target: Array, loss: Loss | None = None, pieces: int = 1
) -> float:
    """One forward, backward and update on a batch; returns the loss before the update.

    Pairs: a and b (N, H, W), target (N,) labels, with PairCrossEntropy, the default. Episodes: a (E, Q, 1, H, W),
    b (E, 1, S, H, W), target (E, Q, S) one-hot, with NWayCrossEntropy. All float32 on the network's device.
    pieces: take the batch in so many, one after the other, for less memory and the same result to rounding.
    Raises DataError for images that are not ink 1 and paper 0 (`images/ink.py`); NonFiniteError, before anything is
    changed, when the loss, a gradient, a statistic of batch norm or an updated parameter is a NaN or an infinity: a
    second pass over the step names the layer and the direction in which the first one arises, and the images if only
    some are at fault; BackendError when memory runs out, as a rule before anything is changed as well, but the first
    update may have been made in part.
    """
    keep_freed_memory()
    objective = loss or PairCrossEntropy()
    with one_blas_thread(), memory_errors(lambda: smaller_batch(net, target.shape[0], pieces)):
        images = BatchLook(a, b)
        found = gradients(net, objective, a, b, target, pieces)
        failed = new_flag(found.loss)
        _flag(net, optimiser, found, failed)
        loss_value, raised = images.read(found.loss, failed.astype(found.loss.dtype))  # the one synchronisation
        if raised:
            del found  # for the second pass
            raise NonFiniteError(diagnosis(net, optimiser, Batch(a, b, target, 0), objective, pieces))
        optimiser.step(net.params, found.params)
        net.params.update(found.running_statistics)
    return loss_value


@np.errstate(over="ignore", invalid="ignore")
def queue_step(net: SiameseNet, optimiser: SGD, batch: Batch, loss: Loss, failed: Array, pieces: int = 1) -> Array:
    """`train_step` without waiting for the device: returns the loss () there, NaN if this step or one before failed.

    failed: a flag of ops/finite.py, raised where `train_step` would raise NonFiniteError. Once it is, neither this
    step nor any that follows changes anything: the network waits as it was before the step that failed.
    """
    found = gradients(net, loss, batch.a, batch.b, batch.target, pieces)
    _flag(net, optimiser, found, failed)
    optimiser.step(net.params, found.params, failed)
    names, values = found.running_statistics.keys(), list(found.running_statistics.values())
    kept = unless_all(failed, [net.params[name] for name in names], values)
    net.params.update(zip(names, kept, strict=True))
    return unless(failed, np.nan, found.loss)


def _flag(net: SiameseNet, optimiser: SGD, found: Gradients, failed: Array) -> None:
    flag_not_finite([found.loss, *found.running_statistics.values()], failed)
    optimiser.flag(net.params, found.params, failed)
