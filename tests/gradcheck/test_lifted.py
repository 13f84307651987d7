"""Code for real numbers on lifted arrays: its value stays, and its imaginary part is the derivative."""

import numpy as np
import pytest

from scratchnet.gradcheck.lifted import Lifted, lift, lower
from scratchnet.gradcheck.lifted_functions import LiftedForward


def into_copy(x):
    x = x.copy()
    x[x < 0] = 0
    return x


FUNCTIONS = {
    "mean of abs": lambda x: np.mean(np.abs(x)),
    "std": lambda x: np.std(x, axis=0),
    "var with ddof": lambda x: x.var(axis=1, ddof=1, keepdims=True),
    "norm": np.linalg.norm,
    "norm of rows": lambda x: np.linalg.norm(x, axis=1),
    "norm 3": lambda x: np.linalg.norm(x, ord=3, axis=0),
    "largest norm": lambda x: np.linalg.norm(x, np.inf, axis=1),
    "nuclear norm": lambda x: np.linalg.norm(x, "nuc"),
    "matrix norm 1": lambda x: np.linalg.norm(x, 1),
    "clip": lambda x: np.clip(x, -0.5, 0.5),
    "clip from below": lambda x: x.clip(0),
    "median": lambda x: np.median(x, axis=0),
    "sort": lambda x: np.sort(x, axis=1),
    "maximum": lambda x: np.maximum(x, 0),
    "fmin": lambda x: np.fmin(x, x.T),
    "where": lambda x: np.where(x > 0, x, 0.1 * x),
    "mask": into_copy,
    "cube": lambda x: x**3,
    "power of abs": lambda x: np.abs(x) ** x,
    "arctan2": lambda x: np.arctan2(x, x.T + 3),
    "hypot": lambda x: np.hypot(x, x.T),
    "cbrt": np.cbrt,
    "logaddexp": lambda x: np.logaddexp.reduce(x, axis=1),
    "logaddexp2": lambda x: np.logaddexp2(x, x.T),
    "remainder": lambda x: np.remainder(x, 0.3),
    "copysign": lambda x: np.copysign(x, x.T),
    "sign": lambda x: np.sign(x) * x,
    "floor": lambda x: x - np.floor(x),
    "round": lambda x: x * np.round(x),
    "degrees": np.degrees,
    "quantile": lambda x: np.quantile(x, 0.3, axis=0),
    "percentile": lambda x: np.percentile(x, 30),
    "covariance": np.cov,
    "correlate": lambda x: np.correlate(x[0], x[1], "full"),
    "vdot": lambda x: np.vdot(x, x.T),
    "log determinant": lambda x: np.linalg.slogdet(x)[1],
    "Cholesky": lambda x: np.linalg.cholesky(x @ x.T + np.eye(4)),
    "eigenvalues": lambda x: np.linalg.eigvalsh(x + x.T),
    "eigenvectors": lambda x: np.abs(np.linalg.eigh(x + x.T)[1]),
    "singular values": lambda x: np.linalg.svd(x, compute_uv=False),
    "written out": lambda x: np.add(x, 1, out=np.empty_like(x)) * x,
    "as floats": lambda x: x.astype(np.float64) ** 2,
    "real part": lambda x: x * x.real + x.imag,
    "conjugate": lambda x: x * x.conj() * np.conj(x),
    "branch": lambda x: 2 * x if x.sum() > 0 else x,
    "stacked": lambda x: np.stack([np.abs(x), x]).max(axis=0),
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_the_imaginary_part_is_the_derivative(function, rng):
    x, direction = rng.standard_normal((2, 4, 4))
    h = 1e-6
    expected = (function(x + h * direction) - function(x - h * direction)) / (2 * h)
    y = lower(np.asanyarray(function(lift(x + 1e-30j * direction))))
    np.testing.assert_allclose(np.real(y), function(x), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(np.imag(y) / 1e-30, expected, rtol=1e-7, atol=1e-7)


REFUSED = {
    "float32": lambda x: x.astype(np.float32),
    "singular vectors": lambda x: np.linalg.svd(x)[0],
    "Fourier": np.fft.fft,
    "pseudoinverse": np.linalg.pinv,
}


@pytest.mark.parametrize("function", REFUSED.values(), ids=REFUSED)
def test_what_has_no_rule_raises(function, rng):
    with pytest.raises(TypeError):
        function(lift(rng.standard_normal((4, 4)) + 0j))


def test_whole_numbers_and_masks_stay_what_they_are():
    assert lift({"n": np.arange(3), "mask": np.array([True])})["n"].dtype.kind == "i"
    assert (lift(np.array([1.0, -2.0])) > 0).tolist() == [True, False]
    assert type(lift(np.array([1.0, -2.0])) > 0) is np.ndarray


def test_a_lifted_forward_leaves_real_arrays_alone():
    seen = []

    class Layer:
        def forward(self, params, x):
            seen.append(type(x))
            return np.abs(x), None

    layer = LiftedForward(Layer(), ("x",))
    assert layer.forward({}, np.array([-1.0]))[0].dtype == np.float64
    assert type(layer.forward({}, np.array([-1.0 + 0j]))[0]) is np.ndarray
    assert seen == [np.ndarray, Lifted]
