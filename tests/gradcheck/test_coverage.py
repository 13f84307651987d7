"""Branches are watched: what no point has reached is named, and reached at other scales."""

import sys

import numpy as np
import pytest

from scratchnet.gradcheck import check, draw
from scratchnet.gradcheck.numeric import same_bits
from scratchnet.gradcheck.point import Point
from scratchnet.gradcheck.watch import is_two_sided, plain_of, watch, watched
from scratchnet.layers import Conv2d, MaxPool2d, ReLU
from scratchnet.planted.stranger_layers import LSTM, Attention

SCALES = (0.1, 1, 10)


class Elementwise:
    def __init__(self, f, slope):
        self.f, self.slope = f, slope

    def forward(self, params, x):
        return self.f(x), x

    def backward(self, dy, x):
        return dy * self.slope(x), {}


def huber(x):
    return np.where(np.abs(x) < 5, x * x / 2, 5 * (np.abs(x) - 2.5))


BEHIND_A_BRANCH = {
    "clip": Elementwise(lambda x: np.clip(x, -4, 4), np.ones_like),
    "Huber": Elementwise(huber, lambda x: np.where(np.abs(x) < 5, x, np.sign(x))),
    "mask": Elementwise(lambda x: x * (x < 6), np.ones_like),
    "maximum": Elementwise(lambda x: np.maximum(x, -6), np.ones_like),
}


@pytest.mark.parametrize("layer", BEHIND_A_BRANCH.values(), ids=BEHIND_A_BRANCH)
def test_a_bug_behind_a_branch_that_gaussian_points_never_reach_is_caught_at_other_scales(layer):
    for seed in range(20):
        _, (x,) = draw(layer, (4, 5), seed=seed)
        x = np.clip(x, -3.9, 3.9)
        assert check(layer, {}, x, seed=seed)
        report = check(layer, {}, x, seed=seed, scales=SCALES)
        assert not report, seed
        assert "at inputs of scale 10" in str(report)


def test_a_pass_says_what_share_it_has_seen_and_where_the_rest_is(rng):
    def far(x):
        return np.minimum(x, 1e9)

    report = check(Elementwise(far, np.ones_like), {}, rng.standard_normal((4, 5)), scales=SCALES)
    assert report
    assert report.coverage.share == 0
    assert report.coverage.draws == 50
    (place,) = report.coverage.one_way
    assert (place.what, place.file) == ("minimum", __file__)
    line = far.__code__.co_firstlineno + 1
    assert f"one way only: test_coverage.py, line {line}, minimum (always True): return np.minimum(x, 1e9)" in str(
        report
    )


def test_what_could_not_be_watched_counts_as_unseen_and_is_said(rng):
    def lost(x):
        copy = np.zeros(x.shape)
        copy[...] = x
        return np.maximum(copy, 0)

    report = check(Elementwise(lost, lambda x: x > 0), {}, rng.standard_normal((4, 5)), scales=SCALES)
    assert report, report
    assert report.coverage.share == 0
    assert "maximum (not watched or not reached): return np.maximum(copy, 0)" in str(report)


def test_without_scales_nothing_is_watched(rng):
    report = check(ReLU(), {}, rng.standard_normal((4, 5)))
    assert report.coverage is None
    assert sys.getprofile() is None


def test_what_was_seen_both_ways_ends_the_draws(rng):
    report = check(ReLU(), {}, rng.standard_normal((4, 5)), scales=SCALES)
    assert report.coverage.share == 1
    assert report.coverage.draws == len(SCALES)
    assert "branches: 1 of 1 (100%) went both ways" in str(report)


DECIDING = {
    "comparison": lambda x: x * (x > 0.1),
    "branch": lambda x: x if x.sum() > 0 else 2 * x,
    "maximum": lambda x: np.maximum(x, 0.3),
    "minimum of a row": lambda x: x.min(axis=1),
    "largest of all": lambda x: x.max(),
    "clip": lambda x: np.clip(x, -0.5, 0.5),
    "abs": lambda x: np.abs(x),
    "sign": lambda x: np.sign(x) * x,
    "where": lambda x: np.where(x > 0, x, 0),
    "sort": lambda x: np.sort(x, axis=1),
    "argmax": lambda x: x[np.arange(len(x)), x.argmax(axis=1)],
    "argsort": lambda x: np.take_along_axis(x, np.argsort(x, axis=0), axis=0),
    "median": lambda x: np.median(x, axis=1),
    "interp": lambda x: np.interp(x, [-1.0, 0.0, 1.0], [0.0, 1.0, 3.0]),
}


@pytest.mark.parametrize("f", DECIDING.values(), ids=DECIDING)
def test_every_kind_of_decision_is_noted_and_changes_no_bit(f, rng):
    for scale in (1, 100):
        x = scale * rng.standard_normal((6, 7))
        y, seen = watch(Point(Elementwise(f, None), {}, (x,)))
        assert same_bits(plain_of(y), f(x))
        assert seen
        assert {place.file for place in seen} == {__file__}


def test_outcomes_add_up_to_both_ways():
    (place,) = watch(Point(Elementwise(DECIDING["clip"], None), {}, (np.zeros(3),)))[1]
    assert not is_two_sided(place, {"inside", "above"})
    assert is_two_sided(place, {"below", "inside", "above"})


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(LSTM(), (4, 2, 3)), (Attention(), (2, 3, 4)), (MaxPool2d(2), (5, 6, 2, 2)), (Conv2d(2, 3, 3), (5, 6, 2, 2))],
)
def test_a_watched_forward_of_a_whole_layer_returns_the_same_bits(layer, shape):
    params, inputs = draw(layer, shape)
    point = Point(layer, params, tuple(inputs))
    assert same_bits(plain_of(watch(point)[0]), point.forward()[0])


def test_a_number_taken_out_of_an_array_is_a_loss_that_is_noted(rng):
    _, seen = watch(Point(Elementwise(lambda x: x * (1 if float(x.sum()) > 0 else 2), None), {}, (rng.random(3),)))
    assert [place.what for place in seen] == ["not watched after float()"]
    assert watched([np.ones(2), "text"])[1] == "text"


def test_draws_at_which_forward_is_not_finite_are_left_out(rng):
    report = check(Elementwise(np.exp, np.exp), {}, rng.standard_normal((2, 2)), scales=(1, 1e4))
    assert report, report
