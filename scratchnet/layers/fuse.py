"""Layers in a row that one layer computes in fewer passes over the maps between them."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from scratchnet.layers.activations import ReLU
from scratchnet.layers.batchnorm2d import BatchNorm2d
from scratchnet.layers.conv2d import Conv2d
from scratchnet.layers.conv_pool_relu import ConvPoolReLU
from scratchnet.layers.maxpool2d import MaxPool2d
from scratchnet.layers.norm_relu import NormReLU
from scratchnet.layers.sequential import Sequential


def fuse(network: Any) -> Any:
    """A Sequential with ConvPoolReLU for Conv2d, MaxPool2d and ReLU in a row, and NormReLU for BatchNorm2d and ReLU.

    Each has the name of the first in the row, so that parameters keep theirs. Any other layer is returned as it is.
    """
    return Sequential(dict(_fused(network.layers))) if isinstance(network, Sequential) else network


def _fused(layers: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    left = list(layers.items())
    while left:
        name = left[0][0]
        match [layer for _, layer in left[:3]]:
            case [Conv2d(bias=True) as conv, MaxPool2d() as pooling, ReLU()]:
                yield name, ConvPoolReLU(replace(conv, bias=False), pooling)
                left = left[3:]
            case [BatchNorm2d() as norm, ReLU(), *_]:
                yield name, NormReLU(norm)
                left = left[2:]
            case [layer, *_]:
                yield name, layer
                left = left[1:]
