"""Verification: do two images show the same character? Its accuracy, the best threshold, and calibration."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from scratchnet.backend import Array, Device, to_host
from scratchnet.data.alphabets import Alphabet
from scratchnet.data.drawings import Drawings
from scratchnet.data.pairs import sample_pairs
from scratchnet.data.uneven import drawn_again
from scratchnet.models.siamese import SiameseNet
from scratchnet.oneshot.trials import Result


class Verifier(Protocol):
    """Compares pairs of images: a SiameseNet, an `Embedded` network or an `Ensemble`."""

    @property
    def device(self) -> Device:
        """The device on which `similarity` expects its arrays."""

    def similarity(self, a: Any, b: Any) -> Array:
        """The similarity (N,) of a[i] and b[i], (N, H, W) each; a pair of the same character scores higher."""


def best_threshold(similarity: np.ndarray, labels: np.ndarray) -> float:
    """The threshold that classifies the most pairs correctly, where pairs above it count as the same.

    similarity and labels: (P,), labels 1 for the same character and 0 for different ones.
    """
    order = np.argsort(similarity)
    values, positive = similarity[order], labels[order] > 0.5
    # With the threshold below the k-th value, the k pairs before it count as different and the others as the same.
    right = np.concatenate([[0], np.cumsum(~positive)]) + np.concatenate([np.cumsum(positive[::-1])[::-1], [0]])
    lower, upper = values[:-1], values[1:]
    middle = (lower + upper) / 2
    middle = np.where(middle < upper, middle, lower)  # between adjacent float32 numbers it may round up to `upper`
    edges = np.concatenate([[-np.inf], middle, [np.inf]])
    distinct = np.concatenate([[True], upper > lower, [True]])  # no threshold splits equal values
    return float(edges[np.argmax(np.where(distinct, right, -1))])


def verify(
    net: Verifier,
    *,
    validation: Sequence[Alphabet],
    test: Sequence[Alphabet],
    pairs: int,
    rng: np.random.Generator,
    threshold: float | None = None,
) -> Result:
    """Measure the accuracy on `pairs` random pairs of `test`, at the threshold that is best on as many of `validation`.

    threshold: another one, for the same pairs of `test`. Raises DataError if there are no alphabets, or if one has
    fewer than two characters or two drawers.
    """
    best = best_threshold(*_similarities(net, validation, pairs, rng))
    threshold = best if threshold is None else threshold
    similarity, labels = _similarities(net, test, pairs, rng)
    return Result(int(np.count_nonzero((similarity > threshold) == (labels > 0.5))), pairs)


def calibrated(net: SiameseNet, alphabets: Sequence[Alphabet], *, pairs: int, rng: np.random.Generator) -> SiameseNet:
    """The network with its bias shifted so that a probability of one half best separates same from different.

    A network trained on episodes needs this: the softmax over its scores ignores a shared bias and leaves it where it
    started. Only the bias of the head changes, and no two scores change their order. `alphabets` supply the `pairs`
    random pairs. Raises as `verify` does.
    """
    a, b, labels = _pair_images(net, alphabets, pairs, rng)
    threshold = best_threshold(to_host(net.logits(a, b)), labels)
    if not np.isfinite(threshold):  # the network separates nothing
        return net
    return replace(net, params=net.params | {"head.bias": net.params["head.bias"] - threshold})


def _similarities(
    net: Verifier, alphabets: Sequence[Alphabet], count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    a, b, labels = _pair_images(net, alphabets, count, rng)
    return to_host(net.similarity(a, b)), labels


def _pair_images(
    net: Verifier, alphabets: Sequence[Alphabet], count: int, rng: np.random.Generator
) -> tuple[Array, Array, np.ndarray]:
    """Random pairs as drawn: two stacks of images (count, H, W) on the network's device, and their labels (count,)."""
    drawings = Drawings.of(alphabets, max(alphabet.images.shape[-1] for alphabet in alphabets))
    pairs = sample_pairs(drawings.numbers, count, rng=rng)
    a, b = (drawn_again(numbers, drawings.repeats, rng) for numbers in (pairs.first, pairs.second))
    return drawings.ink(a, net.device), drawings.ink(b, net.device), pairs.labels
