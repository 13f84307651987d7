"""The Siamese network as a layer: two twins with the same weights, and a learned distance between what they see."""

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from scratchnet.backend import Array, Params, array_module
from scratchnet.backend.expect import expect, expect_to_broadcast
from scratchnet.layers.protocol import CompleteLayer, Layer, add_prefix, complete, strip_prefix
from scratchnet.layers.weighted_l1 import WeightedL1


class SiameseCache(NamedTuple):
    encoder: Any
    head: Any
    shape_a: tuple[int, ...]
    shape_b: tuple[int, ...]


@dataclass(frozen=True)
class Siamese:
    """logit = head(encoder(a), encoder(b)), with one encoder and one set of weights for both twins.

    The images of both twins pass through the encoder as one batch, so the gradient of a shared weight is
    the sum over both twins with no extra line, and batch norm sees one batch of both.

    Shapes: a and b (..., H, W) with H = W = image_size, ink 1 and paper 0. The leading axes broadcast: (N, H, W) with
    (N, H, W) gives the logits (N,) of N pairs; (Q, 1, H, W) with (S, H, W) the scores (Q, S), each image embedded once.
    The encoder maps (H, W, N, 1) to embeddings (N, D). Parameters: "encoder.conv1.weight" ... "head.bias".
    Raises ShapeError for images of another size and for leading axes that do not broadcast.
    """

    encoder: Layer
    head: WeightedL1
    image_size: int = 105
    _encoder: CompleteLayer = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_encoder", complete(self.encoder))  # its signatures are read once, here

    def init(self, rng: np.random.Generator, dtype: Any = np.float32) -> Params:
        """Fresh parameters on the host."""
        encoder, head = self._encoder.init(rng, dtype=dtype), self.head.init(rng, dtype)
        return add_prefix("encoder", encoder) | add_prefix("head", head)

    def forward(self, params: Params, a: Array, b: Array, training: bool = False) -> tuple[Array, SiameseCache]:
        """Logits that a and b show the same character, before the sigmoid."""
        xp = expect("Siamese", "a: ... H W, b: ... H W", a, b, H=self.image_size, W=self.image_size)
        expect_to_broadcast("Siamese", "a", a.shape[:-2], "b", b.shape[:-2])
        twins = xp.concatenate([images.reshape(-1, *images.shape[-2:]) for images in (a, b)])  # (M, H, W), M in all
        h, encoder_cache = self.encode(params, twins, training)  # (M, D)
        n_a = math.prod(a.shape[:-2])
        h1, h2 = h[:n_a].reshape(*a.shape[:-2], h.shape[-1]), h[n_a:].reshape(*b.shape[:-2], h.shape[-1])
        logits, head_cache = self.head.forward(strip_prefix("head", params), h1, h2)
        return logits, SiameseCache(encoder_cache, head_cache, a.shape, b.shape)

    def backward(
        self, dlogits: Array, cache: SiameseCache, needs_dx: bool = True
    ) -> tuple[tuple[Array, Array] | None, Params]:
        """(da, db), or None without `needs_dx`, as in training, and the gradients of the parameters."""
        (dh1, dh2), head_grads = self.head.backward(dlogits, cache.head)
        dh = array_module(dlogits).concatenate([dh.reshape(-1, dh.shape[-1]) for dh in (dh1, dh2)])  # (M, D)
        dx, encoder_grads = self._encoder.backward(dh, cache.encoder, needs_dx=needs_dx)
        grads = add_prefix("encoder", encoder_grads) | add_prefix("head", head_grads)
        if not needs_dx:
            return None, grads
        dtwins = dx[..., 0].transpose(2, 0, 1)  # (M, H, W)
        n_a = math.prod(cache.shape_a[:-2])
        return (dtwins[:n_a].reshape(cache.shape_a), dtwins[n_a:].reshape(cache.shape_b)), grads

    def encode(self, params: Params, images: Array, training: bool = False) -> tuple[Array, Any]:
        """The embeddings (N, D) of images (N, H, W), and the encoder's cache."""
        x = images.transpose(1, 2, 0)[..., None]  # (N, H, W) -> (H, W, N, C=1)
        return self._encoder.forward(strip_prefix("encoder", params), x, training=training)
