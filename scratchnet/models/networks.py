"""Named architectures: the paper's, and a small one with batch norm that trains in minutes.

device: "cpu" or "cuda"; None, the default everywhere, asks SCRATCHNET_DEVICE, then takes "cpu".
"""

from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from itertools import count
from typing import Any

import numpy as np

from scratchnet.backend import Device, Params
from scratchnet.common.spelling import hint
from scratchnet.errors import CheckpointError, ScratchnetError
from scratchnet.layers import (
    BatchNorm2d,
    Conv2d,
    Flatten,
    Layer,
    Linear,
    MaxPool2d,
    ReLU,
    Sequential,
    Sigmoid,
    WeightedL1,
)
from scratchnet.layers.protocol import add_prefix
from scratchnet.models.siamese import SiameseNet


def koch2015(
    seed: int = 0,
    init: str = "corrected",
    image_size: int = 105,
    channels: Sequence[int] = (64, 128, 128, 256),
    features: int = 4096,
    kernels: Sequence[int] = (10, 7, 4, 4),
    norm: bool = False,
    frame: str = "page",
    device: str | Device | None = None,
) -> SiameseNet:
    """The network of Koch et al. (2015), figure 4: 105 x 105 pixels, 38,951,745 parameters, float32.

    ReLU stands behind the pooling: the two commute, and there it has a quarter of the pixels to look at.
    image_size (65 at least, or less with smaller kernels), channels, features and kernels change its size; the
    defaults are the paper's. norm: batch norm behind each pooling, which the paper does not have. frame: what it looks
    at of an image, as in SiameseNet.

    init: "corrected" (He and Glorot, biases 0) or "literal", the paper's N(0, 0.01) for convolutions and N(0, 0.2)
    for dense layers with every bias N(0.5, 0.01). Literally, 72 % of the sigmoids start saturated and the twins look
    alike, so that the loss rests at 0.693 for hundreds of steps.

    Raises ScratchnetError for another init, and for images that are too small.
    """
    net = _koch2015(image_size, channels, features, kernels, norm, frame)
    rng = np.random.default_rng(seed)
    if init == "corrected":
        net.params = net.init(rng)
    elif init == "literal":
        net.params = {name: _literal(name, value, rng) for name, value in net.init(rng).items()}
    else:
        raise ScratchnetError(
            f"init {init!r} is neither 'corrected' nor 'literal'{hint(init, ('corrected', 'literal'))}"
        )
    return net.to_device(device)


def _koch2015(
    image_size: int = 105,
    channels: Sequence[int] = (64, 128, 128, 256),
    features: int = 4096,
    kernels: Sequence[int] = (10, 7, 4, 4),
    norm: bool = False,
    frame: str = "page",
) -> SiameseNet:
    """Without parameters."""
    c1, c2, c3, c4 = channels
    k1, k2, k3, k4 = kernels
    size = pixels_after(image_size, kernels)
    if size < 1:
        least = next(side for side in count(image_size) if pixels_after(side, kernels) == 1)
        raise ScratchnetError(f"image_size {image_size} leaves no pixel after conv4: give {least} or more")
    layers: dict[str, Layer] = {
        "conv1": Conv2d(1, c1, k1), "pool1": MaxPool2d(2), "norm1": BatchNorm2d(c1), "relu1": ReLU(),   # 105, 96, 48
        "conv2": Conv2d(c1, c2, k2), "pool2": MaxPool2d(2), "norm2": BatchNorm2d(c2), "relu2": ReLU(),  #  48, 42, 21
        "conv3": Conv2d(c2, c3, k3), "pool3": MaxPool2d(2), "norm3": BatchNorm2d(c3), "relu3": ReLU(),  #  21, 18,  9
        "conv4": Conv2d(c3, c4, k4), "norm4": BatchNorm2d(c4), "relu4": ReLU(),                         #   9,  6
        "flatten": Flatten(), "linear": Linear(size * size * c4, features), "sigmoid": Sigmoid(),
    }  # fmt: skip
    encoder = Sequential({name: layer for name, layer in layers.items() if norm or not name.startswith("norm")})
    architecture = {"name": "koch2015", "image_size": image_size, "channels": list(channels), "features": features}
    given = {"kernels": (list(kernels), [10, 7, 4, 4]), "norm": (norm, False), "frame": (frame, "page")}
    architecture |= _changed(given)
    return SiameseNet(encoder, WeightedL1(features), image_size, architecture=architecture, frame=frame)


def pixels_after(image_size: int, kernels: Sequence[int]) -> int:
    """The side of koch2015's last feature map; a valid k x k convolution takes k - 1 pixels, a pooling half."""
    *pooled, last = kernels
    for k in pooled:
        image_size = (image_size - (k - 1)) // 2
    return image_size - (last - 1)


def compact(
    seed: int = 0,
    image_size: int = 48,
    width: int = 32,
    features: int = 1024,
    norm: bool = True,
    frame: str = "page",
    device: str | Device | None = None,
) -> SiameseNet:
    """A small network for few images a class: six convolutions with batch norm, then a dense layer.

    image_size: 8 at least, best a multiple of 8, since three poolings drop what is left over.
    width: channels of the first layer, doubled twice on the way. norm: False leaves batch norm out, to see what it
    is worth. frame: what it looks at of an image, as in SiameseNet. Raises ScratchnetError for smaller images, and for
    an unknown frame.
    """
    net = _compact(image_size, width, features, norm, frame)
    net.params = net.init(np.random.default_rng(seed))
    return net.to_device(device)


