"""A smooth field warps one drawing onto another: its Jacobian is right, its steps go down, what is moved comes back."""

from itertools import pairwise

import numpy as np
import pytest

from scratchnet import gradcheck
from scratchnet.backend import to_device, to_host
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.images import align as module
from scratchnet.images.align import (
    BLOCK,
    STEPS,
    VARIANCE,
    align,
    basis,
    energies,
    gauss_newton_step,
    residuals,
    spreads,
    warped,
)
from scratchnet.images.framing import frame_ink

SIDE, K = 10, 16


@pytest.fixture(scope="module")
def drawings():
    """Twelve characters by two drawers, framed: two stacks (12, 48, 48)."""
    (alphabet,) = generate_alphabets(1, characters=12, drawers=2, image_size=60, seed=3)
    return tuple(frame_ink(alphabet.images[:, drawer].astype(np.float64), 48) for drawer in (0, 1))


@pytest.fixture
def problem(rng):
    """Fields (3, 2, K), and random images to move (3, SIDE, SIDE) and to compare with (3, SIDE SIDE)."""
    return 0.05 * rng.standard_normal((3, 2, K)), rng.random((3, SIDE, SIDE)), rng.random((3, SIDE * SIDE))


def test_the_jacobian_is_the_derivative_of_the_residuals(problem):
    p, q, s = problem

    def gradient(dr, p):
        return np.einsum("nij,ni->nj", residuals(p, q, s)[1], dr).reshape(p.shape)

    report = gradcheck.check(gradcheck.from_functions(lambda p: residuals(p, q, s)[0], gradient), {}, p)
    assert report, report


