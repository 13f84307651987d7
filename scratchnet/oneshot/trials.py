"""One-shot classification: trials, the official runs, baselines, verification.

A trial shows a query and one or more examples of each of N characters; the scorer must choose the right character.
Each query is judged alone, against the supports of its run and nothing else. A tie counts as wrong, so that a
constant scorer gets nothing right.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from math import sqrt
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from scratchnet.backend import CPU, Array, Device, array_module, to_device, to_host
from scratchnet.data.alphabets import Alphabet
from scratchnet.data.drawings import Drawings
from scratchnet.data.omniglot import read_runs
from scratchnet.data.pairs import sample_pairs
from scratchnet.errors import DataError, ShapeError
from scratchnet.images.augment import AffineRanges, distort
from scratchnet.images.ink import expect_images
from scratchnet.layers import sigmoid
from scratchnet.layers.protocol import strip_prefix
from scratchnet.models.siamese import SiameseNet

WITHIN, ACROSS = "within one alphabet", "across alphabets"


class Scorer(Protocol):
    """Anything that can say how well each query fits each support: a SiameseNet or a baseline.

    It is given arrays on its `device`, if it has such an attribute, and else on the host.
    """

    def scores(self, queries: Array, supports: Array) -> Array:
        """(Q, H, W) against (S, H, W): (Q, S), larger for a better fit."""


@dataclass(frozen=True)
class Run:
    """Some supports and the queries judged against them.

    support (S, H, W) and query (Q, H, W): bool or float ink; support_labels (S,), query_labels (Q,): the character,
    0 .. n_way - 1. scope: WITHIN or ACROSS, where the characters come from.
    """

    name: str
    scope: str
    support: np.ndarray
    support_labels: np.ndarray
    query: np.ndarray
    query_labels: np.ndarray


@dataclass(frozen=True)
class Result:
    """How many of how many trials were right, with the 95 % Wilson score interval."""

    correct: int
    trials: int
    scope: str = WITHIN

    @property
    def accuracy(self) -> float:
        return self.correct / self.trials

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % Wilson score interval of the accuracy."""
        return wilson_interval(self.correct, self.trials)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        low, high = self.interval
        return {
            "correct": self.correct,
            "trials": self.trials,
            "accuracy": self.accuracy,
            "interval": [low, high],
            "scope": self.scope,
        }

    def __str__(self) -> str:
        low, high = self.interval
        counted = f"{self.correct} of {self.trials}, 95 % interval {low:.1%} - {high:.1%}"
        return f"{self.accuracy:6.1%}  ({counted}), {self.scope}"


def wilson_interval(correct: int, trials: int, z: float = 1.959964) -> tuple[float, float]:
    """The Wilson score interval of a proportion; z is the normal quantile, 1.96 for 95 %."""
    p, n = correct / trials, trials
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def evaluate(scorer: Scorer, runs: Sequence[Run]) -> Result:
    """How often the character with the highest score is the right one; several supports of one are averaged.

    Raises DataError for no runs, for runs of different scopes, and for images that are not ink 1 and paper 0
    (`scratchnet.images.ink`); ShapeError for arrays that are no images.
    """
    if not runs or len({run.scope for run in runs}) > 1:
        raise DataError("expected one or more runs of one scope: within and across alphabets are different tasks")
    for run in runs:
        expect_images(f"query of {run.name!r}", run.query)
        expect_images(f"support of {run.name!r}", run.support)
    device = getattr(scorer, "device", CPU)
    # A GPU is given all runs before the first is read, so that it need not wait for the host in between.
    scored = [scorer.scores(to_device(run.query, device), to_device(run.support, device)) for run in runs]
    correct = sum(
        count_correct(to_host(scores), run.support_labels, run.query_labels)
        for run, scores in zip(runs, scored, strict=True)
    )
    return Result(correct, sum(len(run.query_labels) for run in runs), runs[0].scope)


