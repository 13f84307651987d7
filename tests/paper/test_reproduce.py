"""A reproduction makes its tables, stops at the end of its budget and on signals, and goes on to the same figures."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from short_runs import stop_at

from scratchnet.errors import CheckpointError, NonFiniteError, ScratchnetError
from scratchnet.models.networks import compact
from scratchnet.oneshot.trials import Result
from scratchnet.paper import cells, reproduce
from scratchnet.paper.choices import choices
from scratchnet.paper.reproduce import ALL
from scratchnet.train import Interrupted, train

HERE = Path(__file__).parent


def text(out):
    return (out / "TABLE.md").read_text()


def held(out):
    return json.loads((out / "TABLE.json").read_text())


def figures(out):
    """The results of every run."""
    return {name: run["figures"] for name, run in held(out)["runs"].items()}


def test_every_cell_has_a_figure_beside_the_papers(whole):
    tables = held(whole)["tables"]
    assert [row["paper"] for row in tables["verification"]] == [90.61, 91.9, 91.54, 93.15, 91.63, 93.42]
    assert all(set(row["figures"]) == {"verification", "verification at 1/2"} for row in tables["verification"])
    ours = {row["name"] for name in ("oneshot", "mnist") for row in tables[name] if row["figures"]}
    assert ours == {"convolutional Siamese network", "convolutional Siamese network, 35 pixels", "nearest neighbour"}
    for row in tables["oneshot"]:
        assert f"| {row['name']} | {row['paper']:.1f} |" in text(whole)


def test_all_cells_of_a_table_take_equally_many_steps(whole):
    logs = [json.loads(line) for path in whole.glob("runs/*/recipe.json") for line in [path.read_text()]]
    assert {recipe["epoch_pairs"] for recipe in logs} == {256}
    assert {recipe["epochs"] for recipe in logs} == {2}
    assert sorted(recipe["pairs"] for recipe in logs) == [130, 130, 150, 150, 200, 200, 200]


def test_the_papers_network_is_trained_once_for_both_of_its_tables(whole):
    assert set(figures(whole)["150k distorted"]) == {"official", "verification", "verification at 1/2"}
    assert len(list(whole.glob("runs/*"))) == 7


def test_claims_are_as_many_as_the_figures_allow(whole, begin, tmp_path):
    assert len(held(whole)["claims"]) == 7  # three of copies, two of pairs, two against the paper
    begin("mnist").run()
    (claim,) = held(tmp_path / "out")["claims"]
    assert claim.startswith("MNIST")


def test_a_spent_budget_writes_the_table_and_the_same_command_goes_on(begin, whole, tmp_path):
    assert not begin(*ALL, deadline=0.0).run()
    out = tmp_path / "out"
    assert text(out).count("| not reached |") == 8
    assert re.search(r"\| nearest neighbour \| 21.7 \| \*\*\d", text(out)), "what needs no training is there"
    assert begin("mnist").run()
    assert figures(out)["mnist"] == figures(whole)["mnist"]
    assert text(out).count("| not reached |") == 1, "tables of which there is nothing are left out"


@pytest.mark.parametrize("number", [1, 3, 6])
def test_a_signal_loses_nothing(number, begin, whole, tmp_path, steps):
    steps.then = stop_at(number, signal.SIGTERM)
    with pytest.raises(Interrupted, match="state saved"):
        begin("oneshot", "mnist").run()
    out = tmp_path / "out"
    assert "not finished: in epoch " in text(out)
    steps.then = lambda taken: None
    assert begin("oneshot", "mnist").run()
    assert len(steps) == 2 * 4, "none was taken twice"
    for run, held in figures(out).items():
        assert held.items() <= figures(whole)[run].items()


def test_a_deadline_within_an_epoch_saves_the_state(begin, whole, tmp_path, steps, monkeypatch):
    monkeypatch.setattr(time, "monotonic", lambda: len(steps))  # a step a second
    assert not begin("oneshot", deadline=3).run()
    assert len(steps) == 3
    assert "not finished: in epoch 2 of at most 2, validation " in text(tmp_path / "out")
    assert begin("oneshot").run()
    assert len(steps) == 4
    assert figures(tmp_path / "out")["150k distorted"]["official"] == figures(whole)["150k distorted"]["official"]


def test_what_is_there_is_not_made_again(begin, steps):
    begin("mnist").run()
    taken = len(steps)
    assert begin("mnist").run()
    assert len(steps) == taken


def test_a_training_that_fails_is_said_so_and_the_others_go_on(begin, tmp_path, monkeypatch):
    def failing(recipe, *arguments, **options):
        if recipe.penalty == "printed":
            raise NonFiniteError("step 7 of epoch 1: no more")
        return train(recipe, *arguments, **options)

    monkeypatch.setattr(reproduce, "train", failing)
    monkeypatch.setattr(cells, "choices", lambda recipe: choices(recipe)[1:3])
    assert begin("choices").run()
    assert begin("choices").run(), "it is not tried again"
    states = [row["state"] for row in held(tmp_path / "out")["tables"]["choices"]]
    assert states == ["best epoch 1 of 1, 1 of 1", "training failed: step 7 of epoch 1: no more", states[0]]


def test_a_folder_keeps_its_settings(begin, tmp_path):
    begin("mnist", deadline=0.0).run()
    before = text(tmp_path / "out")
    with pytest.raises(ScratchnetError, match=r"was begun with another seed \(0, now 1\)"):
        begin("mnist", seed=1)
    assert text(tmp_path / "out") == before


@pytest.mark.parametrize("spoilt", ["", "[]", '{"format": 9, "settings": {}, "runs": {}}'])
def test_a_damaged_record_is_one_line(begin, tmp_path, spoilt):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "TABLE.json").write_text(spoilt)
    with pytest.raises(CheckpointError, match=r"TABLE\.json is damaged .*: move it away") as refusal:
        begin("mnist")
    assert "\n" not in str(refusal.value)


CHILD = """
import os, signal, sys
from pathlib import Path

