"""The network that a run keeps: the best, the last, or an average."""

import json
from dataclasses import replace

import numpy as np
import pytest
from helpers import copied, everything_in, same_bits
from short_runs import FINAL, TINY, outcome, stop_at

from scratchnet.backend import to_host
from scratchnet.checkpoint import load_arrays, load_model, load_model_with_notes
from scratchnet.models.networks import build
from scratchnet.oneshot import trials as oneshot
from scratchnet.oneshot import verification
from scratchnet.train import LOG, STATE, Interrupted, train


def scripted(monkeypatch, accuracies):
    """Make validation find these accuracies, in percent; returns the list of parameters it is given."""
    shown = []

    def evaluate(net, _runs):
        shown.append(copied(net.params))
        return oneshot.Result(accuracies[len(shown) - 1], 100)

    monkeypatch.setattr(oneshot, "evaluate", evaluate)
    return shown


@pytest.mark.parametrize(
    ("accuracies", "patience", "epochs", "best"),
    [
        ([10, 40, 30, 35, 39], 3, 5, 2),  # three epochs without a better one
        ([10, 40, 40, 40], 2, 4, 2),  # equal is not better: the first one stays
        ([50, 40, 30], 20, 3, 1),  # the end of the recipe comes first
        ([10, 20, 15, 30, 20], 2, 5, 4),  # a better one restarts the wait
    ],
)
def test_training_ends_when_patience_is_exhausted_and_keeps_the_best_network(
    accuracies, patience, epochs, best, split, tmp_path, monkeypatch
):
    recipe = replace(TINY, epochs=3 if patience == 20 else 5, patience=patience)
    shown = scripted(monkeypatch, accuracies)
    net = train(recipe, split, tmp_path, quiet=True)
    assert len(shown) == epochs
    bias = {"head.bias": net.params["head.bias"]}  # a network trained on episodes gets it when it is saved
    assert same_bits(net.params, shown[best - 1] | bias)
    assert load_model_with_notes(tmp_path)[1]["epoch"] == best


def test_a_recipe_that_keeps_the_last_epoch_waits_for_no_better_one(split, tmp_path, monkeypatch):
    shown = scripted(monkeypatch, [50, 40, 30])
    net = train(replace(TINY, epochs=3, patience=1, keep="last"), split, tmp_path, quiet=True)
    assert len(shown) == 3
    assert same_bits(net.params, shown[2] | {"head.bias": net.params["head.bias"]})
    assert load_model_with_notes(tmp_path)[1]["epoch"] == 3


def test_an_ended_run_stays_ended_when_resumed(split, tmp_path, monkeypatch):
    scripted(monkeypatch, [50, 40, 30])
    net = train(replace(TINY, patience=1), split, tmp_path, quiet=True)
    before = everything_in(tmp_path)
    assert same_bits(train(replace(TINY, patience=1), split, tmp_path, resume=True, quiet=True).params, net.params)
    assert everything_in(tmp_path) == before


# The running average


@pytest.mark.parametrize("best", [1, 2, 3])
def test_the_averaged_network_is_the_one_that_is_validated_kept_and_returned(best, split, tmp_path, monkeypatch, steps):
    recipe = replace(TINY, weight_average=0.8)
    taken = [copied(build(recipe.architecture, seed=recipe.seed).params)]
    steps.then = lambda _: taken.append(copied(steps[-1][0].params))
    validated = scripted(monkeypatch, [30 if epoch == best else 20 for epoch in (1, 2, 3)])
    net = train(recipe, split, tmp_path, quiet=True)

    average = [{name: value.astype(np.float64) for name, value in taken[0].items()}]
    for step, params in enumerate(taken[1:]):
        decay = min(0.8, (1 + step) / (10 + step))
        average.append({name: decay * average[-1][name] + (1 - decay) * value for name, value in params.items()})
    for epoch, shown in enumerate(validated, start=1):
        for name, value in shown.items():
            np.testing.assert_allclose(value, average[4 * epoch][name], rtol=1e-4, atol=1e-6, err_msg=name)
        for name in ("encoder.conv1.weight", "encoder.norm1.running_var", "head.weight"):
            assert np.abs(shown[name] - taken[4 * epoch][name]).max() > 1e-3
    bias = {"head.bias": net.params["head.bias"]}  # a network trained on episodes gets it when it is saved
    assert same_bits(net.params, validated[best - 1] | bias)
    assert same_bits(load_model(tmp_path).params, net.params)


