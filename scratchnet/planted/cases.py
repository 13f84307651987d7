"""Gradient checks for every layer, loss and network of scratchnet, run by `scratchnet gradcheck` and the tests."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scratchnet.backend import Array, Params, device_of
from scratchnet.gradcheck import Report, check, draw
from scratchnet.layers import (
    BatchNorm2d,
    Conv2d,
    ConvPoolReLU,
    Flatten,
    Layer,
    Linear,
    MaxPool2d,
    ReLU,
    Sequential,
    Sigmoid,
    WeightedL1,
)
from scratchnet.layers.norm_relu import NormReLU
from scratchnet.losses import NWayCrossEntropy, PairCrossEntropy
from scratchnet.models import networks as models
from scratchnet.models.siamese import SiameseNet
from scratchnet.ops.choose import CONVOLUTIONS


@dataclass(frozen=True)
class Case:
    """A gradient check to run: a layer, the shapes of its inputs, and whether it is in training mode."""

    layer: Any
    shapes: tuple[tuple[int, ...], ...]
    training: bool = False
    label: str = ""

    @property
    def name(self) -> str:
        """The key in CASES: label or layer, input shapes and mode."""
        mode = ", training" if self.training else ""
        return f"{self.label or repr(self.layer)} on {' and '.join(map(str, self.shapes))}{mode}"

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments of forward."""
        return {"training": True} if self.training else {}

    def draw(self, rng: np.random.Generator, dtype: Any = np.float64) -> tuple[Params, list[Array]]:
        """Random parameters, perturbed from their initial values as in `gradcheck.draw`, and inputs."""
        params, inputs = draw(self.layer, *self.shapes, seed=rng)
        return {name: value.astype(dtype) for name, value in params.items()}, [x.astype(dtype) for x in inputs]

    def check(self, seed: int = 0, *, method: str = "auto") -> Report:
        """Check the gradients in float64, with tensors whose gradient vanishes tried again at other points."""
        params, inputs = self.draw(np.random.default_rng(seed))
        return check(
            self.layer,
            params,
            *inputs,
            seed=seed,
            method=method,
            without_gradient=_statistics(params),
            redraw=self.draw,
            **self.options,
        )


@dataclass(frozen=True)
class LossOf:
    """A loss, with or without a network below it, as one layer. Its target is constant."""

    loss: PairCrossEntropy | NWayCrossEntropy
    target: tuple[Any, ...]  # of numbers, nested like the axes of the scores; hashable, unlike an array
    network: Any = None

    def init(self, rng: np.random.Generator) -> Params:
        """Parameters of the network; none for a loss alone."""
        return self.network.init(rng) if self.network else {}

    def forward(self, params: Params, *inputs: Array, training: bool = False) -> tuple[Array, Any]:
        """The loss () of the network's logits; for a loss alone, the input is the logits."""
        logits, cache = self.network.forward(params, *inputs, training) if self.network else (inputs[0], None)
        loss, loss_cache = self.loss.forward(logits, self._target_like(logits))
        return loss, (loss_cache, cache)

    def _target_like(self, logits: Array) -> Array:
        return device_of(logits).upload(np.array(self.target, dtype=logits.real.dtype.name))

    def backward(self, dloss: Array, cache: Any) -> tuple[Any, Params]:
        """(dinputs, grads) of the network; for a loss alone, (dlogits, {})."""
        loss_cache, network_cache = cache
        dlogits = self.loss.backward(dloss, loss_cache)
        return self.network.backward(dlogits, network_cache) if self.network else (dlogits, {})


def whole_network(name: str, *, seed: int = 0, method: str = "auto") -> Report:
    """Check the gradients of all parameters of a full-size architecture on one pair of images.

    "koch2015" has 38,951,745 parameters and takes a minute or two. Biases, which start at zero, are drawn from
    N(0, 0.01); the other parameters have their initial values. Tensors that fail are diagnosed from a few of their
    entries. Raises CheckpointError for an unknown architecture.
    """
    net, rng = models.build({"name": name}, device="cpu"), np.random.default_rng(seed)
    params = {
        key: value.astype(np.float64) + (0.1 * rng.standard_normal(value.shape) if key.endswith("bias") else 0.0)
        for key, value in net.params.items()
    }
    pair = [rng.random((1, net.image_size, net.image_size)) for _ in range(2)]
    return check(
        net,
        params,
        *pair,
        seed=seed,
        method=method,
        without_gradient=_statistics(params),
        entries=20,
        training=bool(_statistics(params)),
    )


def _statistics(params: Params) -> list[str]:
    """Names of batch norm's running statistics, which have no gradient."""
    return [name for name in params if ".running_" in f".{name}"]


