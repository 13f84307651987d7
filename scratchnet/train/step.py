"""The training step: forward, backward and update on one batch."""

import numpy as np

from scratchnet.backend import Array, keep_freed_memory, memory_errors, one_blas_thread
from scratchnet.batches import Batch
from scratchnet.errors import NonFiniteError
from scratchnet.ink import BatchLook
from scratchnet.losses import Loss, PairCrossEntropy
from scratchnet.microbatches import Gradients, gradients, smaller_batch
from scratchnet.optim import SGD
from scratchnet.siamese import SiameseNet


@np.errstate(over="ignore", invalid="ignore")  # a loss that is no number is an error of its own
def train_step(
    net: SiameseNet, optimiser: SGD, a: Array, b: Array, target: Array,
    loss: Loss | None = None, pieces: int = 1,
) -> float:
    """One forward, backward and update on a batch; returns the loss before the update.

    Pairs: a and b (N, H, W), target (N,) labels, with PairCrossEntropy, the default. Episodes: a (E, Q, 1, H, W),
    b (E, 1, S, H, W), target (E, Q, S) one-hot, with NWayCrossEntropy. All float32 on the network's device.
    pieces: take the batch in so many, one after the other, for less memory and the same result to rounding.
    Raises DataError for images that are not ink 1 and paper 0 (`scratchnet.ink`), before anything is changed;
    NonFiniteError, before anything is changed, when the loss is no number; BackendError when memory runs out,
    as a rule before anything is changed, too, but the first update may have been made in part.
    """
    keep_freed_memory()
    with one_blas_thread(), memory_errors(lambda: smaller_batch(net, target.shape[0], pieces)):
        images = BatchLook(a, b)
        found = gradients(net, loss or PairCrossEntropy(), a, b, target, pieces)
        (loss_value,) = images.read(found.loss)  # the one synchronisation of a step
        expect_number(loss_value)
        _update(net, optimiser, found)
    return loss_value


def queue_step(net: SiameseNet, optimiser: SGD, batch: Batch, loss: Loss, pieces: int = 1) -> Array:
    """`train_step` without waiting for the device: returns the loss (), which is there, unread and unchecked."""
    found = gradients(net, loss, batch.a, batch.b, batch.target, pieces)
    _update(net, optimiser, found)
    return found.loss


def _update(net: SiameseNet, optimiser: SGD, found: Gradients) -> None:
    optimiser.step(net.params, found.params)
    net.params.update(found.running_statistics)


def expect_number(loss: float) -> None:
    if not np.isfinite(loss):
        raise NonFiniteError(f"the loss is {loss}: look for a NaN in the images, or lower the learning rate")
