"""The dense layer."""

from dataclasses import KW_ONLY, dataclass
from typing import Any, NamedTuple

import numpy as np

from scratchnet.backend import Array, Params
from scratchnet.backend.expect import expect
from scratchnet.ops.dense import product


class LinearCache(NamedTuple):
    x: Array
    weight: Array


@dataclass(frozen=True)
class Linear:
    """y = x @ weight + bias; without the bias if `bias` is false.

    Shapes: x (N, C), weight (C, O), bias (O,), y (N, O). With dy = dL/dy:

        dx[n, c]      = sum over o of dy[n, o] weight[c, o]     (1)
        dweight[c, o] = sum over n of x[n, c] dy[n, o]          (2)
        dbias[o]      = sum over n of dy[n, o]                  (3)
    """

    in_features: int
    out_features: int
    _: KW_ONLY
    bias: bool = True

    def init(self, rng: np.random.Generator, dtype: Any = np.float32) -> Params:
        """Glorot initialisation: weight ~ N(0, 2 / (C + O)), bias 0."""
        scale = np.sqrt(2 / (self.in_features + self.out_features))
        weight = rng.standard_normal((self.in_features, self.out_features)) * scale
        bias = {"bias": np.zeros(self.out_features, dtype)} if self.bias else {}
        return {"weight": weight.astype(dtype), **bias}

    def forward(self, params: Params, x: Array) -> tuple[Array, LinearCache]:
        """y (N, O)."""
        weight, bias = params["weight"], params["bias"] if self.bias else None
        expect("Linear", "x: N C, weight: C O, bias: O", x, weight, bias, C=self.in_features, O=self.out_features)
        y = product(x, weight)
        return y if bias is None else y + bias, LinearCache(x, weight)

    def backward(self, dy: Array, cache: LinearCache) -> tuple[Array, Params]:
        """dx (N, C), dweight (C, O) and dbias (O,)."""
        x, weight = cache
        expect("Linear", "x: N C, weight: C O, dy: N O", x, weight, dy)
        dx = product(dy, weight.T)  # (1)
        grads = {"weight": product(x.T, dy)}  # (2)
        if self.bias:
            grads["bias"] = dy.sum(axis=0)  # (3)
        return dx, grads
