"""A training step that waits for its result, checks its inputs first and diagnoses failures afterwards."""

import numpy as np

from scratchnet.backend import Array, array_module, keep_freed_memory, memory_errors, one_blas_thread
from scratchnet.errors import NonFiniteError
from scratchnet.images.ink import BatchLook, expect_images
from scratchnet.losses import Loss, PairCrossEntropy
from scratchnet.models.siamese import SiameseNet
from scratchnet.ops.finite import new_flag
from scratchnet.optim.sgd import SGD
from scratchnet.train.diagnosis import diagnosis
from scratchnet.train.gradients import Batch, gradients
from scratchnet.train.memory_plan import memory_advice
from scratchnet.train.step import Take, flag_step


@np.errstate(over="ignore", invalid="ignore")  # the step reports what is not finite
def train_step(
    net: SiameseNet,
    optimiser: SGD,
    a: Array,
    b: Array,
    target: Array,
    *,
    loss: Loss | None = None,
    pieces: int = 1,
    take: Take = gradients,
) -> float:
    """One forward, backward and update on a batch; returns the loss before the update.

    Pairs: a and b (N, H, W), target (N,) labels, with PairCrossEntropy, the default. Episodes: a (E, Q, 1, H, W),
    b (E, 1, S, H, W), target (E, Q, S) one-hot, with NWayCrossEntropy. All on the network's device, bool or float.
    pieces: split the batch into this many, one after the other, for less memory and the same result up to rounding.
    take: takes the gradients; of a batch that lies on several ranks, what `ranks.gradients_on` returns.

    Raises DataError for images that are not ink 1 and paper 0 (`images/ink.py`). Raises NonFiniteError, before anything
    changes, when the loss, a gradient, a statistic of batch norm or an updated parameter has a NaN or an infinity; a
    second pass over the step names the layer and the direction where the first one arises, and the images if only some
    of them cause it. Raises ScratchnetError for batch norm in more than one piece, and BackendError when memory runs
    out: usually before anything changes, but the first update may be done in part.
    """
    keep_freed_memory()
    array_module(a, b, target)  # refuses what is no array
    objective = loss or PairCrossEntropy()
    with one_blas_thread(), memory_errors(lambda: memory_advice(net, target.shape[0], pieces)):
        if isinstance(objective, PairCrossEntropy) and target.ndim == 1 and a.ndim == 4:
            expect_images("a", a)  # says how (N, C, H, W) loses its channels
        images = BatchLook(a, b)
        a, b, target = (array.astype(net.dtype, copy=False) for array in (a, b, target))
        grads = take(net, objective, a, b, target, pieces)
        failed = new_flag(grads.loss)
        flag_step(net, optimiser, grads, failed)
        loss_value, raised = images.read(grads.loss, failed.astype(grads.loss.dtype))  # the one synchronisation
        if raised:
            del grads  # makes room for the second pass
            raise NonFiniteError(diagnosis(net, optimiser, Batch(a, b, target, 0), objective, pieces))
        optimiser.step(net.params, grads.params)
        net.params.update(grads.running_statistics)
    return loss_value
