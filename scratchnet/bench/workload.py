"""What is measured: a network, a batch of pairs, and the training step on them."""

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

LR, MOMENTUM, WEIGHT_DECAY = 0.01, 0.9, 1e-5
SEED = 0


@dataclass
class Training:
    """A network and its batch, ready for one training step after the other."""

    net: SiameseNet
    a: Array
    b: Array
    labels: Array
    optimiser: SGD = field(default_factory=lambda: SGD(LR, MOMENTUM, WEIGHT_DECAY))
    precision: str = "float32"

    def step(self) -> float:
        """Forward, backward of both twins, and the update; returns the loss before it."""
        return train_step(self.net, self.optimiser, self.a, self.b, self.labels)

    def gradients(self) -> tuple[float, Params]:
        """The loss and the gradients of a step that is not taken."""
        loss = PairCrossEntropy()
        logits, cache = self.net.forward(self.net.params, self.a, self.b, training=True)
        value, loss_cache = loss.forward(logits, self.labels)
        return float(to_host(value)), self.net.backward_params(loss.backward(1.0, loss_cache), cache)


@dataclass(frozen=True)
class Workload:
    """Everything that says what is measured, as plain values: another process makes the same of it.

    network: an architecture, a path or a bundled network. options: what the architecture takes besides, such as
    image_size; of a trained network they are as they are. Raises CheckpointError for what it does not take.
    precision: of products on a GPU, one of cublas.PRECISIONS. Raises BackendError for another than float32 on the CPU.
    """

    network: str = "koch2015"
    pairs: int = 64
    device: str | None = None
    options: dict[str, int] = field(default_factory=dict)
    precision: str = "float32"

    def prepare(self) -> Training:
        """The network, and pairs of generated glyphs, so that no data are needed; sets the precision of the process."""
        device = get_device(self.device)
        if device is CPU and self.precision != "float32":
            raise BackendError(f"--precision {self.precision} is of products on a GPU: leave it out, or --device cuda")
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
            raise CheckpointError(f"{self.network} is trained, it takes no other {', '.join(self.options)}")
        return load_model(self.network, device="cpu")


def _untrained(architecture: str, options: dict[str, int], rng: np.random.Generator) -> SiameseNet:
    """Biases are small random numbers, as after some training: where they are 0, blank paper makes every sum exactly
    0, and whether a ReLU there lets a gradient pass is then up to the rounding of each library.
    """
    net = build({"name": architecture, **options}, seed=SEED, device="cpu")
    for name, value in net.params.items():
        if name.endswith("bias"):
            net.params[name] = rng.normal(0, 0.1, value.shape).astype(np.float32)
    return net
