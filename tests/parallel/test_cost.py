"""The model of a step's cost: what it says where the answer is known."""

from dataclasses import replace

import pytest

from scratchnet.parallel.cost import StepCost

COST = StepCost(work=8.0, fixed=1.0, crowding=1.5, messages=10, bytes=600, latency=0.1, bandwidth=100.0)


def test_one_rank_computes_and_sums_nothing():
    assert COST.step(1, processors=1) == COST.step(1, processors=4) == 9.0


@pytest.mark.parametrize(
    ("ranks", "processors", "expected"), [(2, 2, 1.5 * 5), (4, 4, 1.5 * 3), (4, 2, 1.5 * 3 * 2), (2, 4, 1.5 * 5)]
)
def test_ranks_share_the_work_and_each_has_what_all_have(ranks, processors, expected):
    assert COST.compute(ranks, processors) == expected


def test_a_ring_sends_almost_everything_twice():
    assert COST.sums(2) == pytest.approx(10 * 0.1 + 2 * 1 / 2 * 600 / 100)
    assert COST.sums(4) == pytest.approx(10 * 0.1 + 2 * 3 / 4 * 600 / 100)


def test_efficiency_falls_with_what_is_not_shared():
    ideal = replace(COST, fixed=0.0, crowding=1.0, latency=0.0, bandwidth=float("inf"))
    assert ideal.efficiency(16, processors=16) == pytest.approx(1.0)
    falling = [COST.efficiency(ranks, processors=ranks) for ranks in (1, 2, 4, 8)]
    assert falling == sorted(falling, reverse=True)
    assert falling[0] == 1.0
