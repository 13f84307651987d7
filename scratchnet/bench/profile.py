"""Where a training step spends its time, layer by layer.

Every layer of the encoder, and SGD, is wrapped in one that times it. The rest of the step is the head, the loss and
everything in between.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

import numpy as np

from scratchnet.backend import Array, Device, Params
from scratchnet.bench.timing import now
from scratchnet.bench.workload import Training
from scratchnet.layers import Conv2d, Layer, Linear, Sequential
from scratchnet.layers.conv2d import Conv2dCache
from scratchnet.layers.conv_pool_relu import ConvPoolReLU, ConvPoolReLUCache
from scratchnet.layers.fuse import fuse
from scratchnet.layers.protocol import complete
from scratchnet.optim.sgd import SGD
from scratchnet.train import train_step

STEP, UPDATE, REST = "step", "SGD", "head, loss"


class Pass(NamedTuple):
    """The cost of one part of the step, forward or backward."""

    seconds: float
    flop: int  # of the direct algorithm
    bytes: int  # the minimum that must be read and written; 0 if not counted


class Part(NamedTuple):
    """One line of a profile. SGD and the rest of the step have only a single pass, listed as backward."""

    name: str
    forward: Pass | None
    backward: Pass
    algorithm: str | None = None


@dataclass
class Stopwatch:
    """Time, arithmetic and memory traffic of each part of a step, summed if a part runs more than once."""

    device: Device
    seconds: defaultdict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))
    flop: defaultdict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    bytes: defaultdict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    algorithms: dict[str, str] = field(default_factory=dict)

    def record(self, name: str, way: str, start: float, flop: int = 0, moved: int = 0) -> None:
        """Wait for the device, then add the seconds since `start`, the flop and the bytes moved to a pass."""
        self.seconds[name, way] += now(self.device) - start
        self.flop[name, way] += flop
        self.bytes[name, way] += moved


@dataclass(frozen=True)
class Timed:
    """Wraps `layer` and records its time on the stopwatch.

    The bytes that it must read and write are x, y and the parameters in forward; dy, dx and the gradients in backward,
    plus x and the parameters again for a layer that has parameters. A layer without any may need less than x, such as
    the winners of its windows, which is not counted.
    """

    name: str
    layer: Layer
    stopwatch: Stopwatch

    def init(self, rng: np.random.Generator, dtype: Any = np.float32) -> Params:
        """Parameters of the wrapped layer."""
        return complete(self.layer).init(rng, dtype=dtype)

    def forward(self, params: Params, x: Array, training: bool = False) -> tuple[Array, Any]:
        """y and the cache of the wrapped layer; also records which algorithm a convolution chose."""
        start = now(self.stopwatch.device)
        y, cache = complete(self.layer).forward(params, x, training=training)
        self.stopwatch.record(self.name, "forward", start, self._flop(y, cache), x.nbytes + y.nbytes + _bytes(params))
        match cache:
            case Conv2dCache(saved=saved) | ConvPoolReLUCache(conv=Conv2dCache(saved=saved)):
                self.stopwatch.algorithms[self.name] = saved.algorithm
        return y, cache

    @property
    def _multiplying(self) -> Layer:
        """The layer, or its part that multiplies matrices."""
        return self.layer.conv if isinstance(self.layer, ConvPoolReLU) else self.layer

    def _flop(self, y: Array, cache: Any) -> int:
        """The count for forward; y is the layer's output or a gradient of the same shape."""
        size = cache.size if isinstance(self.layer, ConvPoolReLU) else y.shape[:-2]
        return product_flop(self._multiplying, (*size, *y.shape[-2:]))

    def backward(self, dy: Array, cache: Any, needs_dx: bool = True) -> tuple[Array | None, Params]:
        """dx and the gradients of the wrapped layer."""
        start = now(self.stopwatch.device)
        dx, grads = complete(self.layer).backward(dy, cache, needs_dx=needs_dx)
        if needs_dx:
            flop = 2 * self._flop(dy, cache)  # dx, dweight
            read_again = dx.nbytes + _bytes(grads) if grads else 0  # x is as large as dx
            moved = dy.nbytes + dx.nbytes + _bytes(grads) + read_again
        else:
            flop = self._flop(dy, cache)  # dweight
            moved = self.stopwatch.bytes[self.name, "forward"]  # those of x, dy for y, and the gradients
        self.stopwatch.record(self.name, "backward", start, flop, moved)
        return dx, grads


@dataclass
class TimedSGD(SGD):
    """SGD that records the time of its updates on the stopwatch."""

    stopwatch: Stopwatch | None = None

    def step(self, params: Params, grads: Params, *, failed: Array | None = None) -> None:
        """The update of SGD, recorded as the backward of the part SGD."""
        assert self.stopwatch
        start = now(self.stopwatch.device)
        super().step(params, grads, failed=failed)
        self.stopwatch.record(UPDATE, "backward", start, moved=5 * _bytes(grads))  # with momenta and weights, both ways


def product_flop(layer: Layer, y_shape: Sequence[int]) -> int:
    """Multiplications and additions of y = x @ weight, summed over the offsets of a kernel, by the direct algorithm.

    y_shape: (Ho, Wo, N, O) or (N, O). dweight and dx take the same number each. Layers without products count as 0.
    """
    if isinstance(layer, Conv2d):
        kh, kw, C, _ = layer.weight_shape
        return 2 * int(np.prod(y_shape)) * kh * kw * C
    if isinstance(layer, Linear):
        return 2 * int(np.prod(y_shape)) * layer.in_features
    return 0


def profile(training: Training, rounds: int) -> list[Part]:
    """The parts of a training step in order, as medians over the rounds. Takes one step more than `rounds`."""
    stopwatches = [_measured_step(training) for _ in range(rounds + 1)][1:]

    def measured(name: str, way: str) -> Pass:
        seconds = [stopwatch.seconds[name, way] for stopwatch in stopwatches]
        return Pass(float(np.median(seconds)), stopwatches[0].flop[name, way], stopwatches[0].bytes[name, way])

    parts = [
        Part(name, measured(name, "forward"), measured(name, "backward"), stopwatches[0].algorithms.get(name))
        for name in _layers(training)
    ]
    return [*parts, Part(REST, None, measured(REST, "backward")), Part(UPDATE, None, measured(UPDATE, "backward"))]


def _measured_step(training: Training) -> Stopwatch:
    device = training.net.device
    stopwatch = Stopwatch(device)
    timed = {name: Timed(name, layer, stopwatch) for name, layer in _layers(training).items()}
    net = replace(training.net, encoder=Sequential(timed))
    settings = {setting.name: getattr(training.optimiser, setting.name) for setting in fields(SGD)}
    optimiser = TimedSGD(**settings, stopwatch=stopwatch)  # shares the velocity
    start = now(device)
    train_step(net, optimiser, training.a, training.b, training.labels)
    whole = now(device) - start
    stopwatch.seconds[REST, "backward"] = whole - sum(stopwatch.seconds.values())
    return stopwatch


def _bytes(params: Params) -> int:
    return sum(value.nbytes for value in params.values())


def _layers(training: Training) -> dict[str, Layer]:
    encoder = fuse(training.net.encoder)
    assert isinstance(encoder, Sequential)  # as in all our architectures
    return dict(encoder.layers)
