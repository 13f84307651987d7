"""Batches in pieces: the gradients are those of the whole batch."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import copied, same_bits
from strict_array import strict
from tiny_batches import LOSSES, batch, both_kinds

from scratchnet.backend import CPU, to_device, traced_peak
from scratchnet.common.caches import gathered
from scratchnet.errors import NonFiniteError, ScratchnetError
from scratchnet.optim.sgd import SGD
from scratchnet.train import train_step
from scratchnet.train.gradients import gradients


@both_kinds
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-5)])
@pytest.mark.parametrize(("N", "pieces"), [(4, 2), (7, 3), (5, 5)])
def test_the_pieces_add_up_to_the_gradients_and_the_loss_of_the_whole(kind, dtype, tolerance, N, pieces, net, rng):
    net = replace(net, params=net.init(rng, dtype))
    given = batch(rng, kind, N, dtype)
    whole, cut = (gradients(net, LOSSES[kind], *given, n) for n in (1, pieces))
    assert list(cut.params) == list(whole.params)
    assert cut.loss == pytest.approx(whole.loss, rel=tolerance)
    largest = max(abs(gradient).max() for gradient in whole.params.values())  # some are sums that nearly cancel
    for name, expected in whole.params.items():
        assert cut.params[name].dtype == dtype
        assert abs(cut.params[name] - expected).max() <= tolerance * largest, name


@both_kinds
def test_one_piece_has_the_bits_of_forward_and_backward_by_hand(kind, tiny_net, rng):
    a, b, target = batch(rng, kind, 3, size=16)
    logits, cache = tiny_net.forward(tiny_net.params, a, b, training=True)
    value, loss_cache = LOSSES[kind].forward(logits, target)
    found = gradients(tiny_net, LOSSES[kind], a, b, target)
    assert found.loss == value
    assert same_bits(found.params, tiny_net.backward(LOSSES[kind].backward(1.0, loss_cache), cache, needs_dx=False)[1])
    assert same_bits(found.running_statistics, gathered(cache, "running_statistics"))


@both_kinds
def test_a_step_in_pieces_is_the_step(kind, net, device, rng):
    given, losses, after = batch(rng, kind, 5), [], []
    for place, pieces in ((CPU, 1), (device, 3)):
        there, optimiser = replace(net, params=copied(net.params)).to_device(place), SGD(0.1, weight_decay=1e-3)
        on_device = [to_device(each, place) for each in given]
        strict.synchronisations = 0
        losses.append([train_step(there, optimiser, *on_device, loss=LOSSES[kind], pieces=pieces) for _ in range(2)])
        assert strict.synchronisations == (2 if place.module is strict else 0)  # one a step
        after.append(copied(there.params))
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)
    for name, value in after[0].items():
        np.testing.assert_allclose(after[1][name], value, rtol=1e-3, atol=1e-5, err_msg=name)


def test_pieces_take_less_memory_than_the_whole(steady, rng):
    given = batch(rng, "pairs", 16)
    peaks = [traced_peak(lambda n=n: gradients(steady, LOSSES["pairs"], *given, n)) for n in (1, 2, 4)]
    assert peaks[1] < 0.7 * peaks[0]
    assert peaks[2] < 0.7 * peaks[1]


@both_kinds
def test_a_nan_in_the_last_piece_changes_nothing(kind, net, rng):
    a, b, target = batch(rng, kind, 4)
    optimiser = SGD(0.1)
    train_step(net, optimiser, a, b, target, loss=LOSSES[kind])
    params, velocity = copied(net.params), copied(optimiser.velocity)
    a[-1].flat[5] = np.nan
    with pytest.raises(NonFiniteError, match=r"in the images a\["):
        train_step(net, optimiser, a, b, target, loss=LOSSES[kind], pieces=3)
    assert same_bits(net.params, params)
    assert same_bits(optimiser.velocity, velocity)


def test_batch_norm_is_refused_in_pieces_and_nothing_changes(tiny_net, rng):
    before, optimiser = copied(tiny_net.params), SGD(0.1)
    with pytest.raises(ScratchnetError, match=r"^batch norm needs the whole batch: .* lower batch_size$"):
        train_step(tiny_net, optimiser, *batch(rng, "pairs", 4, size=16), pieces=2)
    assert same_bits(tiny_net.params, before)
    assert optimiser.velocity == {}


@pytest.mark.parametrize("pieces", [-1, 0, 5])
def test_pieces_that_no_batch_has_are_refused(pieces, net, rng):
    with pytest.raises(ScratchnetError, match=f"pieces={pieces} of a batch of 4: give 1 to 4"):
        gradients(net, LOSSES["pairs"], *batch(rng, "pairs", 4), pieces)
