"""Batch normalisation (Ioffe and Szegedy 2015)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from scratchnet.backend import Array, Params, array_module, map_blocks, sum_blocks
from scratchnet.errors import ShapeError
from scratchnet.shapes import expect_precision, expect_shape


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
            batch_mean = _sum_pixels(lambda x: x, x) / M
            centre = _each_image(batch_mean, N)
            batch_variance = _sum_pixels(lambda x: (x - centre) * (x - centre), x) / M
            running_statistics = {
                "running_mean": (1 - self.momentum) * mean + self.momentum * batch_mean,
                "running_var": (1 - self.momentum) * variance + self.momentum * M / (M - 1) * batch_variance,
            }
            mean, variance = batch_mean, batch_variance
        deviation = xp.sqrt(variance + self.epsilon)
        centre, scale, shift = (_each_image(vector, N) for vector in (mean, weight / deviation, bias))

        def normalise(out: Array, x: Array) -> None:
            xp.subtract(x, centre, out=out)
            out *= scale
            out += shift

        y = map_blocks(normalise, _pixels(x)).reshape(x.shape)
        return y, BatchNorm2dCache(x, mean, deviation, weight, training, running_statistics)

    def backward(self, dy: Array, cache: BatchNorm2dCache) -> tuple[Array, Params]:
        x, mean, deviation, weight, training, _ = cache
        xp = array_module(dy, x)
        H, W, N, C = x.shape
        expect_shape("BatchNorm2d: dy", dy, "H W N C", H=H, W=W, N=N, C=C)
        expect_precision("BatchNorm2d", dy=dy, x=x)
        centre, scale = _each_image(mean, N), _each_image(weight / deviation, N)
        dbias = _sum_pixels(lambda dy: dy, dy)                                          # (1)
        dweight = _sum_pixels(lambda dy, x: dy * (x - centre), dy, x) / deviation       # (2)
        if training:
            M = H * W * N
            dmean, dslope = _each_image(dbias / M, N), _each_image(dweight / deviation / M, N)

            def pull_back(out: Array, dy: Array, x: Array) -> None:                     # (4)
                xp.subtract(x, centre, out=out)
                out *= dslope
                xp.subtract(dy, out, out=out)
                out -= dmean
                out *= scale

            dx = map_blocks(pull_back, _pixels(dy), _pixels(x))
        else:
            dx = map_blocks(lambda out, dy: xp.multiply(dy, scale, out=out), _pixels(dy))       # (3)
        return dx.reshape(x.shape), {"weight": dweight, "bias": dbias}

    def running_statistics(self, cache: BatchNorm2dCache) -> Params:
        """The running mean and variance after a forward in training; empty after one in evaluation."""
        return cache.running_statistics


def _pixels(x: Array) -> Array:
    """(H, W, N, C) as (H W, N C): long rows, which NumPy works on faster than on C numbers at a time."""
    H, W, N, C = x.shape
    return x.reshape(H * W, N * C)


def _each_image(vector: Array, N: int) -> Array:
    """A number for each channel (C,) repeated for each image, (N C,), to go with `_pixels`."""
    return array_module(vector).broadcast_to(vector, (N, *vector.shape)).reshape(-1)


def _sum_pixels(terms: Callable[..., Array], *maps: Array) -> Array:
    """The sum of terms(*maps) over pixels and images, for each channel (C,).

    Blank paper adds the same number tens of thousands of times, which float32 forgets bit by bit when it adds one
    after the other; the sums of pixels, blocks and images, one within the other, keep it.
    """
    N, C = maps[0].shape[2:]
    return sum_blocks(terms, *(_pixels(x) for x in maps)).reshape(N, C).sum(axis=0)