def _tiny_siamese() -> SiameseNet:
    """Every kind of layer in both architectures, in a network for 12 x 12 images."""
    encoder = Sequential(
        {
            "conv1": Conv2d(1, 3, 3, padding=1),
            "pool1": MaxPool2d(2),
            "norm1": BatchNorm2d(3),
            "relu1": ReLU(),
            "conv2": Conv2d(3, 4, 2, stride=2),
            "relu2": ReLU(),
            "flatten": Flatten(),
            "linear": Linear(3 * 3 * 4, 5),
            "sigmoid": Sigmoid(),
        }
    )
    return SiameseNet(encoder, WeightedL1(5), image_size=12)


def _small_koch2015() -> SiameseNet:
    """The paper's layers in the paper's order, with few channels, on the smallest images that they can process."""
    return models.koch2015(image_size=65, channels=(2, 3, 2, 3), features=4, device="cpu")


def _small_compact() -> SiameseNet:
    return models.compact(image_size=16, width=2, features=3, device="cpu")


def _layer_cases() -> list[Case]:
    image = (5, 7, 3, 2)  # (H, W, N, C): odd, not square, and no two axes of the same length
    convolutions = [
        Conv2d(2, 3, 3),
        Conv2d(2, 3, 1),
        Conv2d(2, 3, (2, 4)),
        Conv2d(2, 1, 3, padding=1),
        Conv2d(2, 3, 2, stride=2),
        Conv2d(2, 3, 3, stride=2, padding=2),
        Conv2d(2, 3, 2, stride=3),
    ]
    layers: list[Layer] = [replace(layer, algorithm=name) for layer in convolutions for name in CONVOLUTIONS]
    layers += [
        MaxPool2d(2),
        MaxPool2d(3, stride=1),
        MaxPool2d(2, stride=3),
        MaxPool2d(1),
        MaxPool2d(3, stride=2),
        ConvPoolReLU(Conv2d(2, 3, 2, bias=False), MaxPool2d(2)),
        ConvPoolReLU(Conv2d(2, 3, 3, padding=2, bias=False), MaxPool2d(3, stride=2)),
        ReLU(),
        Sigmoid(),
        Flatten(),
        BatchNorm2d(2),
        NormReLU(BatchNorm2d(2)),
        Sequential({"conv": Conv2d(2, 3, 3), "norm": BatchNorm2d(3), "relu": ReLU(), "pool": MaxPool2d(2)}),
    ]
    cases = [Case(layer, (image,)) for layer in layers]
    cases += [
        Case(layer, (image,), training=True)
        for layer in layers
        if isinstance(layer, BatchNorm2d | NormReLU | Sequential)
    ]
    cases += [Case(Conv2d(1, 2, 3), ((4, 5, 1, 1),)), Case(BatchNorm2d(1), ((2, 1, 1, 1),), training=True)]
    cases += [Case(layer, ((4, 5),)) for layer in (Linear(5, 3), Linear(5, 1))]
    cases += [Case(Linear(1, 1), ((1, 1),)), Case(WeightedL1(4), ((3, 4), (3, 4)))]
    cases += [Case(WeightedL1(4), ((3, 1, 4), (5, 4))), Case(WeightedL1(1), ((1, 1), (1, 1)))]
    return cases


def _loss_cases() -> list[Case]:
    one_hot = ((0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))
    cycle = ((0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (1.0, 0.0, 0.0))
    swap = ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, 1.0, 0.0))
    return [
        Case(LossOf(PairCrossEntropy(), (0.0, 1.0, 1.0, 0.0, 0.25)), ((5,),), label="PairCrossEntropy"),
        Case(LossOf(NWayCrossEntropy(), one_hot), ((2, 4),), label="NWayCrossEntropy"),
        Case(LossOf(NWayCrossEntropy(both_ways=True), (cycle, swap)), ((2, 3, 3),), label="NWayCrossEntropy both ways"),
    ]


def _network_cases() -> list[Case]:
    tiny, one_hot = _tiny_siamese(), ((0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
    pairs, episode = ((2, 12, 12), (2, 12, 12)), ((2, 1, 12, 12), (3, 12, 12))
    return [
        Case(tiny, pairs, label="Siamese pairs"),
        Case(tiny, pairs, training=True, label="Siamese pairs"),
        Case(tiny, episode, training=True, label="Siamese episode"),
        Case(LossOf(PairCrossEntropy(), (1.0, 0.0), tiny), pairs, training=True, label="Siamese pairs to the loss"),
        Case(LossOf(NWayCrossEntropy(), one_hot, tiny), episode, training=True, label="Siamese episode to the loss"),
        Case(_small_koch2015(), ((1, 65, 65), (1, 65, 65)), label="koch2015 with few channels"),
        Case(_small_compact(), ((2, 16, 16), (2, 16, 16)), training=True, label="compact with few channels"),
    ]


CASES: dict[str, Case] = {case.name: case for case in _layer_cases() + _loss_cases() + _network_cases()}
