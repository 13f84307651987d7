"""A run tells its caller of steps and epochs, keeps its log as a table too, and goes on for more epochs."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from short_runs import RUN, RUNS, TINY, every_objective, outcome, tiny_split

from scratchnet.backend import to_host
from scratchnet.errors import CheckpointError
from scratchnet.train import LOG, train
from scratchnet.train.folder import TABLE


def log_of(out):
    return [json.loads(line) for line in (out / LOG).read_text().splitlines()]


@every_objective
def test_the_caller_hears_of_every_step_and_epoch_in_order(recipe, device, split, tmp_path):
    told = []
    options = {"on_step": lambda step: told.append(step), "on_epoch": lambda record: told.append(record)}
    train(recipe, split, tmp_path, device=device, quiet=True, **options)
    steps = [record for record in told if "step" in record]
    assert [(step["epoch"], step["step"]) for step in steps] == [(e, s) for e in (1, 2, 3) for s in (1, 2, 3, 4)]
    epochs = [record for record in told if "step" not in record]
    assert [json.loads(json.dumps(record)) for record in epochs] == log_of(tmp_path)
    for record in epochs:
        own = [step for step in steps if step["epoch"] == record["epoch"]]
        assert sum(step["loss"] for step in own) / 4 == pytest.approx(record["loss"])
        assert {step["lr"] for step in own} == {record["lr"]}
        assert told.index(record) > told.index(own[-1])


def test_a_resumed_run_tells_of_each_step_once(split, tmp_path):
    told = []

    def note(step):
        told.append((step["epoch"], step["step"]))
        if len(told) == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(RUN, split, tmp_path, quiet=True, save_every=1e-9, on_step=note)
    train(RUN, split, tmp_path, resume=True, quiet=True, on_step=note)
    assert told == [(e, s) for e in (1, 2, 3) for s in (1, 2, 3, 4)]


def test_what_is_told_changes_no_bits(split, tmp_path, whole):
    train(RUN, split, tmp_path, quiet=True, on_step=dict.clear, on_epoch=dict.clear)
    assert outcome(tmp_path) == whole


def test_the_log_is_also_a_table(split, tmp_path):
    train(RUN, split, tmp_path, quiet=True)
    with open(tmp_path / TABLE, newline="") as file:
        rows = list(csv.DictReader(file))
    for row, record in zip(rows, log_of(tmp_path), strict=True):
        for name in ("epoch", "loss", "validation", "lr", "seconds", "images_per_second"):
            assert float(row[name]) == record[name]
        assert [float(row["interval_low"]), float(row["interval_high"])] == record["interval"]


def test_what_was_not_validated_is_empty_in_the_table(split, tmp_path):
    train(replace(TINY, data="omniglot", epochs=1), split, tmp_path, quiet=True)
    with open(tmp_path / TABLE, newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["validation"], row["interval_low"]) == ("", "")
    assert float(row["loss"]) > 0


@pytest.mark.parametrize("name", ["episodes", "pairs, fresh distortions"])
def test_a_finished_run_goes_on_for_more_epochs_as_if_it_had_begun_with_them(name, split, tmp_path, uninterrupted):
    train(replace(RUNS[name], epochs=1), split, tmp_path, quiet=True)
    train(RUNS[name], split, tmp_path, resume=True, quiet=True)
    assert outcome(tmp_path)[1:] == uninterrupted[name][1:]  # the weights of the best epoch note how many there were


def test_a_cosine_goes_on_with_the_learning_rate_of_the_new_number_of_epochs(split, tmp_path):
    train(replace(RUN, epochs=2), split, tmp_path / "longer", quiet=True)
    train(RUN, split, tmp_path / "longer", resume=True, quiet=True)
    train(RUN, split, tmp_path / "whole", quiet=True)
    longer, whole = (log_of(tmp_path / out) for out in ("longer", "whole"))
    assert longer[2]["lr"] == whole[2]["lr"]
    assert longer[1]["lr"] != whole[1]["lr"]


def test_a_run_that_lost_patience_goes_on_with_more(split, tmp_path):
    impatient = replace(TINY, patience=1, epochs=50, lr=0.0)
    train(impatient, split, tmp_path, quiet=True)
    done = len(log_of(tmp_path))
    assert done < 50
    train(replace(impatient, patience=3), split, tmp_path, resume=True, quiet=True)
    assert len(log_of(tmp_path)) == done + 2


@pytest.mark.parametrize("fewer", [{"epochs": 2}, {"patience": 1}])
def test_a_run_is_not_resumed_for_fewer_epochs(fewer, split, tmp_path):
    train(RUN, split, tmp_path, quiet=True, max_minutes=0)
    with pytest.raises(CheckpointError, match=f"was trained with {next(iter(fewer))}="):
        train(replace(RUN, **fewer), split, tmp_path, resume=True, quiet=True)


def test_a_network_to_start_from_is_copied(tmp_path):
    split = tiny_split()
    start = train(replace(RUN, epochs=1), split, tmp_path / "first", quiet=True)
    before = {name: value.tobytes() for name, value in start.params.items()}
    net = train(replace(RUN, lr=0.0, weight_average=0.0, epochs=1), split, tmp_path / "still", start=start, quiet=True)
    moving = {name for name in before if ".running_" in name or name == "head.bias"}  # batch norm, and calibration
    for name in before.keys() - moving:
        assert net.params[name].tobytes() == before[name], name
    train(RUN, split, tmp_path / "on", start=start, quiet=True)
    assert {name: value.tobytes() for name, value in start.params.items()} == before


def test_a_network_on_the_host_is_fine_tuned_on_any_device(device, tmp_path):
    start = train(replace(RUN, epochs=1), tiny_split(), tmp_path / "first", quiet=True)
    still = replace(RUN, lr=0.0, weight_average=0.0, epochs=1)
    net = train(still, tiny_split(), tmp_path / "still", start=start, device=device, quiet=True)
    assert net.device is device
    np.testing.assert_array_equal(to_host(net.params["head.weight"]), start.params["head.weight"])


def test_a_network_of_another_architecture_is_no_start(tmp_path, net):
    with pytest.raises(CheckpointError, match=r"the network to start from has .*: take its architecture"):
        train(RUN, tiny_split(), tmp_path / "run", start=net, quiet=True)
    assert not (tmp_path / "run").exists()
