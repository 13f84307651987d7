"""Schedules: the factor of the learning rate and the momentum, epoch by epoch."""

import pytest

from scratchnet.optim import Cosine, Decay, MomentumRise, WarmUp


@pytest.mark.parametrize(("epoch", "factor"), [(0, 1), (1, 0.99), (2, 0.9801), (100, 0.99**100)])
def test_a_decay_multiplies_by_its_factor_every_epoch(epoch, factor):
    assert Decay(0.99)(epoch) == pytest.approx(factor, rel=1e-12)


@pytest.mark.parametrize(
    ("epoch", "factor"), [(0, 1), (1, (2 + 2**0.5) / 4), (2, 0.5), (3, (2 - 2**0.5) / 4), (4, 0), (9, 0)]
)
def test_a_cosine_falls_to_zero_and_stays_there(epoch, factor):
    assert Cosine(epochs=4)(epoch) == pytest.approx(factor, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("schedule", [Decay(0.5), Cosine(epochs=8)])
def test_a_warm_up_rises_linearly_to_the_schedule(schedule):
    for epoch, share in enumerate([0.25, 0.5, 0.75, 1, 1]):
        assert WarmUp(3, schedule)(epoch) == pytest.approx(share * schedule(epoch), rel=1e-12)


@pytest.mark.parametrize(("epoch", "share"), [(0, 0), (1, 0.25), (3, 0.75), (4, 1), (50, 1)])
@pytest.mark.parametrize("final", [0.9, 0.7, 0.5])
def test_momentum_rises_linearly_to_its_final_value(final, epoch, share):
    assert MomentumRise(initial=0.5, epochs=4)(epoch, final) == pytest.approx(0.5 + share * (final - 0.5), rel=1e-12)
