"""The same network in PyTorch: its training step, and embedding."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from scratchnet.backend import Params, thread_count, to_host
from scratchnet.bench.peers import Embedder, Variant
from scratchnet.bench.workload import Training
from scratchnet.errors import ScratchnetError
from scratchnet.exchange.state_dict import from_state_dict, to_state_dict
from scratchnet.layers import BatchNorm2d, Conv2d, Flatten, Layer, Linear, MaxPool2d, ReLU, Sequential, Sigmoid
from scratchnet.models.siamese import SiameseNet

torch: Any = import_module("torch")  # Any: type checking must work without it
nn = torch.nn


@dataclass(frozen=True)
class Mode:
    """Where a GPU multiplies float32 in TF32. The setting is global, so each variant applies it before every step.

    It uses the old names: PyTorch has had new ones since 2.9; it accepts both, but not a mixture.
    """

    convolutions: bool
    products: bool

    def set(self) -> None:
        """Apply the mode, and let cuDNN choose its algorithms by timing them."""
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = self.convolutions
        torch.backends.cuda.matmul.allow_tf32 = self.products


DEFAULT, TF32, FLOAT32 = Mode(True, False), Mode(True, True), Mode(False, False)
GPU_WAYS = {  # name: mode, format, compiled
    "default (TF32 convolutions, float32 products)": (DEFAULT, "contiguous_format", False),
    "all TF32, channels_last": (TF32, "channels_last", False),
    "all float32": (FLOAT32, "contiguous_format", False),
    "default, compiled": (DEFAULT, "contiguous_format", True),
}


def variants(device: str) -> list[Variant]:
    """Those of GPU_WAYS, or four on the CPU. Raises ScratchnetError for "cuda" if PyTorch finds no GPU."""
    if device == "cuda":
        expect_gpu()
        return [
            Variant(
                f"{_version()} {name}",
                partial(TorchPeer, memory_format=layout, compiled=compiled, device=device, mode=mode),
                "cudnn.benchmark",
                compiled=compiled,
                precision=_coarsest(mode),
                device_peak=torch.cuda.max_memory_reserved,
            )
            for name, (mode, layout, compiled) in GPU_WAYS.items()
        ]
    name = _version()
    return [
        Variant(f"{name} float32 NCHW", partial(TorchPeer, memory_format="contiguous_format")),
        Variant(f"{name} float32 channels_last", partial(TorchPeer, memory_format="channels_last")),
        Variant(
            f"{name} float32 compiled channels_last",
            partial(TorchPeer, memory_format="channels_last", compiled=True),
            "torch.compile",
            compiled=True,
        ),
        Variant(
            f"{name} bfloat16 channels_last",
            partial(TorchPeer, memory_format="channels_last", bfloat16=True),
            "autocast: lower precision, which a user may choose",
            lower_precision=True,
        ),
    ]


def embedders(device: str) -> list[Embedder]:
    """Those of GPU_WAYS that are not compiled, or two on the CPU. Raises ScratchnetError as `variants` does."""
    ways: dict[str, tuple[Mode | None, str]] = {
        "float32 NCHW": (None, "contiguous_format"),
        "float32 channels_last": (None, "channels_last"),
    }
    if device == "cuda":
        expect_gpu()
        ways = {name: (mode, layout) for name, (mode, layout, compiled) in GPU_WAYS.items() if not compiled}
    return [
        Embedder(
            f"{_version()} {name}",
            partial(embedder, memory_format=layout, device=device, mode=mode),
            partial(_upload, device=device),
            _download,
            _coarsest(mode),
        )
        for name, (mode, layout) in ways.items()
    ]


def embedder(net: SiameseNet, memory_format: str, device: str, mode: Mode | None) -> Callable[[Any], Any]:
    """The function from images (N, H, W) to embeddings (N, D), in batches of the same size as ours."""
    torch.set_num_threads(thread_count())
    layout = getattr(torch, memory_format)
    encoder = twin(net)["encoder"].to(device=device, memory_format=layout).eval()
    step = net.embed_batch

    def embed(images: Any) -> Any:
        if mode:
            mode.set()
        x = images[:, None].to(memory_format=layout)
        with torch.no_grad():
            embeddings = torch.cat([encoder(x[i : i + step]) for i in range(0, len(x), step)])
        _synchronise(device)
        return embeddings

    return embed


def _version() -> str:
    return f"PyTorch {torch.__version__.partition('+')[0]}"


def _coarsest(mode: Mode | None) -> str:
    return "tf32" if mode and (mode.convolutions or mode.products) else "float32"


def expect_gpu() -> None:
    """Raises ScratchnetError if PyTorch finds no GPU."""
    if not torch.cuda.is_available():
        raise ScratchnetError(f"{_version()} finds no GPU: install a build for the driver's version of CUDA")


def _synchronise(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _upload(array: np.ndarray, device: str) -> Any:
    return torch.from_numpy(array).to(device)


def _download(tensor: Any) -> np.ndarray:
    array: np.ndarray = tensor.cpu().numpy()
    return array


def twin(net: SiameseNet) -> Any:
    """The network in PyTorch, with our weights and running statistics."""
    assert isinstance(net.encoder, Sequential)  # as in all our architectures
    encoder = nn.Sequential(OrderedDict((name, module(layer)) for name, layer in net.encoder.layers.items()))
    model = nn.ModuleDict({"encoder": encoder, "head": nn.Linear(net.head.features, 1)})
    params = to_state_dict(net, net.params)
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if name in params:  # all but a counter of batches
            tensor.data = torch.from_numpy(params[name])
    return model


class TorchPeer:
    """The training step of a network in PyTorch with our weights, from any device."""

    def __init__(
        self,
        training: Training,
        memory_format: str,
        compiled: bool = False,
        bfloat16: bool = False,
        device: str = "cpu",
        mode: Mode | None = None,
    ) -> None:
        torch.set_num_threads(thread_count())
        layout = getattr(torch, memory_format)
        net, optimiser = training.net, training.optimiser
        self.device, self.mode = device, mode
        self.model = twin(net).to(device=device, memory_format=layout)
        self.net = replace(net, params={})  # for its shapes
        twins = np.concatenate([to_host(training.a), to_host(training.b)])
        self.twins = _upload(twins, device)[:, None].to(memory_format=layout)
        self.target = _upload(to_host(training.labels), device)
        self.autocast = partial(torch.autocast, device, torch.bfloat16, enabled=bfloat16)
        self.loss = torch.compile(self._loss) if compiled else self._loss
        weights = [value for name, value in self.model.named_parameters() if name.endswith("weight")]
        biases = [value for name, value in self.model.named_parameters() if name.endswith("bias")]
        self.optimiser = torch.optim.SGD(
            [{"params": weights, "weight_decay": optimiser.weight_decay}, {"params": biases}],
            optimiser.lr,
            optimiser.momentum,
        )

    def step(self) -> float:
        """Forward, backward and update, run to completion; returns the loss before the update."""
        value = self._backward()
        self.optimiser.step()
        _synchronise(self.device)
        return value

    def gradients(self) -> tuple[float, Params]:
        """The loss and gradients without an update, with our names and shapes, on the host."""
        value = self._backward()
        grads = {name: _download(parameter.grad) for name, parameter in self.model.named_parameters()}
        return value, from_state_dict(self.net, grads)

    def _loss(self) -> Any:
        h1, h2 = self.model["encoder"](self.twins).split(len(self.target))
        logits = self.model["head"]((h1 - h2).abs())[:, 0]
        return nn.functional.binary_cross_entropy_with_logits(logits, self.target)

    def _backward(self) -> float:
        if self.mode:
            self.mode.set()
        self.optimiser.zero_grad()
        with self.autocast():
            loss = self.loss()
        loss.backward()
        value: float = loss.item()
        return value


def module(layer: Layer) -> Any:
    """The PyTorch version of one of our layers, with new weights."""
    match layer:
        case Conv2d(C, O, kernel_size, stride=stride, padding=padding, bias=bias):
            peer = nn.Conv2d(C, O, kernel_size, stride, padding, bias=bias)
        case MaxPool2d(kernel_size, stride=stride):
            peer = nn.MaxPool2d(kernel_size, stride)
        case BatchNorm2d(C, eps=eps, momentum=momentum):
            peer = nn.BatchNorm2d(C, eps, momentum)
        case Linear(C, O, bias=bias):
            peer = nn.Linear(C, O, bias=bias)
        case ReLU() | Sigmoid() | Flatten():
            peer = getattr(nn, type(layer).__name__)()
        case _:
            raise ScratchnetError(f"the PyTorch peer does not support {layer}")
    return peer
