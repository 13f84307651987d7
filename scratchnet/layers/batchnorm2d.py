"""Batch normalisation (Ioffe and Szegedy 2015)."""

from dataclasses import KW_ONLY, dataclass
from typing import Any, NamedTuple

import numpy as np

from scratchnet.backend import Array, Params
from scratchnet.backend.expect import expect
from scratchnet.errors import ShapeError
from scratchnet.ops import norm


class BatchNorm2dCache(NamedTuple):
    x: Array  # (H, W, N, C)
    mean: Array  # (C,)
    std: Array  # (C,): sqrt(variance + eps)
    weight: Array
    training: bool
    running_statistics: Params


@dataclass(frozen=True)
class BatchNorm2d:
    """y = weight * z + bias with z = (x - mean) / std and std = sqrt(variance + eps), for each channel.

    Shapes: x, y (H, W, N, C); weight, bias, running_mean, running_var (C,). In training, mean and variance are
    those of the batch, over its M = H W N pixels; in evaluation they are the running ones, which are constants.
    running_mean and running_var have no gradient; a forward in training moves them by `momentum` towards those of the
    batch, the variance times M / (M - 1), and the caller writes them back.

        dbias   = sum over pixels of dy                                               (1)
        dweight = sum over pixels of dy z                                             (2)
        dx      = weight / std * dy                                in evaluation      (3)
        dx      = weight / std * (dy - dbias / M - z dweight / M)  in training        (4)

    (4) subtracts what dy moves through the mean and through the variance of the batch. Raises ShapeError in
    training when M < 2.
    """

    num_features: int
    _: KW_ONLY
    eps: float = 1e-5
    momentum: float = 0.1  # the weight of the newest batch in the running statistics

    def init(self, rng: np.random.Generator, dtype: Any = np.float32) -> Params:
        """weight 1, bias 0; running mean 0 and variance 1."""
        zeros, ones = np.zeros(self.num_features, dtype), np.ones(self.num_features, dtype)
        return {"weight": ones, "bias": zeros, "running_mean": zeros.copy(), "running_var": ones.copy()}

    def forward(self, params: Params, x: Array, training: bool = False) -> tuple[Array, BatchNorm2dCache]:
        """y (H, W, N, C): by the statistics of the batch in training, else by the running ones."""
        cache = self.statistics(params, x, training)
        return norm.normalise(x, cache.mean, cache.weight / cache.std, params["bias"]), cache

    def statistics(self, params: Params, x: Array, training: bool) -> BatchNorm2dCache:
        """The mean and the standard deviation that x is normalised by, and the running statistics after it."""
        weight, bias, mean, variance = (params[name] for name in ("weight", "bias", "running_mean", "running_var"))
        shapes = "x: H W N C, weight: C, bias: C, running_mean: C, running_var: C"
        xp = expect("BatchNorm2d", shapes, x, weight, bias, mean, variance, C=self.num_features)
        updated: Params = {}
        if training:
            if (M := x.size // self.num_features) < 2:
                raise ShapeError(f"BatchNorm2d: x has {M} pixels a channel (H W N), expected 2 or more to train")
            (old_mean, old_variance), (mean, variance) = (mean, variance), norm.statistics(x)
            updated = {
                "running_mean": (1 - self.momentum) * old_mean + self.momentum * mean,
                "running_var": (1 - self.momentum) * old_variance + self.momentum * M / (M - 1) * variance,
            }
        return BatchNorm2dCache(x, mean, xp.sqrt(variance + self.eps), weight, training, updated)

    def backward(self, dy: Array, cache: BatchNorm2dCache) -> tuple[Array, Params]:
        """dx (H, W, N, C), dweight and dbias (C,)."""
        x, mean, std, weight, training, _ = cache
        expect("BatchNorm2d", "x: H W N C, dy: H W N C", x, dy)
        dbias, dscale = norm.backward_sums(dy, x, mean)  # (1)
        dweight = dscale / std  # (2)
        if training:
            M = x.size // self.num_features
            dx = norm.input_gradient(dy, x, mean, weight / std, dbias / M, dweight / std / M)  # (4)
        else:
            dx = norm.rescale(dy, weight / std)  # (3)
        return dx, {"weight": dweight, "bias": dbias}
