"""The gradients of a batch whose rows lie on several ranks: equally many pairs or episodes on each.

What `gradients.py` says of pieces, one after the other, holds of ranks, side by side: the loss of the batch is the sum
of their shares, and so is its gradient. Each rank ends with the sums of all.
"""

from dataclasses import dataclass
from typing import Any

from scratchnet.backend import Array, Params
from scratchnet.errors import ScratchnetError
from scratchnet.layers import Siamese
from scratchnet.losses import Loss
from scratchnet.models.siamese import SiameseNet
from scratchnet.parallel.buckets import Buckets
from scratchnet.parallel.comm import Comm
from scratchnet.parallel.network import Shared, across
from scratchnet.train.gradients import Gradients, Trainable, add_piece, gradients, pieces_of
from scratchnet.train.step import Take

LOSS = "loss"  # by which the loss travels with the gradients


def gradients_on(ranks: Comm, net: SiameseNet) -> Take:
    """How a rank takes the gradients of its part of each batch: `gradients`, where it has all of it."""
    return gradients if ranks.size == 1 else RanksGradients(ranks, net.network)


def expect_to_divide(batch_size: int, ranks: Comm) -> None:
    """Raise ScratchnetError unless every rank gets equally many pairs or episodes of a batch."""
    if batch_size % ranks.size:
        less, more = batch_size - batch_size % ranks.size, -batch_size % ranks.size + batch_size
        sizes = f"{less} or {more}" if less else f"{more}"
        raise ScratchnetError(
            f"batch_size={batch_size} is the batch of the whole job, and {ranks.size} ranks do not divide it: "
            f"--set batch_size={sizes}, or start another number of ranks"
        )


class RanksGradients:
    """`gradients` of a batch of which each rank gives its rows: the same on every rank, to rounding those of one."""

    def __init__(self, ranks: Comm, network: Siamese) -> None:
        self._ranks = ranks
        self._network = across(network, ranks, self._receive)
        self._of_pieces: Params = {}
        self._buckets = Buckets(ranks)

    def __call__(self, net: Trainable, loss: Loss, a: Array, b: Array, target: Array, pieces: int = 1) -> Gradients:
        """The loss and the gradients of the whole batch; a, b, target: the rows of this rank, split into pieces.

        Raises as `gradients` does.
        """
        own_share = Shared(loss, self._ranks.size)
        self._of_pieces, self._buckets = {}, Buckets(self._ranks)
        value, _, statistics = Gradients(0.0, {}, {})  # type: ignore[arg-type]
        cuts, last = pieces_of(target.shape[0], pieces), _WithParams(self._network, net.params)
        for number, (rows, share) in enumerate(cuts, start=1):
            layers: Trainable = net if number < len(cuts) else last
            more, statistics = add_piece(self._of_pieces, layers, own_share, a[rows], b[rows], target[rows], share)
            value = value + more
        self._buckets.add(LOSS, value)
        sums = self._buckets.sums()
        self._buckets = Buckets(self._ranks)  # lets go of the buffers
        in_order = {name: sums[name] for name in net.params if name in sums}
        return Gradients(sums[LOSS], in_order, statistics)

    def _receive(self, grads: Params) -> None:
        """Take in the gradients of a layer in the last piece, with those of the pieces before it."""
        for name, gradient in grads.items():
            before = self._of_pieces.pop(name, None)
            self._buckets.add(name, gradient if before is None else before + gradient)


@dataclass
class _WithParams:
    """A network as `add_piece` takes it."""

    network: Siamese
    params: Params

    def forward(self, params: Params, a: Array, b: Array, training: bool = False) -> tuple[Array, Any]:
        return self.network.forward(params, a, b, training)

    def backward(self, dlogits: Array, cache: Any, needs_dx: bool = True) -> tuple[Any, Params]:
        return self.network.backward(dlogits, cache, needs_dx)
