"""Taylor remainders fall at the rate of their order for right gradients, and at rate 1 for wrong ones."""

import numpy as np
import pytest

from scratchnet.errors import ScratchnetError
from scratchnet.gradcheck import from_functions, taylor
from scratchnet.planted.stranger_layers import LSTM


def sine(factor=1.0):
    return from_functions(np.sin, lambda dy, x: factor * dy * np.cos(x))


@pytest.mark.parametrize("order", [1, 2])
def test_the_rate_of_a_right_gradient_is_one_more_than_its_order(order, rng):
    for seed in range(10):
        found = taylor(sine(), {}, rng.standard_normal((4, 5)), order=order, seed=seed)
        assert found, found
        assert found.rate == pytest.approx(order + 1, abs=0.2)
        assert str(found).startswith(f"ok    x: remainder of order {order} falls at rate")


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("factor", [2, -1, 1.001])
def test_the_rate_of_a_wrong_gradient_is_one(order, factor, rng):
    for seed in range(10):
        found = taylor(sine(factor), {}, rng.standard_normal((4, 5)), order=order, seed=seed)
        assert not found
        assert found.rate == pytest.approx(1, abs=0.3)
        assert "1 is the rate of a wrong gradient" in str(found)


def test_a_linear_forward_has_no_remainder(rng):
    found = taylor(from_functions(lambda x: 2 * x, lambda dy, x: 2 * dy), {}, rng.standard_normal(5))
    assert found
    assert "forward is linear here" in str(found)


def test_any_tensor_of_any_layer_is_asked_by_name(rng):
    layer = LSTM()
    params = layer.init(rng)
    assert taylor(layer, params, rng.standard_normal((4, 2, 3)), of="wh").name == "wh"
    assert taylor(layer, params, rng.standard_normal((4, 2, 3)), of="x1").name == "x"


@pytest.mark.parametrize(
    ("arguments", "answer"), [({"order": 3}, "expected 1 or 2"), ({"of": "y"}, "no tensor is called y")]
)
def test_wrong_questions_are_refused(arguments, answer):
    with pytest.raises(ScratchnetError, match=answer):
        taylor(sine(), {}, np.ones(3), **arguments)
