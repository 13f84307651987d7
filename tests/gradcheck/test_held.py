"""With its decisions held, a forward computes the same at the point, and is smooth around it."""

import numpy as np
import pytest

from scratchnet.gradcheck import check, from_functions
from scratchnet.gradcheck.held import HeldForward

FUNCTIONS = {
    "abs": lambda x: np.abs(x).mean(),
    "relu": lambda x: np.maximum(x, 0),
    "smallest of two": lambda x: np.minimum(x, x[::-1]),
    "mask": lambda x: x * (x > 0.1),
    "where": lambda x: np.where(x < 0, 0.1 * x, x),
    "clip": lambda x: np.clip(x, -0.5, 0.5),
    "sign": lambda x: np.sign(x) * x,
    "largest": lambda x: x.max(),
    "largest of rows": lambda x: x.max(axis=1, keepdims=True) - x.min(axis=1, keepdims=True),
    "smallest of columns": lambda x: x.min(axis=0),
    "sort": lambda x: np.sort(x, axis=0),
    "median": lambda x: np.median(x, axis=1),
    "argmax": lambda x: x[np.arange(len(x)), x.argmax(axis=1)],
    "by argsort": lambda x: np.take_along_axis(x, np.argsort(x, axis=1), axis=1),
    "cell of a table": lambda x: x * np.searchsorted(np.linspace(-1, 1, 5), x),
    "positive ones": lambda x: x[np.nonzero(x > 0)] * 2,
    "real part of a spectrum": lambda x: np.abs(np.fft.rfft(x, axis=1).real),
    "written into out": lambda x: np.abs(x, out=np.empty_like(x)),
}


@pytest.mark.parametrize("f", FUNCTIONS.values(), ids=FUNCTIONS)
def test_large_steps_of_a_held_forward_have_the_slope_of_the_smallest(f, rng):
    x, r = rng.standard_normal((2, 6, 8))
    held = HeldForward(from_functions(f, f), ("x",))
    assert np.array_equal(held.forward({}, x)[0], f(x))
    assert held.tape.decisions
    far, near = ((held.forward({}, x + h * r)[0] - held.forward({}, x - h * r)[0]) / (2 * h) for h in (3.0, 1e-3))
    true = (f(x + 1e-7 * r) - f(x - 1e-7 * r)) / 2e-7
    np.testing.assert_allclose(far, near, atol=1e-9)  # all are linear between their kinks
    np.testing.assert_allclose(near, true, atol=1e-6)


def test_a_forward_that_decides_less_often_than_at_the_point_is_not_held(rng):
    calls = []

    def f(x):
        calls.append(x)
        return np.abs(x) if len(calls) > 1 else np.abs(np.abs(x))

    held = HeldForward(from_functions(f, f), ("x",))
    x = rng.standard_normal(3)
    held.forward({}, x)
    with pytest.raises(IndexError):
        held.forward({}, x)


def rough(x):
    """A loss of thousands of kinks in float32, which no complex number passes."""
    return float(np.abs(np.fft.rfft(x.astype(np.float32)).real.astype(np.float32)).mean() * 2) / 2


def rough_gradient(dy, x):
    spectrum = np.zeros(x.size)
    signs = np.sign(np.fft.rfft(x).real)
    spectrum[: signs.size] = dy * signs / signs.size
    return np.fft.fft(spectrum).real


def test_thousands_of_kinks_in_float32_are_decided_by_the_branches_that_were_watched():
    for seed in range(5):
        x = np.random.default_rng(seed).standard_normal(2048)
        report = check(from_functions(rough, rough_gradient), {}, x, seed=seed)
        assert report, report
        assert report.tensors[0].allowed <= 1e-3  # a tolerance that says so
        assert not check(from_functions(rough, lambda dy, x: 1.01 * rough_gradient(dy, x)), {}, x, seed=seed)


def test_the_branch_that_is_held_at_a_tie_does_not_accuse_the_other():
    x = np.zeros((4, 5))
    x[0] = 1.0
    relu = from_functions(lambda x: np.maximum(x, 0) + np.fft.ifft(0 * x).real, lambda dy, x: dy * (x > 0))
    report = check(relu, {}, x)
    assert report, report
    assert report.tensors[0].mismatch.kind == "kink"
