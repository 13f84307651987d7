"""The pieces that a memory limit asks for: the forecast, the limit, and a run under it."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from short_runs import PLAIN, TINY, refusal_of
from strict_array import STRICT
from tiny_batches import LOSSES, batch, both_kinds

from scratchnet import backend
from scratchnet.backend import CPU, to_device, traced_peak
from scratchnet.data.drawings import Drawings
from scratchnet.errors import BackendError, ScratchnetError
from scratchnet.layers import Conv2d
from scratchnet.optim.sgd import SGD
from scratchnet.train import loop, train, train_step
from scratchnet.train.gradients import Batch, gradients
from scratchnet.train.memory_plan import GIB, Forecast, Plan, plan


@pytest.fixture
def alone(monkeypatch, tmp_path):
    """A process that holds no memory except its network, so that caps mean the same in any test run."""
    monkeypatch.setattr(backend.memory, "STATM", tmp_path / "absent")


def test_a_forecast_interpolates_its_measurements_linearly():
    forecast = Forecast(batch=8, standing=1000, gradients=50, peaks={1: 10, 2: 30, 4: 40})
    assert [forecast.peak(size) for size in (1, 2, 3, 4, 6, 8)] == [10, 30, 35, 40, 50, 60]
    assert forecast.step(3) == 1000 + 35 + 50
    assert forecast.step(8) == 1000 + 60  # one piece has nothing to add up


@both_kinds
def test_the_forecast_for_a_larger_batch_is_what_it_takes(kind, steady, rng, alone):
    a, b, target = batch(rng, kind, 16)
    loss = LOSSES[kind]
    weights = sum(value.nbytes for value in steady.params.values())

    def taken(size):
        return traced_peak(lambda: gradients(steady, loss, a[:size], b[:size], target[:size])) + 2 * weights

    whole = plan(steady, SGD(0.1), loss, Batch(a, b, target, 0), cap=100 * GIB)
    assert (whole.pieces, whole.size) == (1, 16)
    assert whole.bytes == pytest.approx(taken(16), rel=0.02)
    cut = plan(steady, SGD(0.1), loss, Batch(a, b, target, 0), cap=0.6 * whole.bytes)
    assert cut.bytes == pytest.approx(taken(cut.size) + weights, rel=0.1)


def test_memory_already_taken_and_existing_momentum_count_once(steady, rng, monkeypatch, tmp_path):
    a, b, target = batch(rng, "pairs", 2)

    def step(optimiser):
        return plan(steady, optimiser, LOSSES["pairs"], Batch(a, b, target, 4), cap=100 * GIB).bytes

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


@both_kinds
def test_the_cap_chooses_the_fewest_pieces_that_fit(kind, steady, rng, alone):
    a, b, target = batch(rng, kind, 12)
    items = Batch(a, b, target, 24)
    whole, found = plan(steady, SGD(0.1), LOSSES[kind], items, cap=GIB).bytes, []
    for share in (1.01, 0.9, 0.6, 0.4, 0.25):
        cut = plan(steady, SGD(0.1), LOSSES[kind], items, cap=share * whole)
        assert cut.bytes <= share * whole
        assert cut.size == -(-12 // cut.pieces)
        assert cut.images == 2 * cut.size
        found.append(cut.pieces)
    assert found[:2] == [1, 2]
    assert found == sorted(found)
    assert found[-1] >= 4


def test_sizes_that_are_forecast_not_to_fit_are_not_tried(steady, rng, alone, monkeypatch):
    items, sizes = Batch(*batch(rng, "pairs", 16), 32), []

    def a_megabyte_a_pair(step):
        sizes.append(len(step.args[-1]))
        return 1_000_000 * sizes[-1]

    monkeypatch.setitem(backend.device._devices, "cpu", replace(CPU, peak_memory=a_megabyte_a_pair))
    weights = sum(value.nbytes for value in steady.params.values())
    cut = plan(steady, SGD(0.1), LOSSES["pairs"], items, cap=3 * weights + 7_000_000)
    assert sizes == [1, 2, 4, 6]  # 8 would take too much
    assert (cut.pieces, cut.size) == (3, 6)


def test_a_piece_that_takes_more_than_its_neighbours_is_found_out(steady, rng, alone, monkeypatch):
    items = Batch(*batch(rng, "pairs", 16), 32)

    def more_for_six(step):
        size = len(step.args[-1])
        return 1_000_000 * size + 9_000_000 * (size == 6)

    monkeypatch.setitem(backend.device._devices, "cpu", replace(CPU, peak_memory=more_for_six))
    weights = sum(value.nbytes for value in steady.params.values())
    cut = plan(steady, SGD(0.1), LOSSES["pairs"], items, cap=3 * weights + 7_000_000)
    assert (cut.pieces, cut.size, cut.bytes) == (4, 4, 3 * weights + 4_000_000)


def test_a_cap_below_one_pair_is_refused_and_the_smallest_that_will_do_named(steady, rng, alone):
    items = Batch(*batch(rng, "pairs", 4), 8)
    with pytest.raises(ScratchnetError, match=r"^the smallest step takes about .* GiB") as refusal:
        plan(steady, SGD(0.1), LOSSES["pairs"], items, cap=1000)
    least = float(re.search(r"give (\d+\.\d\d) or more", str(refusal.value))[1])
    assert plan(steady, SGD(0.1), LOSSES["pairs"], items, cap=least * GIB).bytes <= least * GIB


def test_batch_norm_needs_a_cap_that_fits_the_whole_batch(tiny_net, rng, alone):
    items = Batch(*batch(rng, "pairs", 64, size=16), 128)
    whole = plan(tiny_net, SGD(0.1), LOSSES["pairs"], items, cap=GIB)
    assert (whole.pieces, whole.size, whole.images) == (1, 64, 128)
    with pytest.raises(ScratchnetError) as refusal:
        plan(tiny_net, SGD(0.1), LOSSES["pairs"], items, cap=0.9 * whole.bytes)
    said = re.fullmatch(
        r"batch norm needs the whole batch, which takes about [\d.]+ GiB and --memory allows [\d.]+: "
        r"lower batch_size to (\d+), or give [\d.]+ or more",
        str(refusal.value),
    )
    smaller = int(said[1])
    assert 48 <= smaller < 64
    fitting = Batch(*(each[:smaller] for each in items[:3]), 2 * smaller)
    assert plan(tiny_net, SGD(0.1), LOSSES["pairs"], fitting, cap=0.9 * whole.bytes).pieces == 1


MEGABYTE = 1_000_000


@pytest.fixture
def device_with(monkeypatch):
    """Makes a device with `free` bytes where a pair takes a megabyte and no more than `room_for` pairs fit."""

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
    """A plan for N pairs on a device, and the size of the parameters in bytes."""
    there = net.to_device(device)
    items = Batch(*(to_device(each, device) for each in batch(rng, "pairs", N, size=net.image_size)), 2 * N)
    weights = sum(value.nbytes for value in net.params.values())
    return plan(there, SGD(0.1), LOSSES["pairs"], items, **options), weights


@pytest.mark.parametrize(("megabytes", "pieces"), [(100, 1), (17, 2), (9, 3), (3, 8)])
def test_without_a_cap_a_batch_is_split_to_fit_the_free_memory_of_the_device_with_a_margin(
    megabytes, pieces, steady, rng, device_with
):
    cut, weights = planned(steady, device_with(megabytes * MEGABYTE), rng, 16)
    assert cut.pieces == pieces
    assert cut.bytes == (3 if pieces > 1 else 2) * weights + MEGABYTE * cut.size <= 0.9 * megabytes * MEGABYTE


def test_a_given_cap_counts_instead_of_the_free_memory(steady, rng, device_with):
    assert planned(steady, device_with(0), rng, 16, cap=GIB)[0].pieces == 1


def test_a_piece_that_runs_out_of_memory_is_not_chosen_whatever_the_forecast(steady, rng, device_with):
    cut, _ = planned(steady, device_with(GIB, room_for=7), rng, 16)
    assert (cut.pieces, cut.size) == (3, 6)


def test_a_full_device_is_named_with_the_batch_size_that_fits_batch_norm(tiny_net, rng, device_with):
    device = device_with(20 * MEGABYTE)
    with pytest.raises(ScratchnetError) as refusal:
        planned(tiny_net, device, rng, 64)
    assert str(refusal.value) == (
        "batch norm needs the whole batch, which takes about 0.06 GiB and small has room for 0.02: "
        "lower batch_size to 17, or use a device with 0.06 or more"
    )
    assert planned(tiny_net, device, rng, 17)[0].pieces == 1


@pytest.mark.parametrize(("megabytes", "advice"), [(1.5, "lower batch_size to 1, or"), (1, "no batch_size is small")])
def test_where_pieces_of_one_pair_are_too_large_a_batch_of_one_may_fit(megabytes, advice, steady, rng, device_with):
    """Pieces need a second set of gradients to add them up; a batch in one piece does not."""
    device = device_with(megabytes * MEGABYTE)
    with pytest.raises(ScratchnetError, match=rf"^the smallest step takes about 0.01 GiB and small .*: {advice}"):
        planned(steady, device, rng, 4)
    if "to 1" in advice:
        assert planned(steady, device, rng, 1)[0].size == 1


def test_no_memory_for_a_single_pair_is_one_line(steady, rng, device_with, monkeypatch):
    def exhausted(*_, **__):
        raise MemoryError("Out of memory allocating 7,000 bytes (allocated so far: 512 bytes).")

    monkeypatch.setattr(Conv2d, "forward", exhausted)
    with pytest.raises(BackendError, match=r"^out of memory \(Out of .* bytes\)\): not even one pair or episode fits"):
        planned(steady, device_with(GIB), rng, 4)


MEASURED = """
import json, sys
import numpy as np
from scratchnet.train.gradients import Batch
from scratchnet.bench.machine import peak_memory
from scratchnet.losses import PairCrossEntropy
from scratchnet.train.memory_plan import plan
from scratchnet.models.networks import koch2015
from scratchnet.optim.sgd import SGD
from scratchnet.train import train_step