def count_correct(scores: np.ndarray, support_labels: np.ndarray, query_labels: np.ndarray) -> int:
    """The queries whose own character scores strictly higher than every other; scores (Q, S). NaN is never right."""
    characters = np.unique(support_labels)
    of_character = np.stack([scores[:, support_labels == c].mean(axis=1) for c in characters], axis=1)  # (Q, n_way)
    own = np.arange(len(query_labels)), np.searchsorted(characters, query_labels)
    own_score = of_character[own].copy()
    of_character[own] = -np.inf
    return int(np.count_nonzero(own_score > of_character.max(axis=1)))


def official_runs(path: Path | str) -> list[Run]:
    """Lake's 20 runs of 20-way one-shot classification, from all_runs.zip or its unpacked folder: 400 trials."""
    return [
        Run(run.name, WITHIN, run.support, np.arange(len(run.support)), run.query, run.target)
        for run in read_runs(path)
    ]


def sample_runs(
    alphabets: Sequence[Alphabet],
    runs: int,
    rng: np.random.Generator,
    n_way: int = 20,
    k_shot: int = 1,
    across: bool = False,
) -> list[Run]:
    """Random N-way K-shot runs, n_way trials each: the supports by k_shot drawers, the queries by another one.

    Within one alphabet, each alphabet in turn: with 10 alphabets and 20 runs, the paper's own 400 trials
    (section 4.3). Across alphabets, which is easier, the characters come from all alphabets together. Alphabets with
    fewer than n_way characters or too few drawers are left out; raises DataError when that leaves none.
    """
    usable = [a for a in alphabets if (across or a.characters >= n_way) and a.drawers > k_shot]
    if not usable or sum(a.characters for a in usable) < n_way:
        lacking = "all alphabets together have not" if across else "no alphabet has"
        raise DataError(f"{lacking} {n_way} characters by {k_shot + 1} drawers: ask for a smaller way or shot")
    if across:
        drawers = min(a.drawers for a in usable)
        usable = [Alphabet("all alphabets", np.concatenate([a.images[:, :drawers] for a in usable]))]
    scope = ACROSS if across else WITHIN
    sampled = []
    for r in range(runs):
        alphabet = usable[r % len(usable)]
        pool = alphabet.images
        characters = rng.choice(len(pool), n_way, replace=False)
        drawers_of_run = rng.choice(pool.shape[1], k_shot + 1, replace=False)
        support = pool[characters[:, None], drawers_of_run[None, :k_shot]]
        query = pool[characters, drawers_of_run[k_shot]]
        labels = np.arange(n_way)
        support = support.reshape(-1, *pool.shape[2:])
        sampled.append(Run(f"run {r + 1}, {alphabet.name}", scope, support, labels.repeat(k_shot), query, labels))
    return sampled


class Embedded:
    """A network that embeds every distinct image once, however often and in whatever run it comes.

    Images come on the host; embeddings stay where the network lives.
    """

    device = CPU

    def __init__(self, net: SiameseNet) -> None:
        self.net = net
        self._found: dict[tuple[Any, ...], Array] = {}

    def scores(self, queries: np.ndarray, supports: np.ndarray) -> Array:
        """(Q, H, W) against (S, H, W): the logits (Q, S)."""
        return self._head(self.embed(queries)[:, None], self.embed(supports))

    def similarity(self, a: np.ndarray, b: np.ndarray) -> Array:
        """The probability (N,) that a[i] and b[i] show the same character."""
        return sigmoid(self._head(self.embed(a), self.embed(b)))

    def embed(self, images: np.ndarray) -> Array:
        """The embeddings (N, D) of images (N, H, W). Raises as SiameseNet.embed does."""
        expect_images("images", images)
        kind = images.shape[1:], images.dtype.str
        keys = [(*kind, sha256(image.tobytes()).digest()) for image in images]
        new = {key: i for i, key in enumerate(keys) if key not in self._found}
        if new:
            h = self.net.embed(to_device(images[list(new.values())], self.net.device))
            self._found |= {key: h[i : i + 1] for i, key in enumerate(new)}
        rows = [self._found[key] for key in keys]
        return array_module(*rows).concatenate(rows)

    def _head(self, h1: Array, h2: Array) -> Array:
        return self.net.head.forward(strip_prefix("head", self.net.params), h1, h2)[0]


