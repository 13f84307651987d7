"""Batches in pieces: the gradients of the whole, the forecast of memory, and the cap that chooses the pieces."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from helpers import copied, same_bits
from strict_array import STRICT, strict

from scratchnet import backend
from scratchnet.backend import CPU, to_device, traced_peak
from scratchnet.errors import BackendError, NonFiniteError, ScratchnetError
from scratchnet.layers import Conv2d, Flatten, Linear, Sequential, WeightedL1
from scratchnet.losses import NWayCrossEntropy, PairCrossEntropy
from scratchnet.models.networks import koch2015
from scratchnet.models.siamese import SiameseNet
from scratchnet.optim.sgd import SGD
from scratchnet.train import train_step
from scratchnet.train.batches import Batch
from scratchnet.train.gradients import GIB, Forecast, gradients, plan

SIZE = 65
LOSSES = {"pairs": PairCrossEntropy(), "episodes": NWayCrossEntropy()}
both_kinds = pytest.mark.parametrize("kind", LOSSES)


@pytest.fixture
def net():
    """The paper's layers, without batch norm, in miniature."""
    return koch2015(1, image_size=SIZE, channels=(2, 3, 2, 3), features=4)


@pytest.fixture
def steady():
    """One whose convolution takes the same algorithm for any batch, and so memory in proportion."""
    encoder = Sequential(
        {"conv": Conv2d(1, 4, 3, algorithm="offsets"), "flatten": Flatten(), "linear": Linear(4 * (SIZE - 2) ** 2, 2)}
    )
    net = SiameseNet(encoder, WeightedL1(2), SIZE)
    return replace(net, params=net.init(np.random.default_rng(2)))


@pytest.fixture
def alone(monkeypatch, tmp_path):
    """A process that has taken no memory but that of its network, so that caps mean the same in any test run."""
    monkeypatch.setattr(backend.memory, "STATM", tmp_path / "absent")


def batch(rng, kind, N, dtype=np.float32, size=SIZE):
    """N pairs, or N episodes of three queries and two supports."""
    if kind == "pairs":
        a, b = rng.random((2, N, size, size)).astype(dtype)
        return a, b, (np.arange(N) % 2).astype(dtype)
    a, b = rng.random((N, 3, 1, size, size)).astype(dtype), rng.random((N, 1, 2, size, size)).astype(dtype)
    return a, b, np.eye(2, dtype=dtype)[rng.integers(0, 2, (N, 3))]


# The sum


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
    assert same_bits(found.params, tiny_net.backward_params(LOSSES[kind].backward(1.0, loss_cache), cache))
    assert same_bits(found.running_statistics, tiny_net.running_statistics(cache))


@both_kinds
def test_a_step_in_pieces_is_the_step(kind, net, device, rng):
    given, losses, after = batch(rng, kind, 5), [], []
    for place, pieces in ((CPU, 1), (device, 3)):
        there, optimiser = replace(net, params=copied(net.params)).to_device(place), SGD(0.1, weight_decay=1e-3)
        on_device = [to_device(each, place) for each in given]
        strict.synchronisations = 0
        losses.append([train_step(there, optimiser, *on_device, LOSSES[kind], pieces) for _ in range(2)])
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
def test_a_loss_that_is_no_number_in_the_last_piece_changes_nothing(kind, net, rng):
    a, b, target = batch(rng, kind, 4)
    optimiser = SGD(0.1)
    train_step(net, optimiser, a, b, target, LOSSES[kind])
    params, velocity = copied(net.params), copied(optimiser.velocity)
    a[-1].flat[5] = np.nan
    with pytest.raises(NonFiniteError, match=r"in the images a\["):
        train_step(net, optimiser, a, b, target, LOSSES[kind], 3)
    assert same_bits(net.params, params)
    assert same_bits(optimiser.velocity, velocity)


