"""One-shot trials: the runs that hold them, how they are sampled, and how a scorer is evaluated on them.

A trial shows a query and one or more examples of each of N characters; the scorer must choose the right character.
Each query is judged alone, against the supports of its run and nothing else. A tie counts as wrong, so that a
constant scorer gets nothing right.

Letters in shapes: Q queries, S supports, H and W pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from scratchnet.backend import CPU, Array, Device, to_device, to_host
from scratchnet.data.alphabets import Alphabet
from scratchnet.data.omniglot import read_runs
from scratchnet.data.uneven import UnevenAlphabet, drawn_again, pooled, together, uneven
from scratchnet.errors import DataError
from scratchnet.images.ink import expect_images

WITHIN, ACROSS = "within one alphabet", "across alphabets"


class Scorer(Protocol):
    """Scores each query against each support: a SiameseNet, an ensemble, a baseline, or a class of your own.

    A class that inherits from Scorer has to define `scores` only.
    """

    @property
    def device(self) -> Device:
        """The device on which `scores` expects its arrays: the host, unless overridden."""
        return CPU

    def scores(self, queries: Any, supports: Any) -> Array:
        """The scores (Q, S) of queries (Q, H, W) against supports (S, H, W); a better match scores higher."""


@dataclass(frozen=True)
class Run:
    """Supports, and the queries that are judged against them.

    scope: WITHIN or ACROSS, where the characters come from. support (S, H, W) and query (Q, H, W): bool or float, ink 1
    and paper 0. support_labels (S,) and query_labels (Q,): integers, the character from 0 to n_way - 1. alphabet and
    characters: where the characters come from, and their names in it, by label; "" and none where that is not known.
    """

    name: str
    scope: str
    support: np.ndarray
    support_labels: np.ndarray
    query: np.ndarray
    query_labels: np.ndarray
    alphabet: str = ""
    characters: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """The number of trials, and how many of them were correct."""

    correct: int
    trials: int
    scope: str = WITHIN

    @property
    def accuracy(self) -> float:
        """The share of the trials that were correct."""
        return self.correct / self.trials

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % Wilson score interval of the accuracy."""
        return wilson_interval(self.correct, self.trials)

    def as_dict(self) -> dict[str, Any]:
        """The result as a JSON object."""
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


def wilson_interval(correct: int, trials: int, *, z: float = 1.959964) -> tuple[float, float]:
    """The Wilson score interval of a proportion (Wilson 1927); z is the normal quantile, 1.96 for 95 %."""
    p, n = correct / trials, trials
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def evaluate(scorer: Scorer, runs: Sequence[Run]) -> Result:
    """Count the trials in which the right character has the highest score, averaged over its supports.

    Raises DataError if there are no runs, if their scopes differ, or if the images are not ink 1 and paper 0
    (`scratchnet.images.ink`); ShapeError if the arrays are not stacks of images.
    """
    if not runs or len({run.scope for run in runs}) > 1:
        raise DataError("expected one or more runs of one scope: within and across alphabets are different tasks")
    for run in runs:
        expect_images(f"query of {run.name!r}", run.query)
        expect_images(f"support of {run.name!r}", run.support)
    device = scorer.device
    # Queue every run before reading the first result, so that a GPU never waits for the host in between.
    scored = [scorer.scores(to_device(run.query, device), to_device(run.support, device)) for run in runs]
    correct = sum(
        count_correct(to_host(scores), run.support_labels, run.query_labels)
        for run, scores in zip(runs, scored, strict=True)
    )
    return Result(correct, sum(len(run.query_labels) for run in runs), runs[0].scope)


def count_correct(scores: np.ndarray, support_labels: np.ndarray, query_labels: np.ndarray) -> int:
    """Count the queries that are correct: see `correct_trials`."""
    return int(np.count_nonzero(correct_trials(scores, support_labels, query_labels)))


def correct_trials(scores: np.ndarray, support_labels: np.ndarray, query_labels: np.ndarray) -> np.ndarray:
    """Which queries, (Q,) bool, have their own character score strictly higher than every other; NaN is never correct.

    scores: (Q, S). support_labels: (S,). query_labels: (Q,).
    """
    characters = np.unique(support_labels)
    of_character = class_scores(scores, support_labels)
    own = np.arange(len(query_labels)), np.searchsorted(characters, query_labels)
    own_score = of_character[own].copy()
    of_character[own] = -np.inf
    correct: np.ndarray = own_score > of_character.max(axis=1)
    return correct


