"""Layers with hand-written forward and backward passes; the protocol is in `protocol`."""

from scratchnet.layers.activations import ReLU, Sigmoid, sigmoid
from scratchnet.layers.batchnorm2d import BatchNorm2d
from scratchnet.layers.conv2d import Conv2d
from scratchnet.layers.conv_pool_relu import ConvPoolReLU
from scratchnet.layers.flatten import Flatten
from scratchnet.layers.linear import Linear
from scratchnet.layers.maxpool2d import MaxPool2d
from scratchnet.layers.protocol import Layer
from scratchnet.layers.sequential import Sequential
from scratchnet.layers.siamese import Siamese
from scratchnet.layers.weighted_l1 import WeightedL1

__all__ = [
    "BatchNorm2d",
    "Conv2d",
    "ConvPoolReLU",
    "Flatten",
    "Layer",
    "Linear",
    "MaxPool2d",
    "ReLU",
    "Sequential",
    "Siamese",
    "Sigmoid",
    "WeightedL1",
    "sigmoid",
]


def __dir__() -> list[str]:
    return __all__
