"""Trials are honest: each query is judged alone, ties are wrong, and sampled runs are what was asked for."""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pytest
from helpers import one_by_one
from strict_array import strict

from scratchnet.data.alphabets import Alphabet
from scratchnet.errors import DataError
from scratchnet.oneshot.baselines import PixelNearestNeighbour
from scratchnet.oneshot.trials import ACROSS, WITHIN, Result, Run, Scorer, evaluate, sample_runs, wilson_interval

PALE = 2.0**-20  # of ink, so that an image can hold a number below 500,000 and still pass for a drawing


@dataclass
class Table(Scorer):
    """A scorer that looks scores up; images of one pixel hold the row (query) and the column (support)."""

    table: np.ndarray

    def scores(self, queries: np.ndarray, supports: np.ndarray) -> np.ndarray:
        rows, columns = ((images[:, 0, 0] / PALE).astype(int) for images in (queries, supports))
        return self.table[rows][:, columns]


def run_of(query_labels: list[int], support_labels: list[int], scope: str = WITHIN) -> Run:
    """A run for `Table`: each image holds its own position."""
    support, query = (PALE * np.arange(len(labels))[:, None, None] for labels in (support_labels, query_labels))
    return Run("run", scope, support, np.array(support_labels), query, np.array(query_labels))


def numbered(*sizes: tuple[int, int]) -> list[Alphabet]:
    """Alphabets of these (characters, drawers); a drawing holds 10000 alphabet + 100 character + drawer."""
    return [
        Alphabet(
            f"alphabet {k}",
            PALE * (10_000 * k + 100 * np.arange(c).reshape(c, 1, 1, 1) + np.arange(d).reshape(d, 1, 1)),
        )
        for k, (c, d) in enumerate(sizes)
    ]


