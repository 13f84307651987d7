"""The search on Optuna: its space is the paper's, processes share it, and a killed one loses only its last steps."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from short_runs import stop_at

from scratchnet.backend import get_device
from scratchnet.errors import CheckpointError, NonFiniteError, ScratchnetError
from scratchnet.paper import report, search, tune
from scratchnet.paper.report import read_best
from scratchnet.paper.scales import SCALES
from scratchnet.paper.search import CONVOLUTIONS, LAYERS, first_guess, network, rates
from scratchnet.train import Interrupted

HERE = Path(__file__).parent


class Suggests:
    """A trial that suggests the end of every range: the lowest values, or the highest."""

    def __init__(self, end):
        self.end, self.asked = end, {}

    def suggest_float(self, name, low, high, log=False):
        self.asked[name] = (low, high, log)
        return (low, high)[self.end]

    def suggest_int(self, name, low, high, step=1):
        self.asked[name] = (low, high, step)
        return (low, high)[self.end]


def test_the_ranges_are_the_papers():
    trial = Suggests(1)
    settings = rates(trial)
    assert settings["head"] == {"lr": 0.1, "momentum": 1.0, "weight_decay": 0.2}
    assert list(settings) == [
        "encoder.conv1",
        "encoder.conv2",
        "encoder.conv3",
        "encoder.conv4",
        "encoder.linear",
        "head",
    ]
    assert {trial.asked[f"{layer} learning rate"] for layer in LAYERS} == {(1e-4, 1e-1, True)}
    assert {trial.asked[f"{layer} lambda"] for layer in LAYERS} == {(0.0, 0.1, False)}
    network(trial, 105)
    assert {trial.asked[f"{layer} filters"] for layer in CONVOLUTIONS} == {(16, 256, 16)}
    assert trial.asked["features"] == (128, 4096, 16)
    assert trial.asked["conv1 kernel"] == (3, 20, 1)


@pytest.mark.parametrize("image_size", [105, 81, 65])
def test_every_network_of_the_ranges_fits_its_images(image_size):
    for end in (0, 1):
        found = network(Suggests(end), image_size)
        assert search.pixels_after(image_size, found["kernels"]) >= 1
    assert min(found["kernels"]) >= 3


def test_the_first_guess_is_the_recipe(tiny, material):
    base = search.base_recipe(tiny, material)
    guess = first_guess("all", base)
    assert set(guess) == {*asked(rates), *asked(lambda trial: network(trial, 105))}
    assert guess["conv1 learning rate"] == base.lr
    assert 2 * guess["head lambda"] == base.weight_decay
    assert (base.epochs, base.validation_trials) == (2, search.VALIDATION_TRIALS)
    full = search.base_recipe(SCALES["full"], material)
    assert full.epoch_pairs == 30_000, "not a pass over 1,350,000"


def asked(function):
    trial = Suggests(0)
    function(trial)
    return trial.asked


@pytest.fixture
def begin(tiny, material, tmp_path, monkeypatch):
    pytest.importorskip("optuna", reason="needs Optuna: the extra `paper`")
    monkeypatch.setattr(search, "SETS", (150,))
    monkeypatch.setattr(search, "VALIDATION_TRIALS", 20)

    def begun(trials=2, kind="rates", **options):
        return tune.Search(tmp_path / "study", tiny, kind, material, get_device("cpu"), trials, **options)

    return begun


def states(study):
    return [trial.state.name for trial in study.trials if trial.state.name != "WAITING"]


def recipe_of(folder, number):
    return json.loads((folder / "trials" / f"{number:04}" / "recipe.json").read_text())


def test_a_search_trains_its_trials_and_reports_them(begin, tmp_path):
    study = begin(2).run()
    folder = tmp_path / "study"
    assert states(study) == ["COMPLETE", "COMPLETE"]
    assert study.best_value == max(trial.value for trial in study.trials)
    first, second = (recipe_of(folder, number) for number in (0, 1))
    assert first["per_layer"]["head"] == {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.0002}
    assert second["per_layer"]["head"]["lr"] != 0.01
    assert "| 1 | complete |" in (folder / "REPORT.md").read_text()
    best = study.best_trial.number
    assert read_best(folder) == read_best(folder / "best.json") == recipe_of(folder, best)["per_layer"]
    assert not list(folder.glob("trials/*/*.npz")), "the networks of trials are not kept"
    assert states(begin(2).run()) == ["COMPLETE", "COMPLETE"], "there are as many as asked for"
    assert states(begin(3).run()) == ["COMPLETE"] * 3


def test_the_search_for_a_network_builds_it(begin, tmp_path, monkeypatch):
    def small(*arguments):
        few = {"features": 128} | {f"{layer} filters": 16 for layer in CONVOLUTIONS}
        return first_guess(*arguments) | few

    monkeypatch.setattr(tune, "first_guess", small)
    begin(1, "all").run()
    architecture = recipe_of(tmp_path / "study", 0)["architecture"]
    assert (architecture["kernels"], architecture["channels"]) == ([10, 7, 4, 4], [16, 16, 16, 16])
    assert architecture["features"] == 128
    with pytest.raises(ScratchnetError, match="belongs to another network than the paper's"):
        read_best(tmp_path / "study")


def test_a_folder_is_for_one_kind_of_search(begin):
    begin(1).run()
    with pytest.raises(ScratchnetError, match=r"holds a search with another search \(rates, now all\)"):
        begin(1, "all").run()


def test_a_signal_ends_the_search_and_its_trial_goes_on(begin, steps, tmp_path):
    steps.then = stop_at(3, signal.SIGTERM)
    with pytest.raises(Interrupted, match="state saved"):
        begin(1).run()
    steps.then = lambda taken: None
    study = begin(1).run()
    assert states(study) == ["FAIL", "COMPLETE"]
    assert study.trials[0].params == study.trials[-1].params
    assert len(steps) == 4, "of two epochs of two steps"
    assert list(study.trials[-1].intermediate_values) == [1, 2]
    assert [path.name for path in (tmp_path / "study" / "trials").iterdir()] == ["0000"]


def test_a_spent_budget_ends_it_too(begin, steps, monkeypatch):
    study = begin(1, deadline=time.monotonic() - 1).run()
    assert states(study) == []
    assert states(begin(1).run()) == ["COMPLETE"]


def test_a_trial_that_diverges_or_is_hopeless_is_pruned(begin, monkeypatch):
    optuna = pytest.importorskip("optuna")
    monkeypatch.setattr(optuna.pruners.MedianPruner, "prune", lambda self, study, trial: trial.number == 1)
    value_of = tune.value_of

    def diverging(trial, *arguments, **options):
        if trial.number == 2:
            raise NonFiniteError("too fast")
        return value_of(trial, *arguments, **options)

    monkeypatch.setattr(tune, "value_of", diverging)
    study = begin(3).run()
    assert states(study) == ["COMPLETE", "PRUNED", "PRUNED"]
    assert [len(trial.intermediate_values) for trial in study.trials[:3]] == [2, 1, 0]
    assert study.trials[2].user_attrs["diverged"] == "too fast"


CHILD = """
import os, signal, sys
sys.path[:0] = {path!r}
import conftest
from pathlib import Path
from scratchnet.backend import get_device
from scratchnet.paper import search, tune
from scratchnet.train import stepper
search.SETS, search.VALIDATION_TRIALS, tune.HEARTBEAT, tune.GRACE = (150,), 20, 1, 2
killed_at, taken, step = int(sys.argv[3]), [], stepper.train_step
def counted(*arguments, **options):
    taken.append(step(*arguments, **options))
    if len(taken) == killed_at:
        os.kill(os.getpid(), signal.SIGKILL)
    return taken[-1]
