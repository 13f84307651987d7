"""How many pieces of a batch a memory limit asks for: the memory of a few sizes is measured, the rest is forecast."""

import math
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np

from scratchnet.backend import Device, memory_errors
from scratchnet.errors import ScratchnetError
from scratchnet.losses import Loss
from scratchnet.models.siamese import SiameseNet
from scratchnet.optim.sgd import SGD
from scratchnet.train.gradients import Batch, gradients

GIB = 2**30
SHARE = 0.9  # of a device's free memory; the rest is for gaps between arrays, and for libraries


@dataclass
class Forecast:
    """The bytes that training steps take: what stays from one step to the next, and the peak of forward and backward.

    The peaks of some piece sizes are measured. Between two of them the forecast is linear, and beyond the largest it
    extends the last line. A convolution may change its algorithm, and with it its memory, from one size to the next.
    """

    batch: int  # pairs or episodes
    standing: int  # the program, the images, parameters and momentum
    gradients: int
    peaks: dict[int, int] = field(default_factory=dict)  # by piece size

    def peak(self, size: int) -> float:
        """The peak of forward and backward on a piece of `size` pairs or episodes."""
        sizes, peaks = zip(*sorted(self.peaks.items()), strict=True)
        if size <= sizes[-1]:
            return float(np.interp(size, sizes, peaks))
        return peaks[-1] + (peaks[-1] - peaks[-2]) / (sizes[-1] - sizes[-2]) * (size - sizes[-1])

    def whole(self, size: int) -> float:
        """The memory of a step on a batch of `size`, in one piece."""
        return self.standing + self.peak(size)

    def step(self, size: int) -> float:
        """The memory of a step in pieces of `size`, which need a second set of gradients to add them up."""
        return self.whole(size) + (self.gradients if size < self.batch else 0)


class Plan(NamedTuple):
    """How to split each batch."""

    pieces: int
    size: int  # of the largest piece, in pairs or episodes
    images: int  # in the largest piece
    bytes: float  # forecast for a step


@np.errstate(over="ignore", invalid="ignore")  # a training step reports what is not finite
def plan(net: SiameseNet, optimiser: SGD, loss: Loss, batch: Batch, *, cap: float | None = None) -> Plan:
    """The fewest pieces with which a training step stays under `cap` bytes, and the forecast for it.

    cap: None means what is free, on a device that reports it.
    Measures forward and backward on 1, 2, 4 ... pairs or episodes, from the third size on only while they are forecast
    to fit, and finally the chosen piece. Raises ScratchnetError when nothing fits, with the largest batch and
    the smallest cap that would do; BackendError when there is no memory for one pair or episode.
    """
    a, b, target, images = batch
    N, device = target.shape[0], net.device
    with memory_errors(lambda: "not even one pair or episode fits: use a smaller network or another device"):
        one = gradients(net, loss, a[:1], b[:1], target[:1])  # also loads what is loaded only once
    in_pieces = not one.running_statistics
    del one
    weights = sum(value.nbytes for value in net.params.values())
    momentum = sum(value.nbytes for value in optimiser.velocity.values())  # already held
    forecast = Forecast(N, max(device.held_memory(), weights) + weights - momentum, weights)
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
    what = "the smallest step" if in_pieces else "batch norm needs the whole batch, which"
    smaller = next((size for size in range(N - 1, 0, -1) if forecast.whole(size) <= limit), None)
    raise _too_much(what, min(map(forecast.step, choices)), limit, smaller, device.name if cap is None else None)


def _room(device: Device) -> float:
    """The bytes that training may take on a device, including those already taken."""
    assert device.free_memory is not None, "the host does not report its free memory: give a cap"
    return device.held_memory() + SHARE * device.free_memory()


def _too_much(what: str, least: float, limit: float, smaller: int | None, device: str | None) -> ScratchnetError:
    """smaller: a batch size that would fit. device: the one that is full; None where --memory is the limit."""
    needed = f"{math.ceil(100 * least / GIB) / 100:.2f}"
    allowed, more = (f"{device} has room for", "use a device with") if device else ("--memory allows", "give")
    advice = f"lower batch_size to {smaller}, or" if smaller else "no batch_size is small enough,"
    return ScratchnetError(
        f"{what} takes about {needed} GiB and {allowed} {limit / GIB:.2f}: {advice} {more} {needed} or more"
    )


def memory_advice(net: SiameseNet, N: int, pieces: int = 1) -> str:
    """What to do when memory runs out in a step on N pairs or episodes in that many pieces."""
    if N == 1:
        return "batch_size is already 1: use a smaller network or another device"
    half = f"lower batch_size to {N // 2}"
    whole = 2 * pieces > N or any(".running_" in name for name in net.params)
    return half if whole else f"{half}, or split it into {2 * pieces} pieces, as --memory does"
