"""Batch normalisation (Ioffe and Szegedy 2015)."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from scratchnet.backend import Array, Params, array_module
from scratchnet.backend.expect import expect_precision, expect_shape
from scratchnet.errors import ShapeError
from scratchnet.ops import norm


class BatchNorm2dCache(NamedTuple):
    x: Array  # (H, W, N, C)
    mean: Array  # (C,)
    deviation: Array  # (C,): sqrt(variance + epsilon)
    weight: Array
    training: bool
    running_statistics: Params


@dataclass(frozen=True)
class BatchNorm2d:
    """y = weight * z + bias with z = (x - mean) / sqrt(variance + epsilon), for each channel.

    Shapes: x, y (H, W, N, C); weight, bias, running_mean, running_var (C,). In training, mean and variance are
    those of the batch, over its M = H W N pixels; in evaluation they are the running ones, which are constants.
    running_mean and running_var have no gradient; a forward in training measures new ones, and the caller writes
    them back. With sd = sqrt(variance + epsilon):

        dbias   = sum over pixels of dy                                              (1)
        dweight = sum over pixels of dy z                                            (2)
        dx      = weight / sd * dy                                in evaluation      (3)
        dx      = weight / sd * (dy - dbias / M - z dweight / M)  in training        (4)

    (4) subtracts what dy moves through the mean and through the variance of the batch. Raises ShapeError in
    training when M < 2.
    """

    num_features: int
    epsilon: float = 1e-5
    momentum: float = 0.1  # the weight of the newest batch in the running statistics

    def init(self, rng: np.random.Generator, dtype: Any = np.float32) -> Params:
        """weight 1, bias 0; running mean 0 and variance 1."""
        zeros, ones = np.zeros(self.num_features, dtype), np.ones(self.num_features, dtype)
        return {"weight": ones, "bias": zeros, "running_mean": zeros.copy(), "running_var": ones.copy()}

    def forward(self, params: Params, x: Array, training: bool = False) -> tuple[Array, BatchNorm2dCache]:
        weight, bias = params["weight"], params["bias"]
        mean, variance = params["running_mean"], params["running_var"]
        xp = array_module(x, weight, bias, mean, variance)
        expect_shape("BatchNorm2d: x", x, "H W N C", C=self.num_features)
        for name, value in params.items():
            expect_shape(f"BatchNorm2d: {name}", value, "C", C=self.num_features)
        expect_precision("BatchNorm2d", x=x, **params)
        H, W, N, _ = x.shape
        running_statistics: Params = {}
        if training:
            M = H * W * N
            if M < 2:
                raise ShapeError(f"BatchNorm2d: x has {M} pixels a channel (H W N), expected 2 or more to train")
            batch_mean, batch_variance = norm.statistics(x)
            running_statistics = {
                "running_mean": (1 - self.momentum) * mean + self.momentum * batch_mean,
                "running_var": (1 - self.momentum) * variance + self.momentum * M / (M - 1) * batch_variance,
            }
            mean, variance = batch_mean, batch_variance
        deviation = xp.sqrt(variance + self.epsilon)
        y = norm.normalise(x, mean, weight / deviation, bias)
        return y, BatchNorm2dCache(x, mean, deviation, weight, training, running_statistics)

    def backward(self, dy: Array, cache: BatchNorm2dCache) -> tuple[Array, Params]:
        x, mean, deviation, weight, training, _ = cache
        array_module(dy, x)
        H, W, N, C = x.shape
        expect_shape("BatchNorm2d: dy", dy, "H W N C", H=H, W=W, N=N, C=C)
        expect_precision("BatchNorm2d", dy=dy, x=x)
        M, scale = H * W * N, weight / deviation
        dbias, dscale = norm.backward_sums(dy, x, mean)  # (1)
        dweight = dscale / deviation  # (2)
        if training:
            dx = norm.pull_back(dy, x, mean, scale, dbias / M, dweight / deviation / M)  # (4)
        else:
            dx = norm.rescale(dy, scale)  # (3)
        return dx, {"weight": dweight, "bias": dbias}

    def running_statistics(self, cache: BatchNorm2dCache) -> Params:
        """The running mean and variance after a forward in training; empty after one in evaluation."""
        return cache.running_statistics
