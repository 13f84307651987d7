"""The PyTorch module whose state dict is that of a network, as code to copy."""

import json
from pathlib import Path

from scratchnet.errors import ScratchnetError
from scratchnet.layers import BatchNorm2d, Conv2d, Flatten, Layer, Linear, MaxPool2d, ReLU, Sigmoid
from scratchnet.models.siamese import SiameseNet

LOADERS = {  # by suffix: what to import, and the tensors in the file at `path`
    ".pt": ("import torch", "torch.load(path, weights_only=True)"),
    ".safetensors": ("from safetensors.torch import load_file", "load_file(path)"),
}
MODULE = '''"""A network of scratchnet in PyTorch."""

from collections import OrderedDict

{import_line}
from torch import nn


class SiameseNet(nn.Module):
    """Images (N, {S}, {S}) of float32, framed as scratchnet's `net.prepare` gives them, to embeddings (N, {D})."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(OrderedDict([
{layers}
        ]))
        self.head = nn.Linear({D}, 1)

    def forward(self, images):
        return self.encoder(images[:, None])

    def score(self, first, second):
        """The logits (...) that embeddings (..., {D}) show the same character."""
        return self.head((first - second).abs())[..., 0]


def load(path={path}):
    """The network with the weights in a file, for evaluation: batch norm uses its running statistics."""
    net = SiameseNet()
    net.load_state_dict({tensors})
    return net.eval()
'''


def pytorch_code(net: SiameseNet, path: Path | str) -> str:
    """A Python file with a class `SiameseNet`, and `load`, which reads the weights at `path` into it.

    path: a file with a suffix of LOADERS. Raises ScratchnetError for a layer that PyTorch has not.
    """
    import_line, tensors = LOADERS[Path(path).suffix.lower()]
    layers = net.encoder.layers
    return MODULE.format(
        import_line=import_line,
        S=net.image_size,
        D=net.head.features,
        layers="\n".join(f'            ("{name}", nn.{_code(layer)}),' for name, layer in layers.items()),
        path=json.dumps(str(path)),
        tensors=tensors,
    )


def _code(layer: Layer) -> str:
    match layer:
        case Conv2d(C, O, kernel_size, stride=stride, padding=padding, bias=bias):
            return (
                f"Conv2d({C}, {O}, {kernel_size}{_unless(stride=(stride, 1), padding=(padding, 0), bias=(bias, True))})"
            )
        case MaxPool2d():
            window, stride = layer.sizes
            return f"MaxPool2d({window}{_unless(stride=(stride, window))})"
        case BatchNorm2d(C, eps=eps, momentum=momentum):
            return f"BatchNorm2d({C}{_unless(eps=(eps, 1e-5), momentum=(momentum, 0.1))})"
        case Linear(C, O, bias=bias):
            return f"Linear({C}, {O}{_unless(bias=(bias, True))})"
        case ReLU() | Sigmoid() | Flatten():
            return f"{type(layer).__name__}()"
    raise ScratchnetError(f"{type(layer).__name__} cannot be exported: PyTorch has no module that we know for it")


def _unless(**options: tuple[object, object]) -> str:
    """The options that differ from PyTorch's defaults, as further arguments."""
    return "".join(f", {name}={value}" for name, (value, usual) in options.items() if value != usual)