def class_scores(scores: np.ndarray, support_labels: np.ndarray) -> np.ndarray:
    """The scores (Q, n_way) of each character, in the order of their labels: the mean over its supports.

    scores: (Q, S). support_labels: (S,).
    """
    return np.stack([scores[:, support_labels == c].mean(axis=1) for c in np.unique(support_labels)], axis=1)


def official_runs(path: Path | str) -> list[Run]:
    """Lake's 20 runs of 20-way one-shot classification, 400 trials, from all_runs.zip or the unpacked folder.

    Raises DataError if they are missing or damaged.
    """
    return [
        Run(run.name, WITHIN, run.support, np.arange(len(run.support)), run.query, run.target)
        for run in read_runs(path)
    ]


def sample_runs(
    alphabets: Sequence[Alphabet],
    runs: int,
    *,
    rng: np.random.Generator,
    n_way: int = 20,
    k_shot: int = 1,
    across: bool = False,
) -> list[Run]:
    """Random N-way K-shot runs of n_way trials each: k_shot drawers draw the supports, another draws the queries.

    Within one alphabet, the alphabets take turns: 10 alphabets and 20 runs give the paper's 400 trials (section 4.3).
    With `across`, which is easier, each run takes its characters from all alphabets together. Alphabets with fewer
    than n_way characters or with too few drawers are left out. Raises DataError if none is left.

    Uneven alphabets are put together until each has n_way characters. Of a character with fewer than k_shot + 1
    drawers, all but one draw the supports; one with a single drawer is a support without a query, and more runs make up
    for it.
    """
    if any(isinstance(alphabet, UnevenAlphabet) for alphabet in alphabets):
        return _sample_uneven(alphabets, runs * n_way, rng=rng, n_way=n_way, k_shot=k_shot, across=across)
    usable = [a for a in alphabets if (across or a.characters >= n_way) and a.drawers > k_shot]
    if not usable or sum(a.characters for a in usable) < n_way:
        lacking = "all alphabets together do not have" if across else "no alphabet has"
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
        names = tuple(f"{number + 1}" for number in characters)
        sampled.append(
            Run(f"run {r + 1}, {alphabet.name}", scope, support, labels.repeat(k_shot), query, labels,
                alphabet.name, names)
        )  # fmt: skip
    return sampled


def _sample_uneven(
    alphabets: Sequence[Alphabet], trials: int, *, rng: np.random.Generator, n_way: int, k_shot: int, across: bool
) -> list[Run]:
    """`sample_runs` of `trials` trials or a few more, from alphabets of which some are uneven."""
    usable = [uneven(a) for a in ([together(alphabets)] if across else pooled(alphabets, n_way))]
    usable = [alphabet for alphabet in usable if alphabet.characters >= n_way and len(alphabet.askable)]
    if not usable:
        raise DataError(
            f"there are no {n_way} characters, one of them by two drawers, to ask about: ask for a smaller way"
        )
    sampled: list[Run] = []
    while sum(len(run.query) for run in sampled) < trials:
        alphabet = usable[len(sampled) % len(usable)]
        name = f"run {len(sampled) + 1}, {alphabet.name}"
        sampled.append(_uneven_run(name, ACROSS if across else WITHIN, alphabet, n_way, k_shot, rng))
    return sampled


def _uneven_run(
    name: str, scope: str, alphabet: UnevenAlphabet, n_way: int, k_shot: int, rng: np.random.Generator
) -> Run:
    """One run: each character's supports and, of those that can be asked about, a query by another drawer."""
    characters = rng.choice(alphabet.characters, n_way, replace=False)
    if not np.isin(characters, alphabet.askable).any():
        characters[0] = rng.choice(alphabet.askable)
    chosen: dict[str, list[tuple[int, int]]] = {"support": [], "query": []}
    for label, character in enumerate(characters):
        known, asked = alphabet.known_and_asked(character)
        query = rng.permutation(asked)[: int(character in alphabet.askable)]
        supports = rng.permutation(np.setdiff1d(known, query))[:k_shot]
        chosen["query"] += [(number, label) for number in query]
        chosen["support"] += [(number, label) for number in supports]
    (support, support_labels), (query, query_labels) = (np.array(pairs).T for pairs in chosen.values())
    support, query = (drawn_again(numbers, alphabet.repeats, rng) for numbers in (support, query))
    images = alphabet.images
    names = tuple(alphabet.classes[number] for number in characters)
    return Run(name, scope, images[support], support_labels, images[query], query_labels, alphabet.name, names)
