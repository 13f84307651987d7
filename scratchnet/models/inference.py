"""Embedding without a backward pass: batch norm is part of the convolutions, and nothing is kept.

In evaluation, batch norm is y = f z + g for each channel, with f = weight / std and g = bias - mean f. Behind a
convolution it is the convolution's with other numbers, and behind a pooling of it where no f is negative:

    f pool(conv(x, w) + b) + g = pool(conv(x, f w)) + f b + g     (1)

Each thread takes some of the images through all layers, so that their maps stay in its cache.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from scratchnet.backend import Array, for_each, thread_count
from scratchnet.layers import BatchNorm2d, Conv2d, MaxPool2d, ReLU, Sequential
from scratchnet.layers.protocol import CompleteLayer, complete
from scratchnet.ops import inference

Named = tuple[str, Any]  # a layer, by its name in the network

FEWEST_IMAGES = 8  # that are worth a thread of their own
LARGEST_KERNEL = 5  # for a larger one, "dft" transforms the weight at each call: all threads share that


class Inference:
    """What an encoder makes of images, x (H, W, N, C) to embeddings (N, D), in evaluation and on the host.

    It serves for as long as the parameters that it folded stay what they were: `fits` tells.
    """

    def __init__(self, encoder: Sequential, params: Mapping[str, Array]) -> None:
        self._steps: list[Step] = []
        self._folded: dict[str, bytes] = {}
        self._large_kernel = False
        left: Sequence[Named] = list(encoder.layers.items())
        while left:
            row, left = _first_row(left)
            names = [name for name in params if name.partition(".")[0] in dict(row)]
            if len(row) == 1:
                ((prefix, layer),) = row
                own = {name.removeprefix(f"{prefix}."): name for name in names}
                self._steps.append(OneLayer(complete(layer), own))
            else:
                conv = _fold(row, params)
                self._steps.append(conv)
                self._folded |= {name: np.asarray(params[name]).tobytes() for name in names}
                self._large_kernel |= max(conv.weight.shape[:2]) > LARGEST_KERNEL

    def fits(self, params: Mapping[str, Array]) -> bool:
        """Whether these are the parameters that were folded, to the bit: someone may have written into them."""
        return all(np.asarray(params[name]).tobytes() == value for name, value in self._folded.items())

    def __call__(self, params: Mapping[str, Array], x: Array) -> Array:
        """The embeddings (N, D) of x (H, W, N, C)."""
        N = x.shape[2]
        shares = 1 if self._large_kernel else max(1, min(thread_count(), N // FEWEST_IMAGES))
        embeddings: list[Any] = [None] * shares

        def embed(share: int) -> None:
            y = x[:, :, share * N // shares : (share + 1) * N // shares]
            for step in self._steps:
                y = step(params, y)
            embeddings[share] = y

        for_each(embed, range(shares), like=x)
        return np.concatenate(embeddings)


class Step(Protocol):
    """One layer, or a few in one."""

    def __call__(self, params: Mapping[str, Array], x: Array) -> Array:
        """y, from the parameters of the encoder and x."""


@dataclass(frozen=True)
class OneLayer:
    """A layer that stays as it is. names: of its parameters in the encoder, by their own."""

    layer: CompleteLayer
    names: Mapping[str, str]

    def __call__(self, params: Mapping[str, Array], x: Array) -> Array:
        y, _ = self.layer.forward({own: params[name] for own, name in self.names.items()}, x)
        return y


@dataclass(frozen=True)
class FoldedConv:
    """y = max(0, pool(conv(x, weight)) scale + bias): a convolution and what follows it. scale: None for 1."""

    conv: Conv2d
    pooling: tuple[int, int]  # the window and its stride; (1, 1) for none
    weight: Array
    scale: Array | None
    bias: Array
    kept: dict[object, Array] = field(default_factory=dict)  # what `inference.convolve` makes of the weight

    def __call__(self, params: Mapping[str, Array], x: Array) -> Array:
        z = inference.convolve(x, self.weight, self.conv.strides, self.conv.paddings, self.kept)
        return inference.pool_scale_bias_relu(z, self.pooling, self.scale, self.bias)


def _first_row(layers: Sequence[Named]) -> tuple[Sequence[Named], Sequence[Named]]:
    """A convolution with what can be computed in one with it, or the first layer alone; and those behind."""
    match [layer for _, layer in layers[:4]]:
        case [Conv2d(), MaxPool2d(), BatchNorm2d(), ReLU()]:
            length = 4
        case [Conv2d(), MaxPool2d() | BatchNorm2d(), ReLU(), *_]:
            length = 3
        case [Conv2d(), ReLU(), *_]:
            length = 2
        case _:
            length = 1
    return layers[:length], layers[length:]


def _fold(row: Sequence[Named], params: Mapping[str, Array]) -> FoldedConv:
    """By equation (1), in float64."""
    name_of = {type(layer): name for name, layer in row}
    layer_of = {type(layer): layer for _, layer in row}
    conv, pool, norm = layer_of[Conv2d], layer_of.get(MaxPool2d), layer_of.get(BatchNorm2d)

    def of(layer: Any, name: str) -> np.ndarray:
        return np.asarray(params[f"{name_of[type(layer)]}.{name}"], np.float64)

    weight, scale = of(conv, "weight"), None
    bias = of(conv, "bias") if conv.bias else np.zeros(conv.out_channels)
    if norm:
        f = of(norm, "weight") / np.sqrt(of(norm, "running_var") + norm.eps)
        bias = f * bias + of(norm, "bias") - f * of(norm, "running_mean")
        weight, scale = (weight, f) if pool and (f < 0).any() else (f * weight, None)  # (1)
    dtype = params[f"{name_of[Conv2d]}.weight"].dtype
    pooling, scale = pool.sizes if pool else (1, 1), None if scale is None else scale.astype(dtype)
    return FoldedConv(conv, pooling, weight.astype(dtype), scale, bias.astype(dtype))
