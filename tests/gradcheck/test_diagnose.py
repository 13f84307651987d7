"""The diagnosis of a failed check: the worst entry; kinks and round-off distinguished from bugs."""

import numpy as np
import pytest
from wrong_layers import Convolution, report_of

from scratchnet.gradcheck import check


def test_the_worst_entry_is_shown_with_both_values():
    def one(dx, grads):
        dx = dx.copy()
        dx[1, 2, 0, 3] += 7.0
        return dx, grads

    mismatch = report_of(Convolution(one)).failed[0].mismatch
    assert mismatch.index == (1, 2, 0, 3)
    assert mismatch.analytic - mismatch.numeric == pytest.approx(7.0)
    assert (mismatch.off, mismatch.checked) == (1, 6 * 7 * 2 * 4)


def test_one_wrong_entry_of_many_is_found_by_halving(rng):
    class Square:
        def forward(self, params, x):
            return x * x, x

        def backward(self, dy, x):
            dx = 2 * dy * x
            dx[123, 45] = 0
            return dx, {}

    (failed,) = check(Square(), {}, rng.standard_normal((200, 100)), entries=30).failed
    assert failed.mismatch.index == (123, 45)
    assert failed.mismatch.checked <= 33


class Relu:
    def __init__(self, at_zero):
        self.at_zero = at_zero

    def forward(self, params, x):
        return x * (x.real > 0), x

    def backward(self, dy, x):
        return dy * np.where(x == 0, self.at_zero, x > 0), {}


def with_ties(rng):
    x = rng.standard_normal((3, 4))
    x[0, 1] = x[2] = 0.0
    return x


@pytest.mark.parametrize("method", ["auto", "complex", "central", "central4"])
@pytest.mark.parametrize("at_zero", [0.0, 0.3, 1.0])
def test_at_a_tie_any_value_between_the_one_sided_derivatives_passes(at_zero, method, rng):
    report = check(Relu(at_zero), {}, with_ties(rng), method=method)
    assert report, report


@pytest.mark.parametrize("method", ["auto", "complex", "central", "central4"])
@pytest.mark.parametrize("at_zero", [2.0, -0.1, 1.01])
def test_at_a_tie_any_other_value_is_a_bug(at_zero, method, rng):
    report = check(Relu(at_zero), {}, with_ties(rng), method=method)
    assert not report
    assert report.failed[0].mismatch.kind == "bug"
    assert "at a tie of forward, but not between the one-sided derivatives" in str(report)


def test_a_tie_is_reported_as_a_kink(rng):
    report = check(Relu(1.0), {}, with_ties(rng), method="complex")
    assert report.tensors[0].mismatch.kind == "kink"
    assert report.tensors[0].mismatch.off == 5
    assert "kink" in str(report)


class Largest:
    """y = the largest of each row; `share` divides dy among several winners."""

    def __init__(self, share):
        self.share = share

    def forward(self, params, x):
        y = x[np.arange(len(x)), x.real.argmax(axis=1)]
        return y, (x, y)

    def backward(self, dy, cache):
        x, y = cache
        wins = x == y[:, None]
        return dy[:, None] * self.share(wins), {}


TIED = np.array([[1.0, 1.0, 0.2], [0.3, 2.0, -1.0]])


@pytest.mark.parametrize(
    "share",
    [lambda wins: wins / wins.sum(axis=1, keepdims=True), lambda wins: wins & (wins.cumsum(axis=1) == 1)],
    ids=["split", "first"],
)
def test_winners_that_tie_may_share_the_gradient_or_leave_it_to_the_first(share):
    for seed in range(20):
        assert check(Largest(share), {}, TIED, seed=seed)


def test_winners_that_tie_may_not_both_take_all_of_it():
    for seed in range(20):
        report = check(Largest(lambda wins: wins), {}, TIED, seed=seed)
        assert not report, seed


def test_a_gap_within_the_digits_that_a_point_has_is_round_off(rng):
    class Fast:
        """y = sin(1e9 x): the last place of x moves the angle by 1e-7, and so does one of the factor in backward."""

        def forward(self, params, x):
            return np.sin(x * 1e9), x

        def backward(self, dy, x):
            return dy * np.cos(x * (1e9 * (1 + 2e-16))) * 1e9, {}

    report = check(Fast(), {}, rng.standard_normal((3, 4)), method="complex")
    assert report
    assert report.tensors[0].error > 1e-9
    assert report.tensors[0].mismatch.kind == "round-off"
