"""The steps of a run: losses read later on an asynchronous device, and a failing step named."""

import os
import signal
from dataclasses import replace

import numpy as np
import pytest
from short_runs import RUNS, TINY, outcome, poison, refusal_of, stop_at
from strict_array import STRICT, strict

from scratchnet import backend
from scratchnet.backend import to_host
from scratchnet.checkpoint import load_arrays, load_model
from scratchnet.data.drawings import Drawings
from scratchnet.errors import NonFiniteError
from scratchnet.train import STATE, Interrupted, stepper, train
from scratchnet.train.batches import EpisodeBatches, PairBatches
from scratchnet.train.state import TrainingRun

UNWATCHED = {"epochs": 1, "data": "omniglot", "validation_alphabets": ()}  # nothing but steps

LONG = {  # of 9 steps, on the host's kernels about a second each
    "pairs, fixed distortions": replace(TINY, objective="pairs", pairs=9, fixed_distortions=1, **UNWATCHED),
    "pairs, fresh distortions": replace(TINY, objective="pairs", pairs=18, elastic=0.05, stroke=0.5, **UNWATCHED),
    "episodes": replace(
        TINY,
        steps=9,
        n_way=2,
        batch_size=1,
        hands=2,
        symmetries=True,
        both_ways=True,
        elastic=0.05,
        stroke=0.5,
        weight_average=0.9,
        **UNWATCHED,
    ),
}

on_stand_ins = pytest.mark.parametrize("device", ["strict", "kernels"], indirect=True)

on_strict = pytest.mark.parametrize("device", ["strict"], indirect=True)


@pytest.fixture
def traffic(monkeypatch):
    """How often the stand-in was waited for before each batch and before the epoch was recorded; and, of each batch,
    the bytes of all its uploads and those of its images."""
    waits, batches = [], []
    strict.synchronisations, batch = 0, {kind: kind.batch for kind in (PairBatches, EpisodeBatches)}
    strict.uploads.clear()

    def watched(self, epoch, step):
        waits.append(strict.synchronisations)
        before = len(strict.uploads)
        made = batch[type(self)](self, epoch, step)
        batches.append((strict.uploads[before:], made.images * 16 * 16))
        return made

    def recorded(*arguments):
        waits.append(strict.synchronisations)
        return record(*arguments)

    record = TrainingRun.record
    monkeypatch.setattr(TrainingRun, "record", recorded)
    for kind in batch:
        monkeypatch.setattr(kind, "batch", watched)
    return waits, batches