@dataclass(frozen=True)
class Ensemble:
    """Several networks as one: the mean of their scores.

    It is the plain mean. Scores are log-odds that two images show the same character, so all networks have one scale;
    brought to one spread over the supports of a query first, a network at a loss would count as much as one that
    is sure.
    """

    members: Sequence[Embedded]
    device = CPU

    def scores(self, queries: np.ndarray, supports: np.ndarray) -> np.ndarray:
        """(Q, H, W) against (S, H, W): the mean logits (Q, S)."""
        return np.mean([to_host(member.scores(queries, supports)) for member in self.members], axis=0)

    def similarity(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """The mean probability (N,) that a[i] and b[i] show the same character."""
        return np.mean([to_host(member.similarity(a, b)) for member in self.members], axis=0)


SMALL_WARPS = AffineRanges(rotation=5.0, shear=0.1, scale=0.1, shift=2.0, probability=1.0)


@dataclass(frozen=True)
class WarpedQueries:
    """A scorer that sees each query as it is and through so many small affine maps: the mean of the scores.

    The maps are drawn from `seed` alone, the same for all queries, so that each query is still judged alone.
    """

    scorer: Scorer
    warps: int
    seed: int = 0

    @property
    def device(self) -> Device:
        return getattr(self.scorer, "device", CPU)

    def scores(self, queries: Array, supports: Array) -> np.ndarray:
        """(Q, H, W), square, against (S, H, W): the mean scores (Q, S)."""
        transforms = SMALL_WARPS.draw(np.random.default_rng(self.seed), self.warps, queries.shape[-1])
        ink = queries.astype(np.float32)
        seen = [queries, *(distort(ink, np.tile(transform, (len(ink), 1))) for transform in transforms)]
        return np.mean([to_host(self.scorer.scores(images, supports)) for images in seen], axis=0)


@dataclass(frozen=True)
class PixelNearestNeighbour:
    """The baseline that looks for the support with the fewest pixels that differ (Euclidean distance)."""

    def scores(self, queries: np.ndarray, supports: np.ndarray) -> np.ndarray:
        """(Q, S) float64: the negative squared distance of the images. Raises as SiameseNet.scores does."""
        expect_images("queries", queries)
        expect_images("supports", supports)
        if queries.shape[1:] != supports.shape[1:]:
            raise ShapeError(
                f"queries has shape {queries.shape} and supports {supports.shape}, expected images of one "
                "size (H, W): resize them"
            )
        q, s = (images.reshape(len(images), -1).astype(np.float64) for images in (queries, supports))
        return 2 * q @ s.T - (q * q).sum(axis=1)[:, None] - (s * s).sum(axis=1)


@dataclass(frozen=True)
class ModifiedHausdorff:
    """The baseline of Lake et al.: the modified Hausdorff distance (Dubuisson and Jain 1994) of the inked pixels.

    Each set of pixels is moved to its centre of gravity. The distance is the larger of the two mean distances from a
    pixel of one set to the nearest of the other.
    """

    def scores(self, queries: np.ndarray, supports: np.ndarray) -> np.ndarray:
        """(Q, S) float64: the negative distance; ink is what is darker than half. Raises as SiameseNet.scores does."""
        expect_images("queries", queries)
        expect_images("supports", supports)
        q, s = ([_ink_points(image) for image in images] for images in (queries, supports))
        return np.array([[-_modified_hausdorff(a, b) for b in s] for a in q])


def _ink_points(image: np.ndarray) -> np.ndarray:
    """(P, 2) coordinates of the ink about their centre of gravity."""
    points = np.argwhere(image > 0.5).astype(np.float64)
    return points - points.mean(axis=0) if len(points) else np.zeros((1, 2))


def _modified_hausdorff(a: np.ndarray, b: np.ndarray) -> float:
    ones_a, ones_b = np.ones((len(a), 1)), np.ones((len(b), 1))
    square_a, square_b = (a * a).sum(axis=1, keepdims=True), (b * b).sum(axis=1, keepdims=True)
    squared = np.hstack([a, square_a, ones_a]) @ np.hstack([-2 * b, ones_b, square_b]).T  # |a|^2 - 2 a.b + |b|^2
    nearest = (np.sqrt(np.maximum(squared.min(axis=axis), 0.0)) for axis in (0, 1))
    return max(float(distances.mean()) for distances in nearest)


BASELINES: dict[str, Scorer] = {
    "pixel nearest neighbour": PixelNearestNeighbour(),
    "modified Hausdorff distance": ModifiedHausdorff(),
}


def best_threshold(similarity: np.ndarray, labels: np.ndarray) -> float:
    """The threshold above which calling a pair the same is right most often; similarity and labels (P,)."""
    order = np.argsort(similarity)
    values, positive = similarity[order], labels[order] > 0.5
    # With the threshold below the k-th value, the k pairs before it are called different and the others the same.
    right = np.concatenate([[0], np.cumsum(~positive)]) + np.concatenate([np.cumsum(positive[::-1])[::-1], [0]])
    lower, upper = values[:-1], values[1:]
    middle = (lower + upper) / 2
    middle = np.where(middle < upper, middle, lower)  # between neighbours in float32 it may round to the upper one
    edges = np.concatenate([[-np.inf], middle, [np.inf]])
    distinct = np.concatenate([[True], upper > lower, [True]])  # no threshold splits equal values
    return float(edges[np.argmax(np.where(distinct, right, -1))])


def verification(
    net: Any, validation: Sequence[Alphabet], test: Sequence[Alphabet], pairs: int, rng: np.random.Generator
) -> Result:
    """Accuracy at telling same from different on `pairs` pairs of `test`, at the threshold best on `validation`."""
    threshold = best_threshold(*_similarities(net, validation, pairs, rng))
    similarity, labels = _similarities(net, test, pairs, rng)
    return Result(int(np.count_nonzero((similarity > threshold) == (labels > 0.5))), pairs)


def calibrated(net: SiameseNet, validation: Sequence[Alphabet], pairs: int, rng: np.random.Generator) -> SiameseNet:
    """The network with the bias at which a probability of one half tells same from different best, on `validation`.

    For networks trained on episodes: a softmax over scores ignores the bias that they share, and leaves it where it
    began. One number changes; no score changes its rank.
    """
    a, b, labels = _pair_images(net, validation, pairs, rng)
    threshold = best_threshold(to_host(net.logits(a, b)), labels)
    if not np.isfinite(threshold):  # it tells nothing apart
        return net
    return replace(net, params=net.params | {"head.bias": net.params["head.bias"] - threshold})


def _similarities(
    net: Any, alphabets: Sequence[Alphabet], count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    a, b, labels = _pair_images(net, alphabets, count, rng)
    return to_host(net.similarity(a, b)), labels


def _pair_images(
    net: Any, alphabets: Sequence[Alphabet], count: int, rng: np.random.Generator
) -> tuple[Array, Array, np.ndarray]:
    """Random pairs as they were drawn: images (count, H, W) on the network's device, twice; labels (count,)."""
    drawings = Drawings.of(alphabets, max(alphabet.images.shape[-1] for alphabet in alphabets))
    pairs = sample_pairs(drawings.numbers, count, rng)
    return drawings.ink(pairs.first, net.device), drawings.ink(pairs.second, net.device), pairs.labels
