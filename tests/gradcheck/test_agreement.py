"""The forward derivative of a layer, and its NaNs and infinities."""

import numpy as np
import pytest

from scratchnet.errors import ScratchnetError
from scratchnet.gradcheck import check_jvp, check_nonfinite, from_functions


class Product:
    def __init__(self, wrong=1.0):
        self.wrong = wrong

    def forward(self, params, x):
        return params["w"] * x, (params["w"], x)

    def backward(self, dy, cache):
        w, x = cache
        return dy * w, {"w": (dy * x).sum(axis=0)}

    def jvp(self, tangents, cache):
        w, x = cache
        return tangents["x"] * w + self.wrong * tangents["w"] * x


def test_a_jvp_is_held_to_backward_in_each_tensor(rng):
    x, params = rng.standard_normal((4, 3)), {"w": rng.standard_normal(3)}
    assert check_jvp(Product(), params, x)
    report = check_jvp(Product(wrong=1.001), params, x)
    assert not report
    assert "jvp and backward disagree in w" in str(report)
    assert "disagree in x" not in str(report)


def test_a_layer_without_jvp_is_told_its_form():
    with pytest.raises(ScratchnetError, match=r"expected layer.jvp\(tangents, cache\)"):
        check_jvp(from_functions(np.sin, np.cos), {}, np.ones(3))


def test_a_jvp_of_another_shape_is_reported(rng):
    layer = Product()
    layer.jvp = lambda tangents, cache: tangents["x"].sum(axis=0)
    assert "jvp returned shape (3,), expected (4, 3) like y" in str(
        check_jvp(layer, {"w": np.ones(3)}, rng.standard_normal((4, 3)))
    )


def test_a_nan_that_comes_through_passes_and_one_that_is_hidden_does_not(rng):
    x = rng.standard_normal((4, 3))
    assert check_nonfinite(from_functions(np.sin, lambda dy, x: dy * np.cos(x)), {}, x)
    hidden = check_nonfinite(from_functions(np.sin, lambda dy, x: np.nan_to_num(dy * np.cos(x))), {}, x)
    assert "spoils y, but every gradient is finite" in str(hidden)
    made = check_nonfinite(from_functions(np.nan_to_num, lambda dy, x: dy * x / x), {}, x)
    assert "leaves y finite, but not dx" in str(made)
