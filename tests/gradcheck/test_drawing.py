"""Random points: shapes are drawn for, arrays are taken as they are."""

import numpy as np
import pytest

from scratchnet.backend import array_module
from scratchnet.errors import ScratchnetError
from scratchnet.gradcheck import draw
from scratchnet.layers import BatchNorm2d, Linear, Sigmoid


def test_shapes_become_gaussian_numbers_and_arrays_stay(rng):
    x = rng.standard_normal((3, 5))
    params, (same, drawn) = draw(None, x, (200, 50), params={"weight": x, "bias": ()})
    assert same is x
    assert params["weight"] is x
    assert params["bias"].shape == ()
    assert drawn.dtype == np.float64
    assert abs(drawn.mean()) < 0.05
    assert drawn.std() == pytest.approx(1, abs=0.05)


def test_no_parameter_stays_at_its_initial_value():
    params, _ = draw(BatchNorm2d(4), seed=3)
    assert all(value.dtype == np.float64 for value in params.values())
    assert not np.any(params["bias"] == 0)
    assert not np.any(params["weight"] == 1)


def test_the_seed_decides():
    def first(seed):
        return draw(Linear(5, 2), (3, 5), seed=seed)[0]["weight"]

    np.testing.assert_array_equal(first(1), first(np.random.default_rng(1)))
    assert np.all(first(1) != first(2))


def test_a_layer_without_init_has_no_parameters():
    assert draw(object(), (3, 5))[0] == {}


def test_what_is_drawn_is_put_on_the_device(device):
    params, inputs = draw(Linear(5, 2), (3, 5), device=device)
    assert array_module(*inputs, *params.values()) is device.module
    params, inputs = draw(Sigmoid(), (3, 5), params={"scale": (2,)}, device=device)
    assert array_module(*inputs, *params.values()) is device.module


def test_a_shape_in_a_list_is_refused_with_the_right_call():
    with pytest.raises(ScratchnetError, match=r"a shape is a tuple: \(3, 5\), not \[3, 5\]"):
        draw(Sigmoid(), [3, 5])
