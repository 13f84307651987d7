"""The norms of the gradients: what the log says of them, and that measuring changes nothing else."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from short_runs import PLAIN, RUN, RUNS, TINY, every_objective, outcome, refusal_of, stopped
from strict_array import strict

from scratchnet.checkpoint import WEIGHTS, load_arrays
from scratchnet.errors import ScratchnetError
from scratchnet.train import LOG, STATE, stepper, train
from scratchnet.train.gradients import gradients
from scratchnet.train.norms import MeasuringSGD, is_measured, layer_norms, mean_norms

ONE_STEP = replace(TINY, epochs=1, steps=1)


def logged(out):
    return [json.loads(line)["gradient_norms"] for line in (out / LOG).read_text().splitlines()]


@every_objective
def test_a_run_ends_with_the_same_weights_file_and_state_measured_or_not(recipe, split, tmp_path):
    train(recipe, split, tmp_path / "measured", quiet=True, measured_steps=3)
    train(recipe, split, tmp_path / "not", quiet=True, measured_steps=0)
    measured, without = outcome(tmp_path / "measured"), outcome(tmp_path / "not")
    assert measured[0] == without[0]
    assert measured[1] == without[1]
    assert measured[2] != without[2]
    assert logged(tmp_path / "not") == [None, None, None]
    assert b"gradient_norms" not in (tmp_path / "measured" / WEIGHTS).read_bytes()


@pytest.mark.parametrize("pieces", [1, 3])
def test_the_log_has_the_norm_of_all_gradients_of_each_layer(pieces, split, tmp_path, monkeypatch):
    """Against the gradients of the first batch, taken apart by hand."""
    recipe = replace(PLAIN, epochs=1, pairs=3)  # one step of 6 pairs: without batch norm, it may be cut into pieces
    seen = []

    def recorded(self):
        run, batch = self.run, self.batches.batch(0, 0)
        self.pieces = pieces
        seen.append(gradients(run.net, self.batches.loss, batch.a, batch.b, batch.target).params)
        return step(self)

    step = stepper.Stepper.step
    monkeypatch.setattr(stepper.Stepper, "step", recorded)
    train(recipe, split, tmp_path, quiet=True)
    (norms,), (grads,) = logged(tmp_path), seen
    assert list(norms) == [f"encoder.conv{i}" for i in range(1, 5)] + ["encoder.linear", "head"]
    for layer, norm in norms.items():
        parts = [grads[f"{layer}.{part}"].astype(np.float64) for part in ("weight", "bias")]
        assert norm == pytest.approx(math.sqrt(sum((part**2).sum() for part in parts)), rel=1e-4), layer


def test_the_measured_steps_are_spread_evenly_over_an_epoch():
    def measured(steps, count):
        return [step for step in range(steps) if is_measured(step, steps, count)]

    assert measured(50, 4) == [12, 24, 37, 49]
    assert measured(7, 1) == [6]
    assert measured(3, 4) == [0, 1, 2]
    assert measured(9, 0) == []


@pytest.mark.parametrize("measured", [-1, 1001])
def test_a_number_of_measured_steps_out_of_range_is_refused_before_anything_is_written(measured, split, tmp_path):
    line = refusal_of(ScratchnetError, TINY, split, tmp_path / "run", measured_steps=measured)
    assert line == f"{measured} measured steps are out of range: give 0 to 1000"
    assert list(tmp_path.iterdir()) == []


def test_an_epoch_is_logged_with_the_mean_of_its_measured_steps():
    assert mean_norms([{"conv": 1.0, "head": 0.25}, {"conv": 2.0, "head": 0.75}]) == {"conv": 1.5, "head": 0.5}
    assert mean_norms([{"conv": 1.2345678}]) == {"conv": 1.2346}
    assert mean_norms([]) is None


def test_a_norm_too_large_for_its_precision_is_left_out_of_the_log():
    """JSON has no infinity, and a run that can go on is not to fail for its log."""
    squares = np.array([9.0, 16.0, np.inf], np.float32)
    assert layer_norms(["conv.weight", "conv.bias", "head.weight"], squares) == {"conv": 5.0}


def test_a_run_stopped_within_an_epoch_logs_all_its_measured_steps(split, tmp_path, steps):
    train(RUN, split, tmp_path / "whole", quiet=True, measured_steps=2)
    out = stopped(RUN, split, tmp_path / "stopped", steps, 3, measured_steps=2)
    assert len(load_arrays(out / STATE)[1]["norms"]) == 1
    train(RUN, split, out, resume=True, quiet=True, measured_steps=2)
    assert logged(out) == logged(tmp_path / "whole")
    assert None not in logged(out)


def test_a_run_begun_before_norms_were_logged_goes_on_with_them(split, tmp_path):
    train(replace(TINY, epochs=3), split, tmp_path, quiet=True, measured_steps=0, max_minutes=0)
    train(replace(TINY, epochs=3), split, tmp_path, quiet=True, resume=True)
    assert [norms is None for norms in logged(tmp_path)] == [True, False, False]


def test_a_measuring_step_moves_the_optimiser_that_it_was_made_of(rng):
    params, grads = ({"layer.weight": rng.standard_normal((3, 2))} for _ in range(2))
    one, other = RUNS["pairs, fresh distortions"].optimiser(), RUNS["pairs, fresh distortions"].optimiser()
    moved, expected = ({name: value.copy() for name, value in params.items()} for _ in range(2))
    measuring = MeasuringSGD.of(one)
    measuring.step(moved, grads)
    one.step(moved, grads)
    for _ in range(2):
        other.step(expected, grads)
    np.testing.assert_array_equal(moved["layer.weight"], expected["layer.weight"])
    assert float(measuring.squares["layer.weight"]) == pytest.approx((grads["layer.weight"] ** 2).sum())


@pytest.mark.parametrize("device", ["strict", "kernels"], indirect=True)
def test_a_device_that_works_ahead_is_not_waited_for_more_often_when_it_is_measured(device, split, tmp_path):
    waits = []
    for measured in (0, 2):
        strict.synchronisations = 0
        train(ONE_STEP, split, tmp_path / str(measured), device=device, quiet=True, measured_steps=measured)
        waits.append(strict.synchronisations)
    assert waits[0] == waits[1]
    train(ONE_STEP, split, tmp_path / "host", quiet=True)
    (here,), (there,) = logged(tmp_path / "host"), logged(tmp_path / "2")
    assert list(here) == list(there)
    assert list(there.values()) == pytest.approx(list(here.values()), rel=1e-3)


def test_the_printed_penalty_is_in_measured_steps_too(split, tmp_path):
    recipe = replace(PLAIN, epochs=1, penalty="printed", weight_decay=0.01)
    ends = []
    for measured in (0, 4):
        out = tmp_path / str(measured)
        train(recipe, split, out, quiet=True, measured_steps=measured)
        ends.append(outcome(out)[1])
    assert ends[0] == ends[1]
    train(replace(recipe, penalty="read"), split, tmp_path / "read", quiet=True)
    assert outcome(tmp_path / "read")[1] != ends[0]