def shown(images: np.ndarray) -> np.ndarray:
    """Decode drawings of `numbered`: (N, 3) of alphabet, character and drawer."""
    number = (images[:, 0, 0] / PALE).astype(int)
    return np.stack([number // 10_000, number // 100 % 100, number % 100], axis=1)


# The official runs


def test_the_official_runs_are_20_of_20_trials(official):
    assert len(official) == 20
    for run in official:
        assert run.scope == WITHIN
        assert run.support.shape == run.query.shape == (20, 105, 105)
        assert run.support_labels.tolist() == sorted(run.query_labels) == list(range(20))


def test_a_constant_scorer_gets_nothing_right_on_the_official_runs(official):
    class Constant(Scorer):
        def scores(self, queries, supports):
            return np.full((len(queries), len(supports)), 0.25)

    assert evaluate(Constant(), official) == Result(0, 400)


# Counting


@pytest.mark.parametrize(
    ("scores", "correct"),
    [
        ([2, 1, 1], True),
        ([1, 2, 1], False),
        ([2, 2, 1], False),
        ([1, 1, 1], False),
        ([1, 0, 1], False),
        ([np.nan, 0, 0], False),
        ([2, np.nan, 0], False),
        ([np.nan] * 3, False),
        ([-1e30, -2e30, -3e30], True),
        ([0, -np.inf, -np.inf], True),
        ([-np.inf] * 3, False),
        ([np.inf, np.inf, 0], False),
    ],
    ids=str,
)
def test_only_a_score_strictly_above_all_others_is_right(scores, correct):
    """The first of three characters is the right one."""
    assert evaluate(Table(np.array([scores], float)), [run_of([0], [0, 1, 2])]).correct == correct


def test_a_perfect_scorer_gets_everything_right_and_its_opposite_nothing(rng):
    runs = [run_of(rng.permutation(5).tolist(), rng.permutation(5).tolist()) for _ in range(1)]
    (run,) = runs
    same = (run.query_labels[:, None] == run.support_labels).astype(float)
    assert evaluate(Table(same), runs) == Result(5, 5)
    assert evaluate(Table(-same), runs) == Result(0, 5)


def test_the_order_of_the_supports_does_not_matter(rng):
    run = run_of(rng.integers(0, 10, 40).tolist(), [*range(10), *range(10)])
    scorer = Table(rng.standard_normal((40, 20)))
    order = rng.permutation(20)
    shuffled = replace(run, support=run.support[order], support_labels=run.support_labels[order])
    assert 0 < evaluate(scorer, [run]).correct < 40
    assert evaluate(scorer, [shuffled]) == evaluate(scorer, [run])


def test_a_query_is_judged_without_a_look_at_the_other_queries(rng):
    run = run_of(rng.permutation(20).tolist(), list(range(20)))
    same = run.query_labels[:, None] == run.support_labels
    scorer = Table(rng.standard_normal((20, 20)) + 1.5 * same)
    alone = [evaluate(scorer, [each]).correct for each in one_by_one(run)]
    assert 0 < sum(alone) < 20
    assert evaluate(scorer, [run]).correct == sum(alone)


def test_several_supports_of_a_character_are_averaged_however_many_they_are():
    scores = np.array([[9.0, -15.0, -2.0, -2.0, -2.0, -2.5]])  # means -3, -2 and -2.5
    run = run_of([1], [0, 0, 1, 1, 1, 2])
    assert evaluate(Table(scores), [run]).correct == 1
    assert evaluate(Table(scores), [replace(run, query_labels=np.array([0]))]).correct == 0


def test_the_trials_of_all_runs_are_counted():
    runs = [run_of([0, 1], [0, 1]), run_of([1, 0, 1], [0, 1])]
    assert evaluate(Table(np.array([[1.0, 0]] * 3)), runs) == Result(2, 5)


# Devices and scopes


@pytest.mark.parametrize("device", ["strict"], indirect=True)
def test_a_device_is_given_all_runs_before_the_first_answer_is_read(device, generated, rng):
    waits = []

    class Watched:
        def __init__(self):
            self.device = device

        def scores(self, queries, supports):
            waits.append(strict.synchronisations)
            return supports[:, 0, 0].astype("float32") + queries[:, 0, :1].astype("float32")

    strict.synchronisations = 0
    evaluate(Watched(), sample_runs(generated, 4, rng=rng, n_way=8))
    assert waits == [0] * 4
    assert strict.synchronisations == 4


def test_trials_within_and_across_alphabets_are_not_mixed():
    within, across = run_of([0], [0, 1]), run_of([0], [0, 1], ACROSS)
    scorer = Table(np.array([[1.0, 0]]))
    assert evaluate(scorer, [across]).scope == ACROSS
    assert evaluate(scorer, [within]).scope == WITHIN
    with pytest.raises(DataError, match="within and across alphabets are different tasks"):
        evaluate(scorer, [within, across])


def test_no_runs_are_refused():
    with pytest.raises(DataError, match="expected one or more runs"):
        evaluate(PixelNearestNeighbour(), [])


# Sampling


@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize(("n_way", "k_shot"), [(5, 1), (3, 2), (20, 5)])
def test_sampled_runs_have_the_ways_and_shots_asked_for(n_way, k_shot, across, rng):
    runs = sample_runs(numbered((20, 6), (30, 8)), 4, rng=rng, n_way=n_way, k_shot=k_shot, across=across)
    assert len(runs) == 4
    for run in runs:
        assert run.scope == (ACROSS if across else WITHIN)
        assert run.support.shape == (n_way * k_shot, 1, 1)
        assert run.query.shape == (n_way, 1, 1)
        assert Counter(run.support_labels.tolist()) == dict.fromkeys(range(n_way), k_shot)
        assert sorted(run.query_labels) == list(range(n_way))


@pytest.mark.parametrize("across", [False, True])
def test_a_label_stands_for_one_character_and_its_query_is_by_another_hand(across, rng):
    for run in sample_runs(numbered((20, 6), (30, 8)), 10, rng=rng, n_way=5, k_shot=3, across=across):
        support, query = shown(run.support), shown(run.query)
        characters = {label: tuple(query[run.query_labels == label][0, :2]) for label in range(5)}
        assert len(set(characters.values())) == 5
        for label, (*character, _) in zip(run.support_labels, support, strict=True):
            assert tuple(character) == characters[label]
        assert len(set(query[:, 2])) == 1
        assert len(set(support[:, 2])) == 3
        assert not set(query[:, 2]) & set(support[:, 2])


def test_ten_alphabets_and_20_runs_give_the_papers_400_trials_each_alphabet_twice(rng):
    runs = sample_runs(numbered(*[(20 + k, 4) for k in range(10)]), 20, rng=rng)
    assert sum(len(run.query) for run in runs) == 400
    alphabets = [set(shown(np.concatenate([run.support, run.query]))[:, 0]) for run in runs]
    assert all(len(each) == 1 for each in alphabets)
    assert Counter(alphabet for (alphabet,) in alphabets) == dict.fromkeys(range(10), 2)


def test_across_alphabets_the_characters_of_a_run_come_from_several(rng):
    for run in sample_runs(numbered((6, 4), (6, 4), (6, 4)), 5, rng=rng, n_way=12, across=True):
        assert len(set(shown(run.query)[:, 0])) > 1


def test_alphabets_that_are_too_small_are_left_out(rng):
    runs = sample_runs(numbered((4, 9), (5, 2), (6, 3)), 4, rng=rng, n_way=5, k_shot=2)
    assert {alphabet for run in runs for alphabet in shown(run.query)[:, 0]} == {2}


@pytest.mark.parametrize(
    ("n_way", "k_shot", "across", "complaint"),
    [
        (7, 1, False, "no alphabet has 7 characters by 2 drawers"),
        (2, 3, False, "no alphabet has 2 characters by 4 drawers"),
        (12, 1, True, "all alphabets together do not have 12 characters by 2 drawers"),
        (2, 3, True, "all alphabets together do not have 2 characters by 4 drawers"),
    ],
)
def test_more_ways_or_shots_than_there_are_is_refused(n_way, k_shot, across, complaint, rng):
    with pytest.raises(DataError, match=complaint):
        sample_runs(numbered((6, 3), (5, 3)), 2, rng=rng, n_way=n_way, k_shot=k_shot, across=across)


def test_the_same_seed_samples_the_same_runs(generated):
    one, again, other = (
        np.stack([run.query for run in sample_runs(generated, 3, rng=np.random.default_rng(seed), n_way=5)])
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


# Intervals


@pytest.mark.parametrize(
    ("correct", "trials", "low", "high"),
    [(368, 400, 0.889, 0.943), (0, 10, 0, 0.278), (10, 10, 0.722, 1), (1, 2, 0.095, 0.905), (245, 400, 0.564, 0.659)],
)
def test_the_wilson_interval_has_its_known_values(correct, trials, low, high):
    assert wilson_interval(correct, trials) == pytest.approx((low, high), abs=6e-4)
    assert Result(correct, trials).interval == wilson_interval(correct, trials)


@pytest.mark.parametrize("correct", [0, 1, 13, 99, 100])
def test_at_its_ends_the_wilson_interval_is_1_96_standard_errors_from_what_was_measured(correct):
    low, high = wilson_interval(correct, 100)
    assert 0 <= low <= correct / 100 <= high <= 1
    for end in (low, high):
        assert (correct / 100 - end) ** 2 == pytest.approx(1.959964**2 * end * (1 - end) / 100, abs=1e-12)


def test_a_result_reads_as_a_line_and_as_figures():
    result = Result(368, 400, ACROSS)
    assert result.accuracy == 0.92
    assert "92.0%" in str(result)
    assert "368 of 400" in str(result)
    assert "88.9% - 94.3%" in str(result)
    figures = result.as_dict()
    assert figures.pop("interval") == list(result.interval)
    assert figures == {"correct": 368, "trials": 400, "accuracy": 0.92, "scope": ACROSS}
