"""Layers with hand-written forward and backward passes; the protocol is in `protocol`."""

from typing import TYPE_CHECKING

from scratchnet.layers.activations import ReLU, Sigmoid, sigmoid
from scratchnet.layers.batchnorm2d import BatchNorm2d
from scratchnet.layers.conv2d import Conv2d
from scratchnet.layers.flatten import Flatten
from scratchnet.layers.linear import Linear
from scratchnet.layers.maxpool2d import MaxPool2d
from scratchnet.layers.protocol import Layer
from scratchnet.layers.sequential import Sequential
from scratchnet.layers.siamese import Siamese
from scratchnet.layers.weighted_l1 import WeightedL1

__all__ = [
    "BatchNorm2d", "Conv2d", "ConvPoolReLU", "Flatten", "Layer", "Linear", "MaxPool2d", "ReLU", "Sequential",
    "Siamese", "Sigmoid", "WeightedL1", "sigmoid",
]  # fmt: skip

if TYPE_CHECKING:
    from scratchnet.layers.conv_pool_relu import ConvPoolReLU
else:
    from scratchnet.common.lazy import lazily

    __getattr__, __dir__ = lazily(__name__, __all__, {"ConvPoolReLU": "conv_pool_relu"})  # what `fuse` makes
