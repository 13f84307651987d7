"""Hypothesis shrinks to the smallest shape that fails; the fixture works inside @given."""

import numpy as np
import pytest

from scratchnet.gradcheck import check, from_functions

hypothesis = pytest.importorskip("hypothesis", reason="needs hypothesis: pip install hypothesis")
from hypothesis import find, given, settings  # noqa: E402, only where it is installed

from scratchnet.gradcheck import strategies  # noqa: E402

FAILS_FROM_THREE_COLUMNS = from_functions(
    lambda x: x * x, lambda dy, x: 2 * dy * x * np.where(np.arange(x.shape[1]) < 2, 1, 2)
)


def test_a_failure_shrinks_to_the_smallest_shape():
    shape = find(
        strategies.shapes(2),
        lambda shape: not check(FAILS_FROM_THREE_COLUMNS, {}, np.ones(shape), contract=False),
        settings=settings(database=None),
    )
    assert shape == (1, 3)


@settings(max_examples=10, database=None, deadline=None)
@given(point=strategies.points(None, strategies.shapes((1, 3)), (2,)))
def test_points_have_an_array_for_each_input(point):
    first, second = point
    assert 1 <= first.ndim <= 3
    assert second.shape == (2,)


class Scale:
    def __init__(self, factor):
        self.factor = factor

    def forward(self, params, x):
        return self.factor * x, None

    def backward(self, dy, cache):
        return self.factor * dy, {}


@settings(max_examples=10, database=None, deadline=None)
@given(layer=strategies.layers(Scale, factor=hypothesis.strategies.integers(1, 3)), x=strategies.arrays((2, 3)))
def test_the_fixture_works_inside_given(gradcheck, layer, x):
    assert gradcheck(layer, x)