def test_the_state_holds_the_weights_and_their_average(split, tmp_path, steps):
    train(replace(TINY, weight_average=0.8), split, tmp_path, quiet=True)
    arrays, _ = load_arrays(tmp_path / STATE)
    parts = {part: {name for name in arrays if name.startswith(part)} for part in ("params/", "average/")}
    assert {name.removeprefix("average/") for name in parts["average/"]} == set(steps[-1][0].params)
    for name, value in steps[-1][0].params.items():
        np.testing.assert_array_equal(arrays[f"params/{name}"], value)
    running = [name for name in arrays if name.startswith("average/") and ".running_" in name]
    assert running
    assert all((arrays[name] != arrays[name.replace("average/", "params/")]).any() for name in running)


def test_an_average_does_not_change_how_the_weights_are_trained(split, tmp_path, steps):
    for name, decay in (("averaged", 0.9), ("plain", 0.0)):
        train(replace(TINY, weight_average=decay), split, tmp_path / name, quiet=True)
    averaged, plain = (load_arrays(tmp_path / name / STATE)[0] for name in ("averaged", "plain"))
    assert not [name for name in plain if name.startswith("average/")]
    assert all(np.array_equal(averaged[name], value) for name, value in plain.items())
    assert not same_bits(load_model(tmp_path / "averaged").params, load_model(tmp_path / "plain").params)


# Without a validation


def test_without_a_validation_the_network_of_the_last_epoch_is_the_result(split, tmp_path, monkeypatch):
    monkeypatch.setattr(oneshot, "evaluate", lambda *_: pytest.fail("there is nothing to validate by"))
    net = train(replace(FINAL, patience=1), replace(split, validation=[]), tmp_path, quiet=True)
    log = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    assert [(record["epoch"], record["validation"]) for record in log] == [(1, None), (2, None), (3, None)]
    loaded, notes = load_model_with_notes(tmp_path)
    assert (notes["epoch"], notes["validation"]) == (3, None)
    assert same_bits(loaded.params, net.params)
    arrays, _ = load_arrays(tmp_path / STATE)
    assert all(np.array_equal(arrays[f"average/{name}"], v) for name, v in net.params.items() if name != "head.bias")


def test_without_a_validation_every_epoch_writes_its_network(split, tmp_path):
    for epoch in (1, 2, 3):
        train(FINAL, split, tmp_path, max_minutes=0, resume=epoch > 1, quiet=True)
        assert load_model_with_notes(tmp_path)[1]["epoch"] == epoch


def test_without_a_validation_the_bias_is_found_on_training_drawings(split, tmp_path, monkeypatch):
    shown, calibrated = [], verification.calibrated

    def recorded(net, alphabets, **options):
        shown.append(alphabets)
        return calibrated(net, alphabets, **options)

    monkeypatch.setattr(verification, "calibrated", recorded)
    net = train(replace(FINAL, epochs=1), split, tmp_path / "final", quiet=True)
    train(replace(FINAL, data="glyphs", epochs=1), split, tmp_path / "chosen", quiet=True)
    assert [alphabets is split.train for alphabets in shown] == [True, False]
    assert shown[1] is split.validation
    assert to_host(net.params["head.bias"]).any()


def test_a_run_without_a_validation_goes_on_to_the_same_bits(split, tmp_path, steps):
    train(FINAL, split, tmp_path / "whole", quiet=True)
    for number in (2, 8):  # within an epoch, and at the end of one
        steps.then = stop_at(12 + number)
        with pytest.raises(Interrupted):
            train(FINAL, split, tmp_path / "stopped", resume=number > 2, quiet=True)
    train(FINAL, split, tmp_path / "stopped", resume=True, quiet=True)
    assert outcome(tmp_path / "stopped") == outcome(tmp_path / "whole")


def test_a_run_without_a_validation_says_so_in_every_line(split, tmp_path, capsys):
    train(FINAL, split, tmp_path)
    first, second, *epochs = capsys.readouterr().err.splitlines()
    assert first.startswith("recipe glyphs, seed 11")
    assert second == "no validation: all 3 alphabets train, and the network of the last epoch is the result"
    assert len(epochs) == 3
    assert all("  no validation  " in line for line in epochs)