def _compact(
    image_size: int = 48, width: int = 32, features: int = 1024, norm: bool = True, frame: str = "page"
) -> SiameseNet:
    """Without parameters."""
    if image_size < 8:
        raise ScratchnetError(f"image_size {image_size} leaves no pixel after the last pooling: give 8 or more")
    widths = [1, width, 2 * width, 2 * width, 4 * width, 4 * width, 4 * width]
    kernels = [5, 3, 3, 3, 3, 3]
    pooled = {1, 3, 5}  # half the size behind these layers
    layers: dict[str, Layer] = {}
    for i, (c, o, k) in enumerate(zip(widths, widths[1:], kernels, strict=False), start=1):
        layers[f"conv{i}"] = Conv2d(c, o, k, padding=k // 2)
        if i in pooled:
            layers[f"pool{i}"] = MaxPool2d(2)
        if norm:
            layers[f"norm{i}"] = BatchNorm2d(o)
        layers[f"relu{i}"] = ReLU()
    size = image_size // 8
    layers |= {"flatten": Flatten(), "linear": Linear(size * size * widths[-1], features), "sigmoid": Sigmoid()}
    architecture = {"name": "compact", "image_size": image_size, "width": width, "features": features}
    architecture |= _changed({"norm": (norm, True), "frame": (frame, "page")})
    return SiameseNet(Sequential(layers), WeightedL1(features), image_size, architecture=architecture, frame=frame)


def _changed(given: Mapping[str, tuple[Any, Any]]) -> dict[str, Any]:
    """The options, each with its usual value, that are not what they always were: only these are named in files."""
    return {name: value for name, (value, usual) in given.items() if value != usual}


ARCHITECTURES: dict[str, Callable[..., SiameseNet]] = {"koch2015": koch2015, "compact": compact}
_BARE: dict[str, Callable[..., SiameseNet]] = {"koch2015": _koch2015, "compact": _compact}


def build(architecture: Mapping[str, Any], **options: Any) -> SiameseNet:
    """The network that `architecture` describes, {"name": ..., option: value}. Raises CheckpointError if none does."""
    return _call(ARCHITECTURES, architecture, options)


def describe(architecture: Mapping[str, Any]) -> tuple[SiameseNet, Params]:
    """The network that `architecture` describes without parameters, and their outlines, which take no memory.

    An outline has the shape and the dtype of the parameter of its name. Raises CheckpointError if there is no such
    network.
    """
    net = _call(_BARE, architecture, {})
    shapes = add_prefix("encoder", _shapes(net.encoder)) | add_prefix("head", _shapes(net.head))
    try:
        return net, {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}
    except (ValueError, OverflowError) as error:
        raise CheckpointError(f"no array is as large as this network needs: {error}") from error


def _call(makers: Mapping[str, Callable[..., SiameseNet]], architecture: Mapping[str, Any], options: Any) -> SiameseNet:
    described = dict(architecture)
    name = described.pop("name", None)
    if not isinstance(name, str) or name not in makers:
        raise CheckpointError(f"unknown architecture {name!r}{hint(name, makers)}: there are {', '.join(makers)}")
    parameters = signature(makers[name]).parameters
    for option, value in described.items():
        if option not in options_of(name):
            raise CheckpointError(
                f"architecture {name!r} does not take these options: {option}"
                f"{hint(option, options_of(name))}, it takes {', '.join(options_of(name))}"
            )
        if option in parameters and not _is_like(value, parameters[option].default):
            raise CheckpointError(
                f"architecture {name!r} has {option}={parameters[option].default}, which is of "
                f"another kind than {option}={value}: give one of its kind"
            )
    try:
        return makers[name](**described, **options)
    except (TypeError, ValueError, ScratchnetError) as error:
        raise CheckpointError(f"architecture {name!r} does not take these options: {error}") from error


def options_of(name: str) -> list[str]:
    """What the architecture called `name` can be described by, apart from its name."""
    return [option for option in signature(ARCHITECTURES[name]).parameters if option not in ("seed", "device")]


def _is_like(value: Any, default: Any) -> bool:
    """Whether an option may have this value: one of the kind of its default, and a size of 1 or more."""
    if isinstance(default, Sequence) and not isinstance(default, str):
        return isinstance(value, Sequence) and len(value) == len(default) and all(map(_is_like, value, default))
    if isinstance(default, int) and not isinstance(default, bool):
        return isinstance(value, int) and not isinstance(value, bool) and value >= min(1, default)
    return default is None or type(value) is type(default)


def _shapes(layer: Any) -> dict[str, Any]:
    """The shapes of what `init` makes for a layer of one of the architectures."""
    match layer:
        case Sequential():
            return {k: v for name, part in layer.layers.items() for k, v in add_prefix(name, _shapes(part)).items()}
        case Conv2d():
            return {"weight": layer.weight_shape} | ({"bias": (layer.out_channels,)} if layer.bias else {})
        case BatchNorm2d():
            return dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (layer.num_features,))
        case Linear():
            bias = {"bias": (layer.out_features,)} if layer.bias else {}
            return {"weight": (layer.in_features, layer.out_features)} | bias
        case WeightedL1():
            return {"weight": (layer.features,), "bias": (1,)}
    return {}


def _literal(name: str, value: Any, rng: np.random.Generator) -> Any:
    """The initialisation of section 3.2: N(mean, standard deviation) by the kind of layer."""
    if "norm" in name:  # the paper has no batch norm
        return value
    if name.endswith("bias"):
        mean, deviation = 0.5, 0.01
    elif "conv" in name:
        mean, deviation = 0.0, 0.01
    else:
        mean, deviation = 0.0, 0.2
    return rng.normal(mean, deviation, value.shape).astype(value.dtype)


def parameter_count(params: Params) -> int:
    """How many numbers training adjusts: all parameters but the running statistics of batch norm."""
    return sum(value.size for name, value in params.items() if ".running_" not in name)
