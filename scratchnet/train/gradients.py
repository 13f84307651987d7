"""A batch in pieces: its gradients as a sum over them, and how many pieces the memory asks for.

The loss of a batch is a mean over its N pairs or episodes. Cut into pieces k of n_k each, with the losses L_k,

    L     = sum over k of (n_k / N) L_k             (1)
    dL/dw = sum over k of (n_k / N) dL_k/dw         (2)

so that memory for one piece is enough, and the result is the same to rounding. Not so with batch norm: it normalises
by the mean and variance of the whole batch, and pieces would train something else.
"""

import math
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np

from scratchnet.backend import Array, Device, Params, memory_errors
from scratchnet.common.caches import gathered
from scratchnet.errors import ScratchnetError
from scratchnet.losses import Loss
from scratchnet.models.siamese import SiameseNet
from scratchnet.optim.sgd import SGD
from scratchnet.train.batches import Batch

GIB = 2**30
SHARE = 0.9  # of what a device has free; the rest is for gaps between arrays, and for libraries


class Gradients(NamedTuple):
    loss: Array  # (), on its device
    params: Params
    running_statistics: Params


def gradients(net: SiameseNet, loss: Loss, a: Array, b: Array, target: Array, pieces: int = 1) -> Gradients:
    """The loss of a batch, its gradients, and what batch norm measured; a, b and target are cut along the first axis.

    Raises ScratchnetError for batch norm in more than one piece, and for more pieces than there are pairs or episodes.
    """
    N = target.shape[0]
    if not 1 <= pieces <= max(1, N):
        raise ScratchnetError(f"pieces={pieces} of a batch of {N}: give 1 to {N}")
    total: Params = {}
    if pieces == 1:
        value, statistics = add_piece(total, net, loss, a, b, target, share=1.0)
        return Gradients(value, total, statistics)
    value = 0.0
    for rows, share in pieces_of(N, pieces):
        value = value + add_piece(total, net, loss, a[rows], b[rows], target[rows], share)[0]  # (1)
    return Gradients(value, total, {})