net, optimiser = koch2015(features=1024), SGD(0.01)
a, b = np.random.default_rng(0).random((2, 32, 105, 105), np.float32)
labels = (np.arange(32) % 2).astype(np.float32)
cut = plan(net, optimiser, PairCrossEntropy(), Batch(a, b, labels, 64), cap=float(sys.argv[1]))
for _ in range(3):
    train_step(net, optimiser, a, b, labels, pieces=cut.pieces)
print(json.dumps([cut.pieces, cut.bytes, peak_memory()]))
"""


@pytest.mark.skipif(not backend.memory.STATM.exists(), reason="the system does not report the memory of a process")
def test_a_process_takes_what_was_forecast():
    def run(cap):
        done = subprocess.run([sys.executable, "-c", MEASURED, str(cap)], capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    pieces, whole, measured = run(1e12)
    assert pieces == 1
    assert whole == pytest.approx(measured, rel=0.2)
    pieces, forecast, measured = run(0.7 * whole)
    assert pieces > 1
    assert forecast == pytest.approx(measured, rel=0.2)


# A run under a limit


@pytest.fixture
def in_pieces_of_two(monkeypatch):
    """Splits batches into pieces of two, whatever the cap; returns the caps in bytes."""
    caps = []

    def cut(_net, _optimiser, _loss, batch, cap):
        caps.append(cap)
        return Plan(len(batch.target) // 2, 2, 4, 1.5 * GIB)

    monkeypatch.setattr(loop, "plan", cut)
    return caps


def test_a_run_under_a_cap_takes_pieces_and_ends_like_one_without(split, tmp_path, steps, in_pieces_of_two, capsys):
    train(PLAIN, split, tmp_path / "whole", quiet=True)
    whole = [loss for _, _, loss in steps]
    assert (in_pieces_of_two, steps[0][0].embed_batch) == ([], 128)
    steps.clear()
    train(PLAIN, split, tmp_path / "cut", memory_gib=2)
    assert in_pieces_of_two == [2 * GIB]
    assert {net.embed_batch for net, _, _ in steps} == {4}
    assert "batches of 6 in pieces of 2 (3 a batch), forecast: 1.50 GiB" in capsys.readouterr().err.splitlines()
    np.testing.assert_allclose([loss for _, _, loss in steps], whole, rtol=1e-4)


@pytest.mark.usefixtures("in_pieces_of_two")
@pytest.mark.parametrize(("memory", "cap"), [(2, 2 * GIB), (None, np.inf)])
def test_the_cap_also_limits_the_drawings(memory, cap, split, tmp_path, monkeypatch):
    caps = []

    def moved(self, device, memory):
        caps.append((device, memory))
        return self

    monkeypatch.setattr(Drawings, "to_device", moved)
    train(replace(PLAIN, epochs=1, pairs=3), split, tmp_path, quiet=True, memory_gib=memory)
    assert caps == [(CPU, cap)]


def test_a_run_may_go_on_under_another_cap_or_none(split, tmp_path, steps, in_pieces_of_two):
    train(PLAIN, split, tmp_path / "whole", quiet=True)
    whole = [loss for _, _, loss in steps]
    steps.clear()
    for number, memory in enumerate((None, 2, None)):
        train(PLAIN, split, tmp_path / "run", max_minutes=0, resume=number > 0, quiet=True, memory_gib=memory)
    assert in_pieces_of_two == [2 * GIB]
    np.testing.assert_allclose([loss for _, _, loss in steps], whole, rtol=1e-4)


def test_too_little_memory_is_refused_before_a_folder_is_made(split, tmp_path):
    for recipe, message in ((PLAIN, "the smallest step takes about"), (TINY, "batch norm needs the whole batch")):
        assert message in refusal_of(ScratchnetError, recipe, split, tmp_path / "run", memory_gib=1e-3)
    assert not (tmp_path / "run").exists()