@on_stand_ins
@pytest.mark.parametrize("recipe", LONG.values(), ids=LONG)
def test_drawings_are_uploaded_once_and_the_device_is_waited_for_only_to_read_losses(
    recipe, device, split, tmp_path, traffic, monkeypatch
):
    monkeypatch.setattr(stepper, "READ_EVERY", 4)
    train(recipe, split, tmp_path, device=device, quiet=True)
    waits, batches = traffic
    steps = [step // stepper.READ_EVERY for step in range(9)]
    assert waits == [*steps, steps[-1] + 2]  # the last losses, and whether all weights are finite
    assert strict.uploads.count(Drawings.of(split.train, 16).images.nbytes) == 1
    assert len(batches) == 9
    for uploads, images in batches:
        assert 0 < sum(uploads) < images


@on_strict
@pytest.mark.parametrize("name", ["pairs, fixed distortions", "episodes both ways, averaged"])
def test_losses_that_are_read_later_are_the_same(name, device, split, tmp_path, monkeypatch):
    recipe = replace(RUNS[name], epochs=2)
    train(recipe, split, tmp_path / "later", device=device, quiet=True)
    waiting = replace(STRICT, asynchronous=False)
    monkeypatch.setitem(backend.device._devices, "strict", waiting)
    train(recipe, split, tmp_path / "at once", device=waiting, quiet=True)
    assert outcome(tmp_path / "later") == outcome(tmp_path / "at once")


@on_strict
def test_a_run_stopped_between_two_reads_goes_on_to_the_same_bits(device, split, tmp_path, steps, monkeypatch):
    monkeypatch.setattr(stepper, "READ_EVERY", 2)
    recipe, stops = replace(RUNS["episodes both ways, averaged"], steps=5, epochs=2), (1, 4, 8)
    train(recipe, split, tmp_path / "whole", device=device, quiet=True)
    for number in stops:
        steps.then = stop_at(10 + number)
        with pytest.raises(Interrupted):
            train(recipe, split, tmp_path / "stopped", device=device, resume=number > stops[0], quiet=True)
        assert len(load_arrays(tmp_path / "stopped" / STATE)[1]["losses"]) == number % 5
    train(recipe, split, tmp_path / "stopped", device=device, resume=True, quiet=True)
    assert outcome(tmp_path / "stopped") == outcome(tmp_path / "whole")


# Steps that fail


@on_strict
@pytest.mark.parametrize("signalled", [False, True])
def test_a_nan_loss_that_is_read_late_is_not_saved(signalled, device, split, tmp_path, steps):
    def poison_weights(taken):
        if taken == 6:
            poison(steps[-1][0].params["head.bias"])
        if taken == 7 and signalled:
            os.kill(os.getpid(), signal.SIGINT)

    steps.then = poison_weights
    refusal = refusal_of(NonFiniteError, TINY, split, tmp_path, device=device)
    assert refusal.startswith("step 3 of epoch 2: head, forward: NaN")
    assert len(steps) == (7 if signalled else 8)
    assert load_arrays(tmp_path / STATE)[1]["epoch"] == 1
    assert np.isfinite(load_model(tmp_path).params["head.bias"]).all()


def test_a_nan_loss_stops_training_and_keeps_the_last_state(split, tmp_path, steps):
    def poison_weights(taken):
        if taken == 6:
            poison(steps[-1][0].params["head.bias"])

    steps.then = poison_weights
    assert refusal_of(NonFiniteError, TINY, split, tmp_path).startswith("step 3 of epoch 2: head, forward: NaN")
    assert len(steps) == 6
    assert load_arrays(tmp_path / STATE)[1]["epoch"] == 1
    assert np.isfinite(load_model(tmp_path).params["head.bias"]).all()


@pytest.mark.parametrize("device", ["cpu", "strict"], indirect=True)
@pytest.mark.parametrize("signalled", [False, True])
def test_weights_with_a_nan_are_never_saved(signalled, device, split, tmp_path, steps):
    def poison_weights(taken):
        if taken == 8:  # the last step of an epoch: no loss would show it
            poison(steps[-1][0].params["head.bias"])
            if signalled:
                os.kill(os.getpid(), signal.SIGINT)

    steps.then = poison_weights
    assert "head.bias has a NaN or an infinity" in refusal_of(NonFiniteError, TINY, split, tmp_path, device=device)
    assert load_arrays(tmp_path / STATE)[1]["epoch"] == 1
    steps.then = lambda taken: None
    train(TINY, split, tmp_path, device=device, resume=True, quiet=True)


@pytest.mark.parametrize("device", ["cpu", "strict"], indirect=True)
@pytest.mark.parametrize("average", [0.0, 0.9])
def test_a_head_that_is_to_be_a_metric_keeps_its_weights_at_0_or_less(average, device, split, tmp_path, tiny_net):
    start = replace(tiny_net, params=tiny_net.params | {"head.weight": np.linspace(-2, 1, 8, dtype=np.float32)})
    recipe = replace(
        TINY, architecture=dict(tiny_net.architecture), weight_average=average, lr=0.01, patience=9, epochs=2
    )
    free = train(recipe, split, tmp_path / "free", start=start, device=device, quiet=True)
    metric = train(replace(recipe, metric=True), split, tmp_path / "metric", start=start, device=device, quiet=True)
    assert (to_host(free.params["head.weight"]) > 0).any()
    assert (to_host(metric.params["head.weight"]) <= 0).all()
    assert (to_host(metric.params["head.weight"]) < 0).any()
    assert start.params["head.weight"].max() > 0  # a copy was changed