def pieces_of(N: int, pieces: int) -> list[tuple[slice, float]]:
    """The rows of each piece of a batch of N pairs or episodes, and its share n_k / N of them."""
    cuts = [slice(N * k // pieces, N * (k + 1) // pieces) for k in range(pieces)]
    return [(rows, (rows.stop - rows.start) / N) for rows in cuts]


def add_piece(
    total: Params, net: SiameseNet, loss: Loss, a: Array, b: Array, target: Array, share: float
) -> tuple[Array, Params]:
    """Add the gradients of one piece into `total`; on return, all else that it took is free for the next one."""
    logits, cache = net.forward(net.params, a, b, training=True)
    statistics = gathered(cache, "running_statistics")
    if statistics and share < 1:
        raise ScratchnetError("batch norm sees the whole batch: take it in one piece, or lower batch_size")
    value, loss_cache = loss.forward(logits, target)
    _, grads = net.backward(loss.backward(share, loss_cache), cache, needs_dx=False)
    for name, gradient in grads.items():  # (2)
        if name in total:
            total[name] += gradient
        else:
            total[name] = gradient
    return share * value, statistics


def smaller_batch(net: SiameseNet, N: int, pieces: int = 1) -> str:
    """What to do when memory runs out in a step on N pairs or episodes in so many pieces."""
    if N == 1:
        return "batch_size is 1 already, take a smaller network or another device"
    half = f"lower batch_size to {N // 2}"
    whole = 2 * pieces > N or any(".running_" in name for name in net.params)
    return half if whole else f"{half}, or cut it into {2 * pieces} pieces, as --memory does"


@dataclass
class Forecast:
    """How many bytes training steps take: what stays from one to the next, and the peak of forward and backward.

    The peaks of some sizes of piece are measured. Between two of them a straight line is assumed, and the last line
    goes on beyond; but the algorithm of a convolution changes with the size, and the memory with it, by steps.
    """

    batch: int  # pairs or episodes
    standing: int  # the program, the images, parameters and momentum
    gradients: int
    peaks: dict[int, int] = field(default_factory=dict)  # by the size of a piece

    def peak(self, size: int) -> float:
        """Of forward and backward of a piece of `size` pairs or episodes."""
        sizes, peaks = zip(*sorted(self.peaks.items()), strict=True)
        if size <= sizes[-1]:
            return float(np.interp(size, sizes, peaks))
        return peaks[-1] + (peaks[-1] - peaks[-2]) / (sizes[-1] - sizes[-2]) * (size - sizes[-1])

    def whole(self, size: int) -> float:
        """Of a step on a batch of that size, in one piece."""
        return self.standing + self.peak(size)

    def step(self, size: int) -> float:
        """Of a step in pieces of that size, which add up their gradients in memory of their own."""
        return self.whole(size) + (self.gradients if size < self.batch else 0)


class Plan(NamedTuple):
    pieces: int
    size: int  # of the largest piece, in pairs or episodes
    images: int  # in it
    bytes: float  # that a step is forecast to take


@np.errstate(over="ignore", invalid="ignore")  # as in a training step, which says what is wrong
def plan(net: SiameseNet, optimiser: SGD, loss: Loss, batch: Batch, cap: float | None = None) -> Plan:
    """The fewest pieces with which a training step stays under `cap` bytes, and what it is forecast to take.

    cap: None is for a device that tells how much memory it has free, and means that much.
    Measures forward and backward of 1, 2, 4 ... pairs or episodes, from the third on only while they are forecast to
    fit, and at last of the piece that is chosen. Raises ScratchnetError when nothing fits, with the largest batch and
    the least cap that would do; BackendError when there is no memory for one pair or episode.
    """
    a, b, target, images = batch
    N, device = target.shape[0], net.device
    with memory_errors(lambda: "it is too little for one pair or episode, take a smaller network or another device"):
        one = gradients(net, loss, a[:1], b[:1], target[:1])  # also loads what is loaded once
    in_pieces = not one.running_statistics
    del one
    weights = sum(value.nbytes for value in net.params.values())
    moving = sum(value.nbytes for value in optimiser.velocity.values())
    forecast = Forecast(N, max(device.held_memory(), weights) + weights - moving, weights)
    limit = _room(device) if cap is None else cap

    def measure(size: int) -> None:
        try:
            forecast.peaks[size] = device.peak_memory(partial(gradients, net, loss, a[:size], b[:size], target[:size]))
        except MemoryError:
            forecast.peaks[size] = math.ceil(limit)  # or more

    for size in [*(2**k for k in range((N - 1).bit_length())), N]:
        if size > 2 and forecast.step(size) > limit:
            break
        measure(size)
    choices = sorted({-(-N // pieces) for pieces in range(1, N + 1)}, reverse=True) if in_pieces else [N]
    for size in choices:
        if forecast.step(size) <= limit and size not in forecast.peaks:
            measure(size)
        if forecast.step(size) <= limit:
            return Plan(-(-N // size), size, images * size // N, forecast.step(size))
    what = "the smallest step" if in_pieces else "batch norm sees the whole batch, which"
    smaller = next((size for size in range(N - 1, 0, -1) if forecast.whole(size) <= limit), None)
    raise _too_much(what, min(map(forecast.step, choices)), limit, smaller, device.name if cap is None else None)


def _room(device: Device) -> float:
    """The bytes that a training may take of a device, with those that it has taken already."""
    assert device.free_memory is not None, "the host does not tell: give a cap"
    return device.held_memory() + SHARE * device.free_memory()


def _too_much(what: str, least: float, limit: float, smaller: int | None, device: str | None) -> ScratchnetError:
    """smaller: a batch size that would fit. device: the one that is full; None where --memory is the limit."""
    needed = f"{math.ceil(100 * least / GIB) / 100:.2f}"
    allowed, more = (f"{device} has room for", "take a device with") if device else ("--memory allows", "give")
    mend = f"lower batch_size to {smaller}, or" if smaller else "no batch_size is small enough,"
    return ScratchnetError(
        f"{what} takes about {needed} GiB and {allowed} {limit / GIB:.2f}: {mend} {more} {needed} or more"
    )
