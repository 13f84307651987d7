"""Gaps of differences: right code is not accused, wrong code is not let through, and what stays open is said."""

import math

import numpy as np
import pytest

from scratchnet.gradcheck import check, from_functions

SEEDS = range(5)


def unwatched(x):
    """x in an array that no complex number fits into."""
    out = np.zeros(x.shape)
    out[...] = x
    return out


LARGE = {
    "mean of abs": (lambda x: np.abs(x).mean(), lambda dy, x: dy * np.sign(x) / x.size, 98_304),
    "mean of relu": (lambda x: np.maximum(x, 0).mean(), lambda dy, x: dy * (x > 0) / x.size, 30_000),
    "abs of a copy": (lambda x: np.abs(unwatched(x)), lambda dy, x: dy * np.sign(x), 30_000),
    "1 / x": (lambda x: 1 / x, lambda dy, x: -dy / x**2, 100_000),
}


@pytest.mark.parametrize(("f", "gradient", "size"), LARGE.values(), ids=LARGE)
def test_a_large_tensor_with_many_kinks_or_poles_passes_and_its_mistakes_do_not(f, gradient, size):
    for seed in SEEDS:
        x = np.random.default_rng(seed).standard_normal(size)
        report = check(from_functions(f, gradient), {}, x, seed=seed)
        assert report, report
        slightly = from_functions(f, lambda dy, x: (1 + 1e-4) * gradient(dy, x))
        assert check(slightly, {}, x, seed=seed, contract=False, entries=5).failed

        def one_doubled(dy, x, k=seed):
            dx = gradient(dy, x)
            dx[np.flatnonzero(dx)[100 + k]] *= 2
            return dx

        wrong = check(from_functions(f, one_doubled), {}, x, seed=seed, contract=False, entries=5)
        assert wrong.failed, wrong


def test_where_the_complex_step_is_exact_nothing_coarser_overrules_it(rng):
    report = check(
        from_functions(lambda x: np.maximum(x, 0).mean(), lambda dy, x: dy * (x > 0) / x.size),
        {},
        rng.standard_normal(10**6),
    )
    assert report
    assert report.tensors[0].method == "complex"
    assert report.error < 1e-13


def half_precision(x):
    return np.tanh(x.astype(np.float32)).astype(np.float64)


def test_a_forward_in_float32_passes_with_a_tolerance_that_says_so(rng):
    for seed in SEEDS:
        x = rng.standard_normal((30, 40))
        report = check(from_functions(half_precision, lambda dy, x: dy / np.cosh(x) ** 2), {}, x, seed=seed)
        assert report, report
        assert 1e-7 < report.tensors[0].allowed <= 1e-5
        assert not check(from_functions(half_precision, lambda dy, x: 1.01 * dy / np.cosh(x) ** 2), {}, x, seed=seed)


def sign_over_size(dy, x):
    return dy * np.sign(x) / x.size


SINGLE = {
    "mean of abs": lambda x: np.float64(np.abs(x.astype(np.float32)).mean()),
    "loss as a float": lambda x: float(np.abs(x.astype(np.float32)).mean()),
    "loss of float64 as a float": lambda x: float(np.abs(x).mean()),
}


@pytest.mark.parametrize("f", SINGLE.values(), ids=SINGLE)
def test_many_kinks_in_float32_or_behind_float_pass_and_their_mistakes_do_not(f):
    def one_doubled(dy, x):
        dx = sign_over_size(dy, x)
        dx[100] *= 2
        return dx

    for seed in SEEDS:
        x = np.random.default_rng(seed).standard_normal(30_000)
        report = check(from_functions(f, sign_over_size), {}, x, seed=seed)
        assert report, report
        assert report.tensors[0].allowed <= 1e-5
        for wrong in (one_doubled, lambda dy, x: (1 + 1e-4) * sign_over_size(dy, x)):
            assert check(from_functions(f, wrong), {}, x, seed=seed, contract=False, entries=1).failed


def test_a_number_that_float_took_out_of_the_chain_is_not_lost(rng):
    """exp(x / float(max x)): a backward that holds the largest constant is wrong, and no complex step may agree."""
    scaled = from_functions(lambda x: np.exp(x / float(x.max())), lambda dy, x: dy * np.exp(x / x.max()) / x.max())
    report = check(scaled, {}, 1 + rng.random(2000))
    assert not report
    assert report.tensors[0].method == "central4"


def test_what_stays_open_is_neither_a_pass_nor_a_bug(rng):
    rough = from_functions(lambda x: np.abs(x.astype(np.float16)).astype(float).mean(), sign_over_size)
    report = check(rough, {}, rng.standard_normal(30_000))
    assert not report
    assert report.undecided == ("x",)
    assert not report.failed
    assert "OPEN  x (30000,)" in str(report)
    assert "differences are good to" in str(report)


