"""The error of differences over the step: a valley with the slopes of theory, flat where the gradient is wrong."""

import sys

import numpy as np
import pytest

from scratchnet.errors import ScratchnetError, install_extra
from scratchnet.gradcheck import sweep
from scratchnet.layers import Linear, Sigmoid


def test_the_slopes_are_those_of_truncation_and_of_rounding(rng):
    for seed in range(5):
        found = sweep(Sigmoid(), {}, rng.standard_normal((6, 5)), seed=seed)
        assert found.truncation_slope(2) == pytest.approx(2, abs=0.2)
        assert found.truncation_slope(4) == pytest.approx(4, abs=0.4)
        for order in (2, 4):
            assert found.rounding_slope(order) == pytest.approx(-1, abs=0.2)
        assert found.best(2)[1] < 1e-9
        assert found.best(4)[1] < 1e-11
        assert found.best(4)[0] > found.best(2)[0]


def test_a_wrong_gradient_has_a_flat_error(rng):
    class Wrong:
        def forward(self, params, x):
            return Sigmoid().forward(params, x)

        def backward(self, dy, cache):
            dx, grads = Sigmoid().backward(dy, cache)
            return 1.01 * dx, grads

    found = sweep(Wrong(), {}, rng.standard_normal((6, 5)))
    middle = (found.steps < 1e-2) & (found.steps > 1e-8)
    errors = found.errors[2][middle]
    assert errors.max() < 1.1 * errors.min()


def test_the_text_shows_both_orders_and_their_slopes(rng):
    text = str(sweep(Sigmoid(), {}, rng.standard_normal((6, 5))))
    assert "order 2: best" in text
    assert "slopes +2.0 (truncation)" in text
    assert max(len(line) for line in text.splitlines()) <= 120
    assert 10 < len(text.splitlines()) <= 25


def test_any_tensor_can_be_swept_by_name(rng):
    layer = Linear(4, 3)
    params, x = layer.init(rng, np.float64), rng.standard_normal((5, 4))
    found = sweep(layer, params, x, of="weight")
    assert found.name == "weight"
    assert np.isnan(found.truncation_slope(2))  # what is linear has no truncation error
    assert "weight" in str(found)
    with pytest.raises(ScratchnetError, match="no tensor is called scale: choose from x, weight, bias"):
        sweep(layer, params, x, of="scale")


def test_a_zero_gradient_has_no_relative_error(rng):
    with pytest.raises(ScratchnetError, match="the gradient of x is zero or missing here"):
        sweep(Linear(4, 3), {"weight": np.zeros((4, 3)), "bias": np.zeros(3)}, rng.standard_normal((5, 4)))


def test_a_picture_is_saved_with_matplotlib(tmp_path, rng):
    pytest.importorskip("matplotlib", reason=f"draws with matplotlib, an extra; {install_extra('study')}")
    path = tmp_path / "sweep.png"
    sweep(Sigmoid(), {}, rng.standard_normal((6, 5))).save(path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_a_picture_is_a_clear_error(tmp_path, monkeypatch, rng):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ScratchnetError, match=r'needs matplotlib.*in your clone: pip install -e "\.\[study\]"'):
        sweep(Sigmoid(), {}, rng.standard_normal((2, 3))).save(tmp_path / "sweep.png")