stepper.train_step = counted
kind = conftest.TINY, "rates", conftest.tiny_material(), get_device("cpu")
tune.Search(Path(sys.argv[1]), *kind, int(sys.argv[2]), save_every=1e-9).run()
print(len(taken))
"""


def process(folder, trials, killed_at=0):
    code = CHILD.format(path=[str(HERE), str(HERE.parent / "support")])
    arguments = [sys.executable, "-c", code, str(folder), str(trials), str(killed_at)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_processes_share_a_search_and_a_killed_one_loses_its_last_step(begin, tmp_path):
    folder = tmp_path / "study"
    killed = process(folder, 3, killed_at=3)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    time.sleep(3)  # longer than GRACE in the child
    pair = [process(folder, 3) for _ in range(2)]
    taken = []
    for child in pair:
        out, err = child.communicate()
        assert child.returncode == 0, err
        taken.append(int(out))
    study = begin(3).run()
    done = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
    assert len(done) in (3, 4), "two may start the last one together"
    assert sum(taken) == 4 * len(done) - 2, "two steps of the killed process were saved"
    assert sum(trial.user_attrs["folder"] == "0000" for trial in done) == 1


def test_without_optuna_one_line_says_what_to_install(tiny, material, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ScratchnetError, match=r'not installed; in your clone: pip install -e "\.\[paper\]"'):
        tune.Search(tmp_path / "it", tiny, "rates", material, get_device("cpu"), 1).run()
    assert not (tmp_path / "it").exists()


@pytest.mark.parametrize("text", ["", "{}", '{"search": "rates", "per_layer": {"head": 3}}'])
def test_a_best_that_is_none_is_one_line(text, tmp_path):
    with pytest.raises(CheckpointError, match="`scratchnet tune` writes it after a whole trial"):
        read_best(tmp_path)
    (tmp_path / "best.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"is no best\.json of a search"):
        read_best(tmp_path)


def test_the_report_has_pictures_where_matplotlib_is(begin, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib", reason="needs matplotlib: the extra `paper`")
    begin(3).run()
    text = (tmp_path / "study" / "REPORT.md").read_text()
    for name in report.PICTURES:
        assert f"![{name}]({name}.png)" in text
        assert (tmp_path / "study" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
