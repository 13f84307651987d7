"""The gradients of a batch, which may be taken in pieces, one after the other.

The loss of a batch is a mean over its N pairs or episodes. Split into pieces k of n_k each, with the losses L_k,

    L     = sum over k of (n_k / N) L_k             (1)
    dL/dw = sum over k of (n_k / N) dL_k/dw         (2)

so memory for one piece suffices, with the same result up to rounding. But batch norm averages over the whole batch.
"""

from typing import Any, NamedTuple, Protocol

from scratchnet.backend import Array, Params
from scratchnet.common.caches import gathered
from scratchnet.errors import ScratchnetError
from scratchnet.losses import Loss


class Trainable(Protocol):
    """What the training step needs of a network: the methods of a Siamese layer, and its parameters."""

    params: Params

    def forward(self, params: Params, a: Array, b: Array, training: bool = False) -> tuple[Array, Any]:
        """The logits of the pairs or episodes a, b, and the cache."""

    def backward(self, dlogits: Array, cache: Any, needs_dx: bool = True) -> tuple[Any, Params]:
        """(da, db), which may be None without `needs_dx`, and the gradients of the parameters."""


class Batch(NamedTuple):
    """A batch as `train_step` takes it, and the number of its images."""

    a: Array
    b: Array
    target: Array
    images: int


class Gradients(NamedTuple):
    """The loss () of a batch, its gradients, and the running statistics that batch norm has after it."""

    loss: Array
    params: Params
    running_statistics: Params


def gradients(net: Trainable, loss: Loss, a: Array, b: Array, target: Array, pieces: int = 1) -> Gradients:
    """The loss and gradients of a batch; the pieces are cut along the first axis of a, b and target.

    Raises ScratchnetError for batch norm in more than one piece, and for more pieces than there are pairs or episodes.
    """
    N = target.shape[0]
    if not 1 <= pieces <= max(1, N):
        raise ScratchnetError(f"pieces={pieces} of a batch of {N}: give 1 to {max(1, N)}")
    value, total, statistics = Gradients(0.0, {}, {})  # type: ignore[arg-type]
    for rows, share in pieces_of(N, pieces):
        more, statistics = add_piece(total, net, loss, a[rows], b[rows], target[rows], share)
        value = value + more  # (1)
    return Gradients(value, total, statistics)


def pieces_of(N: int, pieces: int) -> list[tuple[slice, float]]:
    """The rows of each piece of a batch of N pairs or episodes, and its share n_k / N."""
    cuts = [slice(N * k // pieces, N * (k + 1) // pieces) for k in range(pieces)]
    return [(rows, (rows.stop - rows.start) / max(1, N)) for rows in cuts]


def add_piece(
    total: Params, net: Trainable, loss: Loss, a: Array, b: Array, target: Array, share: float
) -> tuple[Array, Params]:
    """Add the gradients of one piece to `total`; returns its share of the loss, and the running statistics.

    Everything else that the piece allocates is free again on return.
    """
    logits, cache = net.forward(net.params, a, b, training=True)
    statistics = gathered(cache, "running_statistics")
    if statistics and share < 1:
        raise ScratchnetError("batch norm needs the whole batch: take it in one piece, or lower batch_size")
    value, loss_cache = loss.forward(logits, target)
    _, grads = net.backward(loss.backward(share, loss_cache), cache, needs_dx=False)
    for name, gradient in grads.items():
        if name in total:
            total[name] += gradient  # (2)
        else:
            total[name] = gradient
    return share * value, statistics
