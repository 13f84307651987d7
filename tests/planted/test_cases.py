"""The cases: the points that they draw and redraw, and whole networks by name."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest

from scratchnet.errors import CheckpointError
from scratchnet.layers import Linear, ReLU
from scratchnet.models import networks as models
from scratchnet.planted import cases as gradcases
from scratchnet.planted.cases import Case


def test_a_case_draws_the_same_point_from_the_same_seed():
    case = Case(Linear(5, 3), ((4, 5),))
    (params, (x,)), (again, (x_again,)) = (case.draw(np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(x, x_again)
    np.testing.assert_array_equal(params["weight"], again["weight"])


def test_a_case_tries_another_point_where_a_gradient_is_zero():
    """ReLU of a single negative number has a zero gradient; some seeds draw one."""
    case = Case(ReLU(), ((1,),))
    dead = [seed for seed in range(10) if case.draw(np.random.default_rng(seed))[1][0][0] < 0]
    proved = [seed for seed in dead if not case.check(seed).vacuous]
    assert len(dead) > 1
    assert len(proved) > len(dead) / 2


@dataclass(frozen=True)
class OfOneParameter:
    """y = w x with w = 0 initially; a case moves every parameter away from its initial value."""

    def init(self, rng: np.random.Generator, dtype: Any = np.float32) -> dict:
        return {"w": np.zeros(1, dtype)}

    def forward(self, params, x):
        return params["w"] * x, (params["w"], x)

    def backward(self, dy, cache):
        return dy * cache[0], {"w": (dy * cache[1]).sum(axis=0)}


def test_no_parameter_is_checked_at_its_initial_value():
    assert Case(OfOneParameter(), ((3, 1),)).check(0).vacuous == ()


@pytest.mark.parametrize("name", ["koch2015", "compact"])
def test_a_whole_network_is_checked_by_name(name, monkeypatch):
    small = {
        "koch2015": partial(models.koch2015, image_size=65, channels=(2, 3, 2, 3), features=4),
        "compact": partial(models.compact, image_size=16, width=2, features=3),
    }
    monkeypatch.setitem(models.ARCHITECTURES, name, small[name])
    report = gradcases.whole_network(name)
    assert report, report
    net = small[name](device="cpu")
    expected = {"a", "b", *(key for key in net.params if ".running_" not in key)}
    assert {tensor.name for tensor in report.tensors} == expected
    assert all(key.endswith("bias") and name == "compact" for key in report.vacuous)  # batch norm takes them away


def test_an_unknown_network_is_a_clear_error():
    with pytest.raises(CheckpointError, match="unknown architecture 'vgg': there are koch2015, compact"):
        gradcases.whole_network("vgg")
