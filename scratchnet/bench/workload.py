"""The workload of a benchmark: a network, a batch of pairs, and a training step on them."""

from dataclasses import dataclass, field

import numpy as np

from scratchnet.backend import CPU, Array, Params, get_device, set_precision, to_device, to_host
from scratchnet.checkpoint import load_model
from scratchnet.data.drawings import Drawings
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.data.pairs import sample_pairs
from scratchnet.errors import BackendError, CheckpointError
from scratchnet.losses import PairCrossEntropy
from scratchnet.models.networks import ARCHITECTURES, build
from scratchnet.models.siamese import SiameseNet
from scratchnet.optim.sgd import SGD
from scratchnet.train import train_step

LR, MOMENTUM, WEIGHT_DECAY = 0.01, 0.9, 2e-5
SEED = 0


@dataclass
class Training:
    """A network and a batch, ready for training steps.

    a, b: images (N, H, W). labels: (N,), 1 for pairs of the same character and 0 for others.
    """

    net: SiameseNet
    a: Array
    b: Array
    labels: Array
    optimiser: SGD = field(default_factory=lambda: SGD(LR, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY))
    precision: str = "float32"

    def step(self) -> float:
        """Forward, backward and update; returns the loss before the update."""
        return train_step(self.net, self.optimiser, self.a, self.b, self.labels)

    def gradients(self) -> tuple[float, Params]:
        """The loss and gradients, without an update."""
        loss = PairCrossEntropy()
        logits, cache = self.net.forward(self.net.params, self.a, self.b, training=True)
        value, loss_cache = loss.forward(logits, self.labels)
        _, grads = self.net.backward(loss.backward(1.0, loss_cache), cache, needs_dx=False)
        return float(to_host(value)), grads


@dataclass(frozen=True)
class Workload:
    """Everything that defines a benchmark, as plain values, so that another process can reproduce it.

    network: an architecture, a path or a bundled network. options: further arguments of the architecture, such as
    image_size; a trained network takes none. precision: that of products on a GPU, one of cublas.PRECISIONS.
    """

    network: str = "koch2015"
    pairs: int = 64
    device: str | None = None
    options: dict[str, int] = field(default_factory=dict)
    precision: str = "float32"

    def prepare(self) -> Training:
        """The network with a batch of pairs of generated glyphs, which need no data; sets the process's precision.

        Raises BackendError for a precision other than float32 on the CPU, CheckpointError for an unknown network or
        options that it does not take.
        """
        device = get_device(self.device)
        if device is CPU and self.precision != "float32":
            raise BackendError(f"--precision {self.precision} needs a GPU: leave it out, or add --device cuda")
        set_precision(self.precision)
        rng = np.random.default_rng(SEED)
        net = _untrained(self.network, self.options, rng) if self.network in ARCHITECTURES else self._trained()
        net = net.to_device(device)
        drawings = Drawings.of(generate_alphabets(2, characters=10, drawers=8), net.image_size, frame=net.frame)
        pairs = sample_pairs(drawings.numbers, self.pairs, rng=rng)
        a, b = (drawings.ink(numbers, device) for numbers in (pairs.first, pairs.second))
        return Training(net, a, b, to_device(pairs.labels, device), precision=self.precision)

    def _trained(self) -> SiameseNet:
        if self.options:
            raise CheckpointError(f"{self.network} is trained: its {', '.join(self.options)} cannot be changed")
        return load_model(self.network, device="cpu")


def _untrained(architecture: str, options: dict[str, int], rng: np.random.Generator) -> SiameseNet:
    """The architecture with small random biases, as after some training.

    With biases of 0, blank paper makes every sum exactly 0, and it would depend on the rounding of each library whether
    a ReLU passes a gradient there.
    """
    net = build({"name": architecture, **options}, seed=SEED, device="cpu")
    for name, value in net.params.items():
        if name.endswith("bias"):
            net.params[name] = rng.normal(0, 0.1, value.shape).astype(np.float32)
    return net
