"""Caches report the side of each kink: what central differences compare at both ends of a step."""

import numpy as np
import pytest

from scratchnet.common.caches import gathered
from scratchnet.gradcheck.differences import arrays_in
from scratchnet.layers import Linear, MaxPool2d, ReLU, WeightedL1
from scratchnet.planted.cases import CASES


def branches_at(layer, params, *inputs, **options):
    return arrays_in(gathered(layer.forward(params, *inputs, **options)[1], "branches"))


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


HEAD = {"weight": np.ones(4), "bias": np.zeros(1)}


@pytest.mark.parametrize(
    ("layer", "params", "shapes", "entry"),
    [
        (ReLU(), {}, [(3, 4)], (1, 2)),
        (MaxPool2d(2), {}, [(4, 6, 2, 3)], (3, 1, 0, 2)),
        (MaxPool2d(3, stride=1), {}, [(4, 6, 2, 3)], (2, 2, 1, 1)),
        (WeightedL1(4), HEAD, [(3, 4), (3, 4)], (2, 0)),
    ],
)
def test_the_branches_change_when_a_kink_is_crossed_and_only_then(layer, params, shapes, entry, rng):
    x, *others = (rng.standard_normal(shape) for shape in shapes)
    here = branches_at(layer, params, x, *others)
    assert same(here, branches_at(layer, params, x + 1e-9, *(other + 1e-9 for other in others)))
    for side in (-10.0, 10.0):  # of all other numbers; one of them is where the entry is now
        x[entry] = side
        changed = branches_at(layer, params, x, *others)
        x[entry] = -side
        assert not same(changed, branches_at(layer, params, x, *others))


def test_a_smooth_layer_has_none(rng):
    layer = Linear(3, 2)
    assert branches_at(layer, layer.init(rng, np.float64), rng.standard_normal((4, 3))) == []


@pytest.mark.parametrize("name", [name for name in CASES if "Siamese" in name])
def test_a_network_has_those_of_all_its_layers(name, rng):
    case = CASES[name]
    params, inputs = case.draw(rng)
    assert len(branches_at(case.layer, params, *inputs, **case.options)) == 4  # ReLU, pool, ReLU, head