def test_batch_norm_is_refused_in_pieces_and_nothing_changes(tiny_net, rng):
    before, optimiser = copied(tiny_net.params), SGD(0.1)
    with pytest.raises(ScratchnetError, match=r"^batch norm sees the whole batch: .* lower batch_size$"):
        train_step(tiny_net, optimiser, *batch(rng, "pairs", 4, size=16), pieces=2)
    assert same_bits(tiny_net.params, before)
    assert optimiser.velocity == {}


@pytest.mark.parametrize("pieces", [-1, 0, 5])
def test_pieces_that_no_batch_has_are_refused(pieces, net, rng):
    with pytest.raises(ScratchnetError, match=f"pieces={pieces} of a batch of 4: give 1 to 4"):
        gradients(net, LOSSES["pairs"], *batch(rng, "pairs", 4), pieces)


# The forecast


def test_a_forecast_goes_through_its_measurements_in_straight_lines():
    forecast = Forecast(batch=8, standing=1000, gradients=50, peaks={1: 10, 2: 30, 4: 40})
    assert [forecast.peak(size) for size in (1, 2, 3, 4, 6, 8)] == [10, 30, 35, 40, 50, 60]
    assert forecast.step(3) == 1000 + 35 + 50
    assert forecast.step(8) == 1000 + 60  # one piece has nothing to add up


@both_kinds
def test_the_forecast_of_a_larger_batch_is_what_it_takes(kind, steady, rng, alone):
    a, b, target = batch(rng, kind, 16)
    loss = LOSSES[kind]
    weights = sum(value.nbytes for value in steady.params.values())

    def taken(size):
        return traced_peak(lambda: gradients(steady, loss, a[:size], b[:size], target[:size])) + 2 * weights

    whole = plan(steady, SGD(0.1), loss, Batch(a, b, target, 0), 100 * GIB)
    assert (whole.pieces, whole.size) == (1, 16)
    assert whole.bytes == pytest.approx(taken(16), rel=0.02)
    cut = plan(steady, SGD(0.1), loss, Batch(a, b, target, 0), 0.6 * whole.bytes)
    assert cut.bytes == pytest.approx(taken(cut.size) + weights, rel=0.1)


def test_what_the_process_has_taken_and_momentum_that_is_there_count_once(steady, rng, monkeypatch, tmp_path):
    a, b, target = batch(rng, "pairs", 2)

    def step(optimiser):
        return plan(steady, optimiser, LOSSES["pairs"], Batch(a, b, target, 4), 100 * GIB).bytes

    monkeypatch.setattr(backend.memory, "STATM", tmp_path / "statm")
    expected = {}
    for pages in (10_000, 30_000):
        backend.memory.STATM.write_text(f"99999999 {pages} 7 7 0 7 0\n")
        expected[pages] = step(SGD(0.1))
    page = os.sysconf("SC_PAGE_SIZE")
    assert expected[30_000] - expected[10_000] == pytest.approx(20_000 * page, rel=1e-3)
    resumed = SGD(0.1)
    train_step(steady, resumed, a, b, target)
    moving = sum(value.nbytes for value in resumed.velocity.values())
    assert expected[30_000] - step(resumed) == pytest.approx(moving, abs=1000)


# The cap


