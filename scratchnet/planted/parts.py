"""Small correct layers that the library itself does not need, for bugs to be planted in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scratchnet.backend import Array, Params, device_of
from scratchnet.layers import Conv2d, Linear, WeightedL1
from scratchnet.layers.protocol import add_prefix, strip_prefix
from scratchnet.losses import PairCrossEntropy
from scratchnet.optim.penalty import l2_penalty

BackwardResult = tuple[Any, Params]  # (dinputs, grads): dx or (dx1, dx2), and the parameter gradients by name


@dataclass(frozen=True)
class Add:
    """y = x1 + x2, and (dx1, dx2) = (dy, dy), as two separate arrays."""

    def init(self, rng: np.random.Generator) -> Params:
        """No parameters."""
        return {}

    def forward(self, params: Params, x1: Array, x2: Array) -> tuple[Array, None]:
        """y, shaped like x1 and x2."""
        return x1 + x2, None

    def backward(self, dy: Array, cache: None) -> BackwardResult:
        """(dx1, dx2), shaped like dy."""
        return (dy.copy(), dy.copy()), {}


@dataclass(frozen=True)
class Residual:
    """y = linear(x) + x. x is used twice, so dx is the sum over both paths."""

    linear: Linear

    def init(self, rng: np.random.Generator) -> Params:
        """Parameters of `linear`: weight (C, C) and bias (C,)."""
        return self.linear.init(rng)

    def forward(self, params: Params, x: Array) -> tuple[Array, Any]:
        """y (N, C)."""
        y, cache = self.linear.forward(params, x)
        return y + x, cache

    def backward(self, dy: Array, cache: Any) -> BackwardResult:
        """dx (N, C), dweight (C, C) and dbias (C,)."""
        dx, grads = self.linear.backward(dy, cache)
        return dx + dy, grads


@dataclass(frozen=True)
class Dropout:
    """y = x * mask / keep, and dx = dy * mask / keep with the same mask, which the seed determines."""

    keep: float = 0.5
    seed: int = 0

    def init(self, rng: np.random.Generator) -> Params:
        """No parameters."""
        return {}

    def forward(self, params: Params, x: Array) -> tuple[Array, Array]:
        """y, shaped like x, and mask / keep as the cache."""
        scale = self.draw(x, self.seed)
        return x * scale, scale

    def backward(self, dy: Array, cache: Array) -> BackwardResult:
        """dx, shaped like dy."""
        return dy * cache, {}

    def draw(self, like: Array, seed: int) -> Array:
        """mask / keep."""
        mask = np.random.default_rng(seed).random(like.shape) < self.keep
        return device_of(like).upload(mask / self.keep)


@dataclass(frozen=True)
class DilatedConv2d:
    """A convolution whose kernel sees every `dilation`-th pixel, computed with zeros inserted into the weight."""

    conv: Conv2d
    dilation: int = 2

    def init(self, rng: np.random.Generator) -> Params:
        """Parameters of `conv`: weight (kh, kw, C, O) and bias (O,)."""
        return self.conv.init(rng)

    def forward(self, params: Params, x: Array) -> tuple[Array, Any]:
        """y (Ho, Wo, N, O), Ho = H - dilation (kh - 1) and Wo = W - dilation (kw - 1)."""
        spread = self._spread(params["weight"])
        wide = Conv2d(self.conv.in_channels, self.conv.out_channels, spread.shape[:2], algorithm="offsets")
        y, cache = wide.forward(params | {"weight": spread}, x)
        return y, (wide, cache)

    def backward(self, dy: Array, cache: Any) -> BackwardResult:
        """dx (H, W, N, C), dweight (kh, kw, C, O) and dbias (O,)."""
        wide, wide_cache = cache
        dx, grads = wide.backward(dy, wide_cache)
        return dx, grads | {"weight": grads["weight"][:: self.dilation, :: self.dilation].copy()}

    def _spread(self, weight: Array) -> Array:
        kh, kw, C, O = weight.shape
        spread = np.zeros((self.dilation * (kh - 1) + 1, self.dilation * (kw - 1) + 1, C, O), weight.dtype)
        spread[:: self.dilation, :: self.dilation] = weight
        return spread


@dataclass(frozen=True)
class Twins:
    """Two runs of one encoder with a head on both. The gradient of a shared weight is the sum over the two runs."""

    encoder: Any
    head: WeightedL1

    def init(self, rng: np.random.Generator) -> Params:
        """Parameters of both parts, named "encoder.*" and "head.*"."""
        return add_prefix("encoder", self.encoder.init(rng)) | add_prefix("head", self.head.init(rng))

    def forward(self, params: Params, a: Array, b: Array) -> tuple[Array, Any]:
        """logits (N,), and the caches of both runs and of the head."""
        h1, cache1 = self.encoder.forward(strip_prefix("encoder", params), a)
        h2, cache2 = self.encoder.forward(strip_prefix("encoder", params), b)
        logits, head_cache = self.head.forward(strip_prefix("head", params), h1, h2)
        return logits, (cache1, cache2, head_cache)

    def backward(self, dlogits: Array, cache: Any) -> BackwardResult:
        """(da, db), shaped like a and b, and the gradients of both parts."""
        (da, db), (first, second), head = self.backward_twins(dlogits, cache)
        return (da, db), self.collect({name: first[name] + second[name] for name in first}, head)

    def backward_twins(self, dlogits: Array, cache: Any) -> tuple[tuple[Array, Array], tuple[Params, Params], Params]:
        """(da, db), the encoder's gradients from each run, and the head's gradients."""
        cache1, cache2, head_cache = cache
        (dh1, dh2), head = self.head.backward(dlogits, head_cache)
        da, first = self.encoder.backward(dh1, cache1)
        db, second = self.encoder.backward(dh2, cache2)
        return (da, db), (first, second), head

    @staticmethod
    def collect(encoder: Params, head: Params) -> Params:
        """The gradients of both parts under their full names."""
        return add_prefix("encoder", encoder) | add_prefix("head", head)


@dataclass(frozen=True)
class Penalised:
    """The training objective: pair cross-entropy plus an L2 penalty on some of the parameters."""

    head: WeightedL1
    labels: tuple[float, ...]
    strengths: Mapping[str, float]

    def init(self, rng: np.random.Generator) -> Params:
        """Parameters of `head`: weight (D,) and bias (1,)."""
        return self.head.init(rng)

    def forward(self, params: Params, h1: Array, h2: Array) -> tuple[Array, Any]:
        """The loss () on h1 (N, D) and h2 (N, D), with the penalty added."""
        logits, head_cache = self.head.forward(params, h1, h2)
        labels = device_of(logits).upload(np.array(self.labels, dtype=logits.real.dtype.name))
        loss, loss_cache = PairCrossEntropy().forward(logits, labels)
        penalty, penalty_grads = l2_penalty(params, self.strengths)
        return loss + penalty, (head_cache, loss_cache, penalty_grads)

    def backward(self, dloss: Array, cache: Any) -> BackwardResult:
        """(dh1, dh2), each (N, D); dweight (D,) and dbias (1,)."""
        dh, grads = self.backward_loss(dloss, cache)
        return dh, grads | {name: grads[name] + dloss * value for name, value in cache[2].items()}

    def backward_loss(self, dloss: Array, cache: Any) -> BackwardResult:
        """Gradients of the loss without the penalty."""
        head_cache, loss_cache, _ = cache
        return self.head.backward(PairCrossEntropy().backward(dloss, loss_cache), head_cache)
