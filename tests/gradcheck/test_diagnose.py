"""A wrong gradient is explained: what it is instead, where it lies, and whether it is a mistake at all."""

import numpy as np
import pytest

from scratchnet.gradcheck import check
from scratchnet.gradcheck.where import describe


class Convolution:
    """y[i, j] = sum over a, b of x[i + a, j + b] @ weight[a, b] + bias; `wrong` tampers with what backward says."""

    def __init__(self, wrong=lambda dx, grads: (dx, grads), weight_in_backward=lambda weight: weight):
        self.wrong, self.weight_in_backward = wrong, weight_in_backward

    def forward(self, params, x):
        weight = params["weight"]
        Ho, Wo = x.shape[0] - 2, x.shape[1] - 2
        y = sum(x[a : a + Ho, b : b + Wo] @ weight[a, b] for a in range(3) for b in range(3))
        return y + params["bias"], (x, weight)

    def backward(self, dy, cache):
        x, weight = cache
        Ho, Wo = dy.shape[:2]
        dx, dweight, weight = np.zeros(x.shape), np.zeros(weight.shape), self.weight_in_backward(weight)
        for a in range(3):
            for b in range(3):
                dweight[a, b] = np.tensordot(x[a : a + Ho, b : b + Wo], dy, axes=((0, 1, 2), (0, 1, 2)))
                dx[a : a + Ho, b : b + Wo] += dy @ weight[a, b].T
        return self.wrong(dx, {"weight": dweight, "bias": dy.sum(axis=(0, 1, 2))})


def report_of(layer, seed=0):
    rng = np.random.default_rng(seed)
    params = {"weight": rng.standard_normal((3, 3, 4, 4)), "bias": rng.standard_normal(4)}
    return check(layer, params, rng.standard_normal((6, 7, 2, 4)), seed=seed)


def scaled(name, factor):
    return lambda dx, grads: (dx, grads | {name: factor * grads[name]})


def lost(*index):
    def lose(dx, grads):
        dx = dx.copy()
        dx[index] = 0
        return dx, grads

    return lose


EVERY = slice(None)

HINTS = {
    "factor 2: counted twice": scaled("weight", 2),
    "factor 1/2: a factor of 2 is missing, or only one of the two twins is counted": scaled("weight", 0.5),
    "factor -1: wrong sign": scaled("weight", -1),
    "factor 1/40, the length of y (4, 5, 2, 4) along axes 0, 1 and 2: averaged instead of": scaled("bias", 1 / 40),
    "factor 5, the length of y (4, 5, 2, 4) along axis 1: summed instead of averaged": scaled("bias", 5),
    "factor 1/37: averaged over 37 instead of summed": scaled("bias", 1 / 37),
    "factor 37: summed over 37 instead of averaged": scaled("bias", 37),
    "a constant factor of 0.9995": scaled("bias", 0.9995),
    "analytic is (1 +1e-07) times numeric": scaled("weight", 1 + 1e-7),
    "forgotten: backward leaves it at zero": scaled("bias", 0),
    "analytic equals numeric flipped along axes 0 and 1: kernel not flipped": lambda dx, grads: (
        dx,
        grads | {"weight": grads["weight"][::-1, ::-1]},
    ),
    "analytic equals numeric transposed in axes 2 and 3": lambda dx, grads: (
        dx,
        grads | {"weight": grads["weight"].swapaxes(2, 3)},
    ),
    "analytic equals numeric shifted by 1 along axis 1": lambda dx, grads: (np.roll(dx, 1, axis=1), grads),
    "analytic equals numeric read in Fortran order": lambda dx, grads: (dx.ravel("F").reshape(dx.shape), grads),
    "lost: backward leaves these entries at zero": lost(EVERY, -1),
}


@pytest.mark.parametrize(("hint", "mistake"), HINTS.items(), ids=HINTS)
def test_the_report_says_what_a_wrong_gradient_is_instead(hint, mistake):
    for seed in range(5):
        report = report_of(Convolution(mistake), seed)
        assert len(report.failed) == 1
        assert f"hint: {hint}" in str(report)
        assert report.failed[0].mismatch.kind == "bug"


@pytest.mark.parametrize(
    ("hint", "change"),
    [
        ("correct if weight were flipped along axes 0 and 1", lambda weight: weight[::-1, ::-1]),
        ("correct if weight were transposed in axes 2 and 3", lambda weight: weight.swapaxes(2, 3)),
    ],
)
def test_an_input_gradient_from_the_wrong_kernel_is_recognised(hint, change):
    report = report_of(Convolution(weight_in_backward=change))
    assert [tensor.name for tensor in report.failed] == ["x"]
    assert hint in str(report)


PLACES = {
    "the last index (6) of axis 1": lost(EVERY, -1),
    "the first index (0) of axis 0": lost(0),
    "index 2 of axis 3": lost(EVERY, EVERY, EVERY, 2),
    "the last index (1) of axis 2": lost(EVERY, EVERY, 1),
    "every second index of axis 1, from 1": lost(EVERY, slice(1, None, 2)),
    "every third index of axis 0, from 0": lost(slice(None, None, 3)),
    "only this entry of 6x7x2x4": lost(1, 2, 0, 3),
    "everywhere": lambda dx, grads: (0.9 * dx, grads),
    "scattered": lost([1, 2, 4], [0, 3, 5], [0, 1, 1], [3, 2, 0]),
}


@pytest.mark.parametrize(("place", "mistake"), PLACES.items(), ids=PLACES)
def test_the_report_says_where_the_wrong_entries_lie(place, mistake):
    (failed,) = report_of(Convolution(mistake)).failed
    assert failed.mismatch.where == place


def test_a_wrong_border_is_called_that():
    def frame(dx, grads):
        dx = dx.copy()
        dx[[0, -1]] *= 2
        dx[1:-1, [0, -1]] *= 2
        return dx, grads

    (failed,) = report_of(Convolution(frame)).failed
    assert failed.mismatch.where == "the border of axes 0 and 1"
    assert failed.mismatch.hint == "factor 2: counted twice"


def test_a_place_is_named_with_how_much_of_it_is_wrong():
    indices = np.argwhere(np.ones((4, 5)))
    off = (indices[:, 1] == 3) & (indices[:, 0] % 2 == 0) & (indices[:, 0] < 4)
    assert describe(indices, off, np.ones(20, bool), (4, 5)) == "in index 3 of axis 1, 50% of it"


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


def test_only_one_of_two_inputs_counted_is_called_only_one_twin(rng):
    class Distance:
        def forward(self, params, a, b):
            return ((a - b) * (a - b)).sum(axis=-1), a - b

        def backward(self, dy, difference):
            da = 2 * dy[:, None] * difference
            return (da, 0 * da), {}

    report = check(Distance(), {}, *rng.standard_normal((2, 3, 4)))
    assert [tensor.name for tensor in report.failed] == ["x2"]
    assert "only one twin is counted" in str(report)


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
    """y = the largest of each row; `share` says what each of several winners gets of dy."""

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
