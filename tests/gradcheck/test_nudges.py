"""What is rounding, and what is not."""

import numpy as np

from scratchnet.gradcheck import check, from_functions


def near_one(seed):
    return 1 + 10.0 ** np.random.default_rng(seed).uniform(-7, 0, 20)


def test_rounding_that_neighbours_share_is_rounding():
    """x * x - 1 loses half of the digits near 1, and the same ones at x one unit in the last place further."""
    for seed in range(20):
        right = from_functions(np.arccosh, lambda dy, x: dy / np.sqrt(x * x - 1))
        report = check(right, {}, near_one(seed), seed=seed)
        assert report, report


def test_a_mistake_of_the_same_size_where_nothing_is_rounded_is_none():
    for seed in range(20):
        wrong = from_functions(np.arccosh, lambda dy, x: (1 + 1e-8) * dy / np.sqrt((x - 1) * (x + 1)))
        assert not check(wrong, {}, near_one(seed), seed=seed)