@pytest.mark.parametrize("factor", [2, 1 + 1e-4])
def test_small_entries_beside_large_ones_are_seen(factor, rng):
    def gradient(dy, x):
        dx = 2 * dy * x
        dx[0] *= factor
        return dx

    x = np.array([0.3, 1e6])
    assert check(from_functions(lambda x: x * x, lambda dy, x: 2 * dy * x), {}, x)
    assert check(from_functions(lambda x: x * x, gradient), {}, x).failed


@pytest.mark.parametrize("exponent", [-158, -170, -200])
def test_a_square_without_digits_is_undecided(exponent, rng):
    x = 10.0**exponent * rng.standard_normal(20)
    for factor in (2, 2.001):
        report = check(from_functions(lambda x: x * x, lambda dy, x, k=factor: k * dy * x), {}, x)
        assert report.undecided == ("x",), report
        assert "too small a number" in str(report)


@pytest.mark.parametrize("size", [1e-160, 1e-154, 1e-150, 1e150, 1e153])
def test_numbers_too_large_or_small_to_square_are_checked(size, rng):
    x = size * rng.standard_normal((4, 5))
    assert check(from_functions(lambda x: 3 * x, lambda dy, x: 3 * dy), {}, x)
    if 1e-155 < size < 1e152:
        report = check(from_functions(lambda x: x * x, lambda dy, x: 2 * dy * x), {}, x)
        assert report, report
        assert not check(from_functions(lambda x: x * x, lambda dy, x: 2.001 * dy * x), {}, x)


def test_tensors_whose_gradients_are_of_unlike_size_are_all_checked(rng):
    right = from_functions(lambda a, b: 1e12 * a + 1e-6 * b, lambda dy, a, b: (1e12 * dy, 1e-6 * dy))
    wrong = from_functions(lambda a, b: 1e12 * a + 1e-6 * b, lambda dy, a, b: (1e12 * dy, 2e-6 * dy))
    a, b = rng.standard_normal((2, 3, 4))
    report = check(right, {}, a, b)
    assert report
    assert not report.vacuous
    del wrong  # 18 digits below the other: no sum of both in float64 has a digit of it
    assert check(
        from_functions(lambda a, b: 1e6 * a + 1e-3 * b, lambda dy, a, b: (1e6 * dy, 2e-3 * dy)), {}, a, b
    ).failed


def test_a_small_entry_beside_a_pole_is_not_excused_by_the_rounding_of_the_pole():
    x = np.random.default_rng(2).standard_normal(100_000)

    def one_doubled(dy, x):
        dx = -dy / x**2
        dx[np.argsort(np.abs(x))[60_000]] *= 2
        return dx

    for seed in SEEDS:
        report = check(from_functions(lambda x: 1 / x, one_doubled), {}, x, seed=seed, contract=False, entries=5)
        assert not report, seed


def test_a_forward_of_zeros_excuses_no_gradient(rng):
    dead = from_functions(lambda x: np.maximum(x, 0), lambda dy, x: dy)
    assert check(dead, {}, -1 - rng.random((3, 4))).failed


def entropy(p):
    return -(p * np.log(p)).sum()


def roots(x):
    return np.array([math.sqrt(value) for value in x])


DOMAINS = {
    "NaN beyond the edge": (entropy, lambda dy, p: -dy * (np.log(p) + 1)),
    "an exception beyond the edge": (roots, lambda dy, x: dy / (2 * np.sqrt(x))),
}


@pytest.mark.parametrize(("f", "gradient"), DOMAINS.values(), ids=DOMAINS)
def test_steps_that_leave_the_domain_accuse_nobody_and_excuse_nobody(f, gradient):
    for seed in SEEDS:
        x = 10.0 ** np.random.default_rng(seed).uniform(-14, 0, 30)
        report = check(from_functions(f, gradient), {}, x, seed=seed)
        assert report, report
        report = check(from_functions(f, lambda dy, x: 1.001 * gradient(dy, x)), {}, x, seed=seed)
        assert report.failed
        assert np.isfinite(report.error)


def test_an_edge_on_both_sides_leaves_the_check_undecided():
    only_here = np.array([0.3, 0.4])

    def f(x):
        if abs(float(x[0]) - only_here[0]) > 1e-13:
            raise ValueError("not here")
        return np.array([float(x[0]), float(x[1])])

    report = check(from_functions(f, lambda dy, x: dy.copy()), {}, only_here)
    assert report.undecided == ("x",), report
    assert "beside this point" in str(report)
