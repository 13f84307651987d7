"""Gradients on their way from rank to rank: flat buffers, each on its way while the next one is filled."""

from itertools import accumulate, pairwise
from math import prod

from scratchnet.backend import Array, Params, array_module
from scratchnet.parallel.comm import Comm, Wait

BYTES = 2**20  # of a bucket, at least; a larger gradient has one of its own


class Buckets:
    """Sums gradients over all ranks, many in one message. Every rank adds the same names in the same order.

    The arrays that are added are given away: a large one is summed in place.
    """

    def __init__(self, ranks: Comm) -> None:
        self._ranks = ranks
        self._filling: Params = {}
        self._sent: list[tuple[dict[str, tuple[int, ...]], Wait]] = []  # the shapes by name

    def add(self, name: str, gradient: Array) -> None:
        """Take in this rank's gradient; a full bucket goes on its way."""
        self._filling[name] = gradient
        if sum(each.nbytes for each in self._filling.values()) >= BYTES:
            self._send()

    def sums(self) -> Params:
        """Wait for the sums of all that was added: views of the buffers, by name."""
        if self._filling:
            self._send()
        found: Params = {}
        for shapes, wait in self._sent:
            flat = wait()
            ends = accumulate(map(prod, shapes.values()), initial=0)
            for (name, shape), (start, end) in zip(shapes.items(), pairwise(ends), strict=True):
                found[name] = flat[start:end].reshape(shape)
        return found

    def _send(self) -> None:
        gradients, self._filling = self._filling, {}
        first, *others = (each.reshape(-1) for each in gradients.values())
        flat = array_module(first).concatenate([first, *others]) if others else first
        shapes = {name: each.shape for name, each in gradients.items()}
        self._sent.append((shapes, self._ranks.start_allreduce(flat)))
