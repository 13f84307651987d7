"""A Siamese network as each rank computes it, on its share of a batch: the same layers, which hear of the others."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from scratchnet.backend import Array, Params
from scratchnet.layers import Sequential, Siamese
from scratchnet.layers.batchnorm2d import BatchNorm2d
from scratchnet.layers.fuse import fuse
from scratchnet.layers.norm_relu import NormReLU
from scratchnet.layers.protocol import add_prefix, complete
from scratchnet.losses import Loss
from scratchnet.parallel.batchnorm import RanksBatchNorm2d, RanksNormReLU
from scratchnet.parallel.comm import Comm

Receive = Callable[[Params], None]


def across(network: Siamese, ranks: Comm, receive: Receive) -> Siamese:
    """The network with batch norm over the images of all ranks; backward hands each layer's gradients to `receive`.

    It does so as soon as it has them, from the last layer to the first, and returns none in the end.
    """
    encoder = _across(fuse(network.encoder), "encoder", ranks, receive)
    head: Any = _Handing(network.head, "head", receive)
    return Siamese(encoder, head, network.image_size)


def _across(layer: Any, name: str, ranks: Comm, receive: Receive) -> Any:
    match layer:
        case Sequential(layers=layers):
            return Sequential({key: _across(each, f"{name}.{key}", ranks, receive) for key, each in layers.items()})
        case NormReLU(norm=norm):
            layer = RanksNormReLU(_batch_norm(norm, ranks))
        case BatchNorm2d():
            layer = _batch_norm(layer, ranks)
    return _Handing(complete(layer), name, receive)


def _batch_norm(norm: BatchNorm2d, ranks: Comm) -> RanksBatchNorm2d:
    return RanksBatchNorm2d(**vars(norm), ranks=ranks)


@dataclass(frozen=True)
class _Handing:
    """A layer whose backward hands its gradients over instead of returning them."""

    layer: Any
    name: str
    receive: Receive

    def init(self, rng: np.random.Generator, dtype: Any = np.float32) -> Params:
        return self.layer.init(rng, dtype)

    def forward(self, params: Params, *inputs: Array, **options: Any) -> tuple[Array, Any]:
        return self.layer.forward(params, *inputs, **options)

    def backward(self, dy: Array, cache: Any, **options: Any) -> tuple[Any, Params]:
        dx, grads = self.layer.backward(dy, cache, **options)
        self.receive(add_prefix(self.name, grads))
        return dx, {}


@dataclass(frozen=True)
class Shared:
    """A loss as the share of one of `size` ranks in the loss of a batch, of which each has equally many rows."""

    loss: Loss
    size: int

    def forward(self, logits: Array, target: Array) -> tuple[Array, Any]:
        """The share of the mean loss ()."""
        value, cache = self.loss.forward(logits, target)
        return value / self.size, cache

    def backward(self, dloss: Array | float, cache: Any) -> Array:
        """The gradient of the logits."""
        return self.loss.backward(dloss / self.size, cache)
