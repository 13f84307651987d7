"""The two losses: of pairs, and of one-shot choices.

Each loss is a pair of methods like a layer's: forward(logits, target) -> (loss, cache) and
backward(dloss, cache) -> dlogits. The loss is a 0-d array that stays on its device. Finite logits of any size give a
finite loss; a NaN or an infinity among them gives a NaN or an infinity, and no warning.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from scratchnet.backend import Array, array_module
from scratchnet.backend.expect import expect
from scratchnet.errors import ShapeError
from scratchnet.layers.activations import exp_minus_abs, sigmoid


class Loss(Protocol):
    """What the training step needs of a loss."""

    def forward(self, scores: Array, target: Array, /) -> tuple[Array, Any]:
        """The mean loss (), and the cache."""

    def backward(self, dloss: Array | float, cache: Any, /) -> Array:
        """The gradient with respect to forward's first argument."""


class PairCrossEntropyCache(NamedTuple):
    logits: Array
    labels: Array


@dataclass(frozen=True)
class PairCrossEntropy:
    """The mean cross-entropy of pair labels, 1 for the same character and 0 for different ones (section 3.2).

    L = mean of max(z, 0) - z t + log(1 + exp(-|z|)), which is -t log p - (1 - t) log(1 - p) at p = sigmoid(z) without
    the overflow. Shapes: logits z (N,), labels t (N,) of the same dtype,
    loss ().

        dlogits[n] = (sigmoid(z[n]) - t[n]) / N = ((1 - t[n]) sigmoid(z[n]) - t[n] sigmoid(-z[n])) / N     (1)

    The second form does not cancel where sigmoid(z) is nearly t.

    Raises ShapeError when labels is not shaped like logits or there is no pair.
    """

    @np.errstate(over="ignore", invalid="ignore")
    def forward(self, logits: Array, labels: Array) -> tuple[Array, PairCrossEntropyCache]:
        """The mean loss ()."""
        xp = expect("PairCrossEntropy", "logits: N, labels: N", logits, labels)
        if logits.size == 0:
            raise ShapeError("PairCrossEntropy: logits has shape (N=0), expected at least one pair")
        above = xp.where(logits.real > 0, logits, 0.0)
        losses = above - logits * labels + xp.log1p(exp_minus_abs(logits))
        return _mean(losses), PairCrossEntropyCache(logits, labels)

    def backward(self, dloss: Array | float, cache: PairCrossEntropyCache) -> Array:
        """dlogits (N,)."""
        logits, labels = cache
        return ((1 - labels) * sigmoid(logits) - labels * sigmoid(-logits)) * (dloss / logits.shape[0])  # (1)


class NWayCrossEntropyCache(NamedTuple):
    probabilities: Array  # both ways: the mean of both
    target: Array


@dataclass(frozen=True)
class NWayCrossEntropy:
    """The mean cross-entropy of a softmax over the scores of each query: one-shot choice as a loss.

    L = mean over q of -log p[q, t(q)] with p[q] = softmax(scores[q]). Shapes: scores (..., S), one row a query;
    target (..., S) one-hot, of the scores' dtype; loss (). With M rows in all:

        dscores[q, s] = (p[q, s] - target[q, s]) / M     (1)

    both_ways: each support chooses among the queries as well: twice the choices from the same scores. These are then
    (..., Q, S) with Q = S, and target has a single 1 in each column as in each row. L is the mean of both
    cross-entropies, with r[:, s] = softmax(scores[:, s]) down the columns, whose gradient is (1) with r for p:

        L             = mean over q of -(log p[q, t(q)] + log r[q, t(q)]) / 2     (2)
        dscores[q, s] = ((p[q, s] + r[q, s]) / 2 - target[q, s]) / M              (3)

    Raises ShapeError when target is not shaped like scores, there is no score, or scores are not square, both ways.
    """

    both_ways: bool = False

    @np.errstate(over="ignore", invalid="ignore")
    def forward(self, scores: Array, target: Array) -> tuple[Array, NWayCrossEntropyCache]:
        """The mean loss ()."""
        expect("NWayCrossEntropy", "scores: *shape, target: *shape", scores, target)
        if scores.size == 0:
            raise ShapeError(f"NWayCrossEntropy: scores has shape {scores.shape}, expected at least one score")
        probabilities, logarithms = _softmax(scores, axis=-1)
        if self.both_ways:
            if scores.ndim < 2 or scores.shape[-2] != scores.shape[-1]:
                raise ShapeError(
                    f"NWayCrossEntropy: scores has shape {scores.shape}, expected (..., Q, S) with Q = S: "
                    "both ways, each support has one query"
                )
            of_columns, log_of_columns = _softmax(scores, axis=-2)
            probabilities = (probabilities + of_columns) / 2
            logarithms = logarithms / 2 + log_of_columns / 2  # (2)
        loss = _mean(-(target * logarithms).sum(axis=-1))
        return loss, NWayCrossEntropyCache(probabilities, target)

    def backward(self, dloss: Array | float, cache: NWayCrossEntropyCache) -> Array:
        """dscores, shaped like the scores."""
        probabilities, target = cache
        rows = probabilities.size // probabilities.shape[-1]
        return (probabilities - target) * (dloss / rows)  # (1), (3)


def _softmax(scores: Array, axis: int) -> tuple[Array, Array]:
    """The softmax along an axis, and its logarithm, which is at least the lowest number that its dtype has."""
    xp = array_module(scores)
    lowest = float(xp.finfo(scores.real.dtype).min)
    shifted = scores - scores.real.max(axis=axis, keepdims=True)
    shifted = xp.where(shifted.real < lowest, lowest, shifted) + 0 * scores  # 0 inf is NaN: no infinity is cut off
    exponentials = xp.exp(shifted)
    total = exponentials.sum(axis=axis, keepdims=True)
    return exponentials / total, shifted - xp.log(total)


def _mean(losses: Array) -> Array:
    """The mean (), even where the sum would overflow. A power of two as the scale leaves all bits as they are."""
    scale = 0.5 ** losses.size.bit_length()
    return (losses * scale).sum() / (losses.size * scale)