sys.path[:0] = {path!r}
import pytest
from conftest import begin_tiny
from scratchnet.paper import cells, judge, reproduce
from scratchnet.train import stepper

cells.SETS, judge.PAIRS, reproduce.LOOK_EVERY = (130, 150, 200), 50, 0.1
taken, step = [], stepper.train_step


def counted(*arguments, **options):
    taken.append(step(*arguments, **options))
    if len(taken) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return taken[-1]


stepper.train_step = counted
print(begin_tiny("oneshot", "verification", out=Path(sys.argv[1]), save_every=1e-9).run(), len(taken))
"""


def process(out, killed_at=0):
    code = CHILD.format(path=[str(HERE), str(HERE.parent / "support")])
    arguments = [sys.executable, "-c", code, str(out), str(killed_at)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_processes_share_the_tables_and_go_on_with_what_a_killed_one_has_begun(whole, tmp_path):
    out = tmp_path / "out"
    killed = process(out, killed_at=3)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    taken = []
    for child in [process(out) for _ in range(2)]:
        answer, err = child.communicate()
        assert child.returncode == 0, err
        done, steps = answer.split()
        assert done == "True", "each ends when all is there"
        taken.append(int(steps))
    assert sum(taken) == 6 * 4 - 2, "no step is taken twice but the last of the killed process"
    assert min(taken) > 0
    for run, found in figures(out).items():
        assert found.items() <= figures(whole)[run].items()
    assert not list(out.glob(".*")), "no lock is left"


def test_the_ladder_is_a_step_of_each_rung_and_names_the_largest(begin, tmp_path, monkeypatch):
    monkeypatch.setattr(cells, "SEEDS", 1)
    monkeypatch.setattr(reproduce, "train", lambda recipe, *_, **__: compact(0, image_size=16, width=2, features=8))
    assert begin("ladder").run()
    out = tmp_path / "out"
    for run, correct in zip(held(out)["runs"], (1, 2, 3, 4, 15, 16, 17, 18), strict=True):
        begun = begin("ladder")
        begun.record.add(run, {"random": Result(correct, 40), "official": Result(correct, 20)})
        begun.write()
    lines = [line for line in text(out).splitlines() if line.startswith("| ")][1:]
    assert "| +27.5 (" in lines[4]
    assert [line.split(": ")[1] for line in held(out)["claims"]] == [
        "framed to the ink gains most, +27.5 (+9.9 to +45.1) points.",
        "framed to the ink gains most, +55.0 (+29.2 to +80.8) points.",
    ]
