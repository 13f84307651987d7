"""Two scorers on the same trials: the gain, its standard errors over trials, runs and alphabets, and McNemar's test."""

from math import comb, isnan, sqrt

import numpy as np
import pytest

from scratchnet.errors import DataError
from scratchnet.oneshot import PixelNearestNeighbour, compare, evaluate, sample_runs
from scratchnet.oneshot.comparison import Comparison, right
from scratchnet.oneshot.scorers import Embedded
from scratchnet.oneshot.trials import Scorer

FIRST = np.array([1, 1, 0, 0, 1, 0, 1, 1], bool)
SECOND = np.array([1, 0, 1, 1, 1, 0, 1, 1], bool)
RUNS = np.array([0, 0, 1, 1, 2, 2, 3, 3])
ALPHABETS = np.array(["A", "A", "B", "B", "A", "A", "B", "B"])


@pytest.fixture
def invented():
    return Comparison(FIRST, SECOND, RUNS, ALPHABETS)


def test_the_gain_is_the_difference_of_the_shares(invented):
    assert invented.gain == SECOND.mean() - FIRST.mean() == 1 / 8
    assert (invented.only_first, invented.only_second) == (1, 2)
    assert invented.gains(ALPHABETS) == {"A": -1 / 4, "B": 1 / 2}


def test_the_standard_errors_are_those_of_a_mean_of_trials_of_runs_and_of_alphabets(invented):
    difference = [0, -1, 1, 1, 0, 0, 0, 0]
    assert invented.error_over() == pytest.approx(np.std(difference, ddof=1) / sqrt(8))
    assert invented.error_over(RUNS) == pytest.approx(np.std([-0.5, 1, 0, 0], ddof=1) / sqrt(4))
    assert invented.error_over(ALPHABETS) == pytest.approx(np.std([-0.25, 0.5], ddof=1) / sqrt(2))
    assert isnan(invented.error_over(np.zeros(8)))


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 0), (1, 2), (3, 10), (10, 3), (5, 5), (0, 6), (400, 480)])
def test_mcnemars_test_counts_the_splits_of_a_fair_coin(only_first, only_second):
    n = only_first + only_second
    first = np.array([True] * only_first + [False] * only_second + [True] * 7)
    second = np.array([False] * only_first + [True] * only_second + [True] * 7)
    found = Comparison(first, second, np.arange(n + 7), np.full(n + 7, "A")).p_value
    as_uneven = sum(comb(n, k) for k in range(n + 1) if abs(2 * k - n) >= abs(only_first - only_second))
    assert found == pytest.approx(as_uneven / 2**n)


def test_scorers_meet_the_same_trials_as_in_an_evaluation(tiny_net, generated, rng):
    runs = sample_runs(generated, 9, rng=rng, n_way=6)
    found = compare(PixelNearestNeighbour(), Embedded(tiny_net), runs)
    figures = found.as_dict()
    assert figures["trials"] == 54
    assert figures["first"] == evaluate(PixelNearestNeighbour(), runs).correct
    assert figures["second"] == evaluate(tiny_net, runs).correct
    assert figures["only_second"] - figures["only_first"] == figures["second"] - figures["first"]
    assert set(figures["by_alphabet"]) == {alphabet.name for alphabet in generated}
    assert len(np.unique(found.run)) == 9
    assert f"{100 * found.gain:+.2f} points" in str(found)


def test_a_scorer_beside_itself_gains_nothing(generated, rng):
    runs = sample_runs(generated, 3, rng=rng, n_way=6)
    found = compare(PixelNearestNeighbour(), PixelNearestNeighbour(), runs)
    assert (found.gain, found.error_over(), found.p_value) == (0, 0, 1)


class OfOne(Scorer):
    """A scorer that has only the first query of a run right."""

    def scores(self, queries, supports):
        return np.eye(len(queries), len(supports)) * (np.arange(len(queries)) == 0)


def test_what_is_right_is_said_trial_by_trial(generated, rng):
    runs = sample_runs(generated, 2, rng=rng, n_way=4)
    np.testing.assert_array_equal(right(OfOne(), runs), [True, False, False, False] * 2)


def test_without_runs_there_is_nothing_to_compare():
    with pytest.raises(DataError, match="no runs to compare on"):
        compare(PixelNearestNeighbour(), PixelNearestNeighbour(), [])