@both_kinds
def test_the_cap_chooses_the_fewest_pieces_that_fit(kind, steady, rng, alone):
    a, b, target = batch(rng, kind, 12)
    items = Batch(a, b, target, 24)
    whole, found = plan(steady, SGD(0.1), LOSSES[kind], items, GIB).bytes, []
    for share in (1.01, 0.9, 0.6, 0.4, 0.25):
        cut = plan(steady, SGD(0.1), LOSSES[kind], items, share * whole)
        assert cut.bytes <= share * whole
        assert cut.size == -(-12 // cut.pieces)
        assert cut.images == 2 * cut.size
        found.append(cut.pieces)
    assert found[:2] == [1, 2]
    assert found == sorted(found)
    assert found[-1] >= 4


def test_nothing_is_tried_that_is_forecast_not_to_fit(steady, rng, alone, monkeypatch):
    items, sizes = Batch(*batch(rng, "pairs", 16), 32), []

    def a_megabyte_a_pair(step):
        sizes.append(len(step.args[-1]))
        return 1_000_000 * sizes[-1]

    monkeypatch.setitem(backend.device._devices, "cpu", replace(CPU, peak_memory=a_megabyte_a_pair))
    weights = sum(value.nbytes for value in steady.params.values())
    cut = plan(steady, SGD(0.1), LOSSES["pairs"], items, 3 * weights + 7_000_000)
    assert sizes == [1, 2, 4, 6]  # 8 would take too much
    assert (cut.pieces, cut.size) == (3, 6)


def test_a_piece_that_takes_more_than_its_neighbours_is_found_out(steady, rng, alone, monkeypatch):
    items = Batch(*batch(rng, "pairs", 16), 32)

    def more_for_six(step):
        size = len(step.args[-1])
        return 1_000_000 * size + 9_000_000 * (size == 6)

    monkeypatch.setitem(backend.device._devices, "cpu", replace(CPU, peak_memory=more_for_six))
    weights = sum(value.nbytes for value in steady.params.values())
    cut = plan(steady, SGD(0.1), LOSSES["pairs"], items, 3 * weights + 7_000_000)
    assert (cut.pieces, cut.size, cut.bytes) == (4, 4, 3 * weights + 4_000_000)


def test_a_cap_below_one_pair_is_refused_with_the_least_that_will_do(steady, rng, alone):
    items = Batch(*batch(rng, "pairs", 4), 8)
    with pytest.raises(ScratchnetError, match=r"^the smallest step takes about .* GiB") as refusal:
        plan(steady, SGD(0.1), LOSSES["pairs"], items, 1000)
    least = float(re.search(r"give (\d+\.\d\d) or more", str(refusal.value))[1])
    assert plan(steady, SGD(0.1), LOSSES["pairs"], items, least * GIB).bytes <= least * GIB


def test_batch_norm_goes_with_a_cap_that_fits_the_whole_batch_and_no_other(tiny_net, rng, alone):
    items = Batch(*batch(rng, "pairs", 64, size=16), 128)
    whole = plan(tiny_net, SGD(0.1), LOSSES["pairs"], items, GIB)
    assert (whole.pieces, whole.size, whole.images) == (1, 64, 128)
    with pytest.raises(ScratchnetError) as refusal:
        plan(tiny_net, SGD(0.1), LOSSES["pairs"], items, 0.9 * whole.bytes)
    said = re.fullmatch(
        r"batch norm sees the whole batch, which takes about [\d.]+ GiB and --memory allows [\d.]+: "
        r"lower batch_size to (\d+), or give [\d.]+ or more",
        str(refusal.value),
    )
    smaller = int(said[1])
    assert 48 <= smaller < 64
    fitting = Batch(*(each[:smaller] for each in items[:3]), 2 * smaller)
    assert plan(tiny_net, SGD(0.1), LOSSES["pairs"], fitting, 0.9 * whole.bytes).pieces == 1


# A device with a memory of its own

MEGABYTE = 1_000_000


@pytest.fixture
def device_with(monkeypatch):
    """Makes a device with so many free bytes on which a pair takes a megabyte, and room for no more than some pairs."""

    def make(free, room_for=1000):
        def peak(step):
            if (size := len(step.args[-1])) > room_for:
                raise MemoryError(f"no room for {size}")
            return MEGABYTE * size

        device = replace(STRICT, name="small", held_memory=lambda: 0, peak_memory=peak, free_memory=lambda: free)
        monkeypatch.setitem(backend.device._devices, "small", device)
        return device

    return make


def planned(net, device, rng, N, **options):
    """A plan for N pairs on a device, and the bytes of the network's parameters."""
    there = net.to_device(device)
    items = Batch(*(to_device(each, device) for each in batch(rng, "pairs", N, size=net.image_size)), 2 * N)
    weights = sum(value.nbytes for value in net.params.values())
    return plan(there, SGD(0.1), LOSSES["pairs"], items, **options), weights


@pytest.mark.parametrize(("megabytes", "pieces"), [(100, 1), (17, 2), (9, 3), (3, 8)])
def test_without_a_cap_a_batch_is_cut_to_what_the_device_has_free_but_for_a_margin(
    megabytes, pieces, steady, rng, device_with
):
    cut, weights = planned(steady, device_with(megabytes * MEGABYTE), rng, 16)
    assert cut.pieces == pieces
    assert cut.bytes == (3 if pieces > 1 else 2) * weights + MEGABYTE * cut.size <= 0.9 * megabytes * MEGABYTE


def test_a_cap_that_is_given_counts_and_not_what_is_free(steady, rng, device_with):
    assert planned(steady, device_with(0), rng, 16, cap=GIB)[0].pieces == 1


def test_a_piece_for_which_there_is_no_memory_is_not_taken_whatever_the_forecast(steady, rng, device_with):
    cut, _ = planned(steady, device_with(GIB, room_for=7), rng, 16)
    assert (cut.pieces, cut.size) == (3, 6)


def test_a_full_device_is_named_with_the_batch_size_that_fits_batch_norm(tiny_net, rng, device_with):
    device = device_with(20 * MEGABYTE)
    with pytest.raises(ScratchnetError) as refusal:
        planned(tiny_net, device, rng, 64)
    assert str(refusal.value) == (
        "batch norm sees the whole batch, which takes about 0.06 GiB and small has room for 0.02: "
        "lower batch_size to 17, or take a device with 0.06 or more"
    )
    assert planned(tiny_net, device, rng, 17)[0].pieces == 1


@pytest.mark.parametrize(("megabytes", "mend"), [(1.5, "lower batch_size to 1, or"), (1, "no batch_size is small")])
def test_where_pieces_of_one_pair_are_too_large_a_batch_of_one_may_still_fit(megabytes, mend, steady, rng, device_with):
    """Pieces add up their gradients in memory of their own, and a batch in one piece does not."""
    device = device_with(megabytes * MEGABYTE)
    with pytest.raises(ScratchnetError, match=rf"^the smallest step takes about 0.01 GiB and small .*: {mend}"):
        planned(steady, device, rng, 4)
    if "to 1" in mend:
        assert planned(steady, device, rng, 1)[0].size == 1


def test_no_memory_for_a_single_pair_is_one_line(steady, rng, device_with, monkeypatch):
    def exhausted(*_, **__):
        raise MemoryError("Out of memory allocating 7,000 bytes (allocated so far: 512 bytes).")

    monkeypatch.setattr(Conv2d, "forward", exhausted)
    with pytest.raises(BackendError, match=r"^out of memory \(Out of .* bytes\)\): it is too little for one pair"):
        planned(steady, device_with(GIB), rng, 4)


MEASURED = """
import json, sys
import numpy as np
from scratchnet.train.batches import Batch
from scratchnet.bench.machine import peak_memory
from scratchnet.losses import PairCrossEntropy
from scratchnet.train.gradients import plan
from scratchnet.models.networks import koch2015
from scratchnet.optim.sgd import SGD
from scratchnet.train import train_step

net, optimiser = koch2015(channels=(16, 32, 32, 64), features=512), SGD(0.01)
a, b = np.random.default_rng(0).random((2, 32, 105, 105), np.float32)
labels = (np.arange(32) % 2).astype(np.float32)
cut = plan(net, optimiser, PairCrossEntropy(), Batch(a, b, labels, 64), float(sys.argv[1]))
for _ in range(3):
    train_step(net, optimiser, a, b, labels, None, cut.pieces)
print(json.dumps([cut.pieces, cut.bytes, peak_memory()]))
"""


@pytest.mark.skipif(not backend.memory.STATM.exists(), reason="the system does not report the memory of a process")
def test_a_process_takes_what_was_forecast():
    def run(cap):
        done = subprocess.run([sys.executable, "-c", MEASURED, str(cap)], capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    pieces, whole, measured = run(1e12)
    assert pieces == 1
    assert whole == pytest.approx(measured, rel=0.15)
    pieces, forecast, measured = run(0.7 * whole)
    assert pieces > 1
    assert forecast == pytest.approx(measured, rel=0.15)
