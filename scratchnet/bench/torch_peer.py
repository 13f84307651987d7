"""The same network in PyTorch: its training step, and embedding."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from scratchnet.backend import Params, thread_count, to_host
from scratchnet.bench.channels_first import from_channels_first, to_channels_first
from scratchnet.bench.peers import Embedder, Variant
from scratchnet.bench.workload import Training
from scratchnet.errors import ScratchnetError
from scratchnet.layers import BatchNorm2d, Conv2d, Flatten, Layer, Linear, MaxPool2d, ReLU, Sequential, Sigmoid
from scratchnet.siamese import SiameseNet

torch: Any = import_module("torch")  # Any: types are checked where it is not installed, too
nn = torch.nn


def variants() -> list[Variant]:
    name = f"PyTorch {torch.__version__.partition('+')[0]}"
    return [
        Variant(f"{name} float32 NCHW", partial(TorchPeer, memory_format="contiguous_format")),
        Variant(f"{name} float32 channels_last", partial(TorchPeer, memory_format="channels_last")),
        Variant(f"{name} float32 compiled channels_last",
                partial(TorchPeer, memory_format="channels_last", compiled=True), "torch.compile"),
        Variant(f"{name} bfloat16 channels_last",
                partial(TorchPeer, memory_format="channels_last", bfloat16=True),
                "autocast: lower precision, which a user may choose", lower_precision=True),
    ]


def embedders() -> list[Embedder]:
    name = f"PyTorch {torch.__version__.partition('+')[0]}"
    return [
        Embedder(f"{name} float32 NCHW", partial(embedder, memory_format="contiguous_format")),
        Embedder(f"{name} float32 channels_last", partial(embedder, memory_format="channels_last")),
    ]


def embedder(net: SiameseNet, memory_format: str) -> Callable[[np.ndarray], np.ndarray]:
    """The function from images (N, H, W) to embeddings (N, D), as many images at a time as with us."""
    torch.set_num_threads(thread_count())
    layout = getattr(torch, memory_format)
    encoder = twin(net)["encoder"].to(memory_format=layout).eval()
    step = net.embed_batch

    def embed(images: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(images)[:, None].to(memory_format=layout)
        with torch.no_grad():
            found: np.ndarray = torch.cat([encoder(x[i : i + step]) for i in range(0, len(x), step)]).numpy()
        return found

    return embed


def twin(net: SiameseNet) -> Any:
    """The network in PyTorch, with the weights and running statistics of ours."""
    assert isinstance(net.encoder, Sequential)  # as in every architecture of models.py
    encoder = nn.Sequential(OrderedDict((name, module(layer)) for name, layer in net.encoder.layers.items()))
    model = nn.ModuleDict({"encoder": encoder, "head": nn.Linear(net.head.features, 1)})
    params = to_channels_first(net, {name: to_host(value) for name, value in net.params.items()})
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if name in params:  # as all are but a counter of batches
            tensor.data = torch.from_numpy(_as_torch_has_it(name, params[name]))
    return model


class TorchPeer:
    """The training step of a network in PyTorch with the weights of ours."""

    def __init__(
        self, training: Training, memory_format: str, compiled: bool = False, bfloat16: bool = False
    ) -> None:
        torch.set_num_threads(thread_count())
        layout = getattr(torch, memory_format)
        net, optimiser = training.net, training.optimiser
        self.model = twin(net).to(memory_format=layout)
        self.net = replace(net, params={})  # for its shapes
        self.twins = torch.from_numpy(np.concatenate([training.a, training.b]))[:, None].to(memory_format=layout)
        self.target = torch.from_numpy(training.labels)
        self.autocast = partial(torch.autocast, "cpu", torch.bfloat16, enabled=bfloat16)
        self.loss = torch.compile(self._loss) if compiled else self._loss
        weights = [value for name, value in self.model.named_parameters() if name.endswith("weight")]
        biases = [value for name, value in self.model.named_parameters() if name.endswith("bias")]
        self.optimiser = torch.optim.SGD(
            [{"params": weights, "weight_decay": 2 * optimiser.weight_decay}, {"params": biases}],
            optimiser.lr, optimiser.momentum,
        )

    def step(self) -> float:
        value = self._backward()
        self.optimiser.step()
        return value

    def gradients(self) -> tuple[float, Params]:
        value = self._backward()
        found = {name: _as_we_have_it(name, parameter.grad) for name, parameter in self.model.named_parameters()}
        return value, from_channels_first(self.net, found)

    def _loss(self) -> Any:
        h1, h2 = self.model["encoder"](self.twins).split(len(self.target))
        logits = self.model["head"]((h1 - h2).abs())[:, 0]
        return nn.functional.binary_cross_entropy_with_logits(logits, self.target)

    def _backward(self) -> float:
        self.optimiser.zero_grad()
        with self.autocast():
            loss = self.loss()
        loss.backward()
        value: float = loss.item()
        return value


def module(layer: Layer) -> Any:
    """The counterpart of one of our layers, with weights of its own."""
    match layer:
        case Conv2d(C, O, kernel_size, stride, padding):
            found = nn.Conv2d(C, O, kernel_size, stride, padding)
        case MaxPool2d(kernel_size, stride):
            found = nn.MaxPool2d(kernel_size, stride)
        case BatchNorm2d(C, epsilon, momentum):
            found = nn.BatchNorm2d(C, epsilon, momentum)
        case Linear(C, O):
            found = nn.Linear(C, O)
        case ReLU() | Sigmoid() | Flatten():
            found = getattr(nn, type(layer).__name__)()
        case _:
            raise ScratchnetError(f"PyTorch has no counterpart here for {layer}")
    return found


def _as_torch_has_it(name: str, value: np.ndarray) -> np.ndarray:
    """A dense weight (C, O) is (O, C) there, and that of the head, (D,), is (1, D)."""
    if name == "head.weight":
        return value[None]
    return value.T.copy() if value.ndim == 2 else value


def _as_we_have_it(name: str, gradient: Any) -> np.ndarray:
    value: np.ndarray = gradient.numpy()
    if name == "head.weight":
        return value[0]
    return value.T if value.ndim == 2 else value