def test_a_field_is_the_sum_of_its_functions(problem):
    p, q, s = problem
    moved, _ = residuals(p, q, 0 * s)
    for n, i in ((0, 34), (1, 55), (2, 47)):
        x, y = ((place + 0.5) / SIDE * 2 - 1 for place in (i % SIDE, i // SIDE))
        cosine = [[np.cos(np.pi * m * (t + 1) / 2) for m in range(4)] for t in (x, y)]
        functions = [1, x, y, *(cosine[0][m] * cosine[1][k] for m in range(4) for k in range(4) if m + k >= 2)]
        at = [(t + p[n, a] @ functions + 1) * SIDE / 2 - 0.5 for a, t in enumerate((x, y))]
        assert moved[n, i] == pytest.approx(by_splines(q[n], *at), rel=1e-10)


def by_splines(image, x, y):
    """A sum of quadratic B-splines, pixel by pixel."""

    def spline(t):
        t = abs(t)
        return 0.75 - t * t if t < 0.5 else (1.5 - t) ** 2 / 2 if t < 1.5 else 0.0

    return sum(image[row, column] * spline(x - column) * spline(y - row) for row, column in np.ndindex(image.shape))


def test_residuals_are_what_is_moved_less_what_it_is_compared_with(problem):
    p, q, s = problem
    np.testing.assert_allclose(residuals(p, q, s)[0], residuals(p, q, 0 * s)[0] - s, rtol=1e-12, atol=1e-15)


def test_the_energy_is_the_sum_of_squares_in_standard_deviations(problem):
    p, _, _ = problem
    by_hand = [sum((p[n, a, k] / spreads()[k]) ** 2 for a in (0, 1) for k in range(K)) for n in range(3)]
    np.testing.assert_allclose(energies(p), by_hand, rtol=1e-12)
    assert spreads()[:4].tolist() == [0.1, 0.12, 0.12, 0.08 / 2]  # the first cosine has m, n = 0, 2


def test_a_step_ends_where_the_gradient_of_the_quadratic_is_zero(problem, rng):
    p, q, s = problem
    r, J = residuals(p, q, s)
    d = gauss_newton_step(p, r, J)
    after = r + np.einsum("nij,nj->ni", J, d.reshape(3, -1))
    gradient = np.einsum("nij,ni->nj", J, after) / VARIANCE + ((p + d) / spreads() ** 2).reshape(3, -1)
    size = np.abs(np.einsum("nij,ni->nj", J, r)).max()
    np.testing.assert_allclose(gradient, 0, atol=1e-9 * size)
    assert np.abs(d).max() > 1e-3


def test_every_step_goes_down_and_the_first_few_go_most_of_the_way(drawings, monkeypatch):
    def objective(steps):
        """F (N,) after so many steps."""
        monkeypatch.setattr(module, "STEPS", steps)
        fit = align(*drawings)
        return fit.residual * module.SIDE**2 / VARIANCE + fit.energy

    values = [objective(steps) for steps in range(STEPS + 1)]
    assert all((after <= before * (1 + 1e-6)).all() for before, after in pairwise(values))
    fallen, total = (np.sum(values[0] - end) for end in (values[STEPS], objective(5 * STEPS)))
    assert fallen > 0.9 * total


def test_a_drawing_that_was_warped_is_warped_back(drawings, rng):
    first, _ = drawings
    field = rng.standard_normal((len(first), 2, K)) * spreads() * 0.7
    moved = warped(first, field)
    fit = align(first, moved)  # reads the first as `field` does
    before, after = (np.square(images - moved).sum() for images in (first, warped(first, fit.field)))
    assert after < 0.1 * before


def test_drawings_of_one_character_leave_less_residual_and_energy(drawings):
    first, second = drawings
    same, other = align(first, second), align(first, np.roll(second, 1, axis=0))
    assert np.median(same.residual) < 0.5 * np.median(other.residual)
    assert np.median(same.energy) < np.median(other.energy)


def test_a_drawing_onto_itself_stays_as_it_is(drawings):
    first, _ = drawings
    fit = align(first, first)
    np.testing.assert_allclose(fit.field, 0, atol=1e-12)
    np.testing.assert_allclose(fit.residual, 0, atol=1e-12)
    np.testing.assert_array_equal(warped(first, np.zeros_like(fit.field)), first)


def test_the_strength_of_the_ink_does_not_matter(drawings):
    first, second = drawings
    faint, strong = align(0.3 * first, second), align(first, second)
    np.testing.assert_allclose(faint.field, strong.field, atol=1e-8)


def test_blank_paper_is_left_alone(drawings):
    first, _ = drawings
    fit = align(0 * first[:1], first[:1])
    assert np.abs(fit.field).max() == 0
    assert fit.residual == pytest.approx(0.25)
    assert np.isfinite(np.concatenate([part.ravel() for part in align(first[:1], 0 * first[:1])])).all()


def test_each_pair_is_fitted_by_itself(drawings):
    first, second = (np.tile(images, (2, 1, 1))[: BLOCK + 3] for images in drawings)
    together = align(first, second)
    alone = align(first[-1:], second[-1:])
    for part, own in zip(together, alone, strict=True):
        np.testing.assert_allclose(part[-1], own[0], rtol=1e-6, atol=1e-9)


def test_every_device_fits_alike(device, drawings):
    first, second = (images.astype(np.float32) for images in drawings)
    expected = align(first, second)
    found = align(to_device(first, device), to_device(second, device))
    for part, own in zip(found, expected, strict=True):
        assert to_host(part).dtype == np.float32
        np.testing.assert_allclose(to_host(part), own, rtol=1e-3, atol=1e-4)
    moved = to_host(warped(to_device(first, device), found.field))
    np.testing.assert_allclose(moved, warped(first, expected.field), atol=1e-3)


def test_no_pairs_are_no_fits():
    assert [len(part) for part in align(np.zeros((0, 48, 48)), np.zeros((0, 48, 48)))] == [0, 0, 0]


def test_the_functions_are_told_apart_by_any_image():
    assert basis(24).shape == (24 * 24, K)
    assert np.linalg.cond(basis(24)) < 10
