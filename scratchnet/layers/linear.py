"""The dense layer."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from scratchnet.backend import Array, Params, array_module, product
from scratchnet.backend.expect import expect_precision, expect_shape


class LinearCache(NamedTuple):
    x: Array
    weight: Array


@dataclass(frozen=True)
class Linear:
    """y = x @ weight + bias.

    Shapes: x (N, C), weight (C, O), bias (O,), y (N, O). With dy = dL/dy:

        dx[n, c]      = sum over o of dy[n, o] weight[c, o]     (1)
        dweight[c, o] = sum over n of x[n, c] dy[n, o]          (2)
        dbias[o]      = sum over n of dy[n, o]                  (3)
    """

    in_features: int
    out_features: int

    def init(self, rng: np.random.Generator, dtype: Any = np.float32) -> Params:
        """Glorot initialisation: weight ~ N(0, 2 / (C + O)), bias 0."""
        scale = np.sqrt(2 / (self.in_features + self.out_features))
        weight = rng.standard_normal((self.in_features, self.out_features)) * scale
        return {"weight": weight.astype(dtype), "bias": np.zeros(self.out_features, dtype)}

    def forward(self, params: Params, x: Array, training: bool = False) -> tuple[Array, LinearCache]:
        weight, bias = params["weight"], params["bias"]
        array_module(x, weight, bias)
        expect_shape("Linear: weight", weight, "C O", C=self.in_features, O=self.out_features)
        expect_shape("Linear: bias", bias, "O", O=self.out_features)
        expect_shape("Linear: x", x, "N C", C=self.in_features)
        expect_precision("Linear", x=x, weight=weight, bias=bias)
        return product(x, weight) + bias, LinearCache(x, weight)

    def backward(self, dy: Array, cache: LinearCache) -> tuple[Array, Params]:
        x, weight = cache
        array_module(dy, x)
        expect_shape("Linear: dy", dy, "N O", N=x.shape[0], O=weight.shape[1])
        expect_precision("Linear", dy=dy, x=x)
        dx = product(dy, weight.T)  # (1)
        return dx, {"weight": product(x.T, dy), "bias": dy.sum(axis=0)}  # (2), (3)
