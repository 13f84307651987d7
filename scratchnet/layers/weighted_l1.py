"""The head of the Siamese network: a weighted L1 distance of two embeddings."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from scratchnet.backend import Array, Params, array_module
from scratchnet.backend.expect import expect, expect_to_broadcast


class WeightedL1Cache(NamedTuple):
    h1: Array
    h2: Array
    distance: Array
    weight: Array

    @property
    def branches(self) -> Array:
        """The sign of every difference."""
        return array_module(self.h1).sign((self.h1 - self.h2).real)


@dataclass(frozen=True)
class WeightedL1:
    """logit = |h1 - h2| @ weight + bias (the paper's sum over j of alpha_j |h1_j - h2_j|, section 3.1).

    Shapes: h1 and h2 (..., D), weight (D,), bias (1,), logit (...). The leading axes broadcast: (N, D) with (N, D)
    gives N pairs, (Q, 1, D) with (S, D) the scores of Q queries against S supports. With s = sign(h1 - h2):

        dh1[d]     =  sum of dlogit weight[d] s[d]       over the axes in which h1 was broadcast     (1)
        dh2[d]     = -sum of dlogit weight[d] s[d]       over the axes in which h2 was broadcast     (2)
        dweight[d] =  sum of dlogit |h1[d] - h2[d]|      over all pairs                              (3)
        dbias      =  sum of dlogit                      over all pairs                              (4)

    Where h1 = h2 the sign is 0, and so is the gradient.
    """

    features: int

    def init(self, rng: np.random.Generator, dtype: Any = np.float32) -> Params:
        """A larger distance makes "same" less likely: the logit starts as 1 - 4 times the mean of |h1 - h2|."""
        return {"weight": np.full(self.features, -4 / self.features, dtype), "bias": np.ones(1, dtype)}

    def forward(self, params: Params, h1: Array, h2: Array) -> tuple[Array, WeightedL1Cache]:
        """logit (...)."""
        weight, bias = params["weight"], params["bias"]
        xp = expect("WeightedL1", "h1: ... D, h2: ... D, weight: D, bias: 1", h1, h2, weight, bias, D=self.features)
        expect_to_broadcast("WeightedL1", "h1", h1.shape[:-1], "h2", h2.shape[:-1])
        difference = h1 - h2
        distance = xp.where(difference.real < 0, -difference, difference)  # |.|, true to a complex step
        return distance @ weight + bias[0], WeightedL1Cache(h1, h2, distance, weight)

    def backward(self, dlogit: Array, cache: WeightedL1Cache) -> tuple[tuple[Array, Array], Params]:
        """(dh1, dh2), shaped like h1 and h2; dweight (D,) and dbias (1,)."""
        h1, h2, distance, weight = cache
        expect("WeightedL1", "logit: *shape, dlogit: *shape", distance[..., 0], dlogit)
        ddifference = dlogit[..., None] * (weight * cache.branches)
        dh1 = sum_to_shape(ddifference, h1.shape)  # (1)
        dh2 = -sum_to_shape(ddifference, h2.shape)  # (2)
        dweight = dlogit.reshape(-1) @ distance.reshape(-1, self.features)  # (3)
        return (dh1, dh2), {"weight": dweight, "bias": dlogit.sum().reshape(1)}  # (4)


def sum_to_shape(gradient: Array, shape: tuple[int, ...]) -> Array:
    """The backward of broadcasting: `gradient` summed over the axes along which `shape` was stretched."""
    added = gradient.ndim - len(shape)
    stretched = tuple(
        axis
        for axis in range(gradient.ndim)
        if axis < added or (shape[axis - added] == 1 and gradient.shape[axis] != 1)
    )
    return gradient.sum(axis=stretched).reshape(shape) if stretched else gradient
