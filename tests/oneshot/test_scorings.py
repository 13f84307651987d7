"""benchmarks/scorings.py: ways of scoring on the same trials, and no alphabet that a network was trained on."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from scratchnet.checkpoint import save_model
from scratchnet.data import splits
from scratchnet.models.networks import compact
from scratchnet.oneshot import evaluate, tasks

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "scorings.py"
pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="the benchmarks are not here, as in an installed package")


@pytest.fixture
def script(monkeypatch, tmp_path):
    """The script as a module, in an empty folder, with few generated alphabets."""
    spec = importlib.util.spec_from_file_location("scorings", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, count in (("GLYPH_TRAIN", 1), ("GLYPH_VALIDATION", 1), ("GLYPH_TEST", 2)):
        monkeypatch.setattr(splits, name, count)
    monkeypatch.chdir(tmp_path)
    return module


@pytest.fixture
def ask(script, monkeypatch, capsys):
    """Runs the script; returns the exit code, and what it prints on both streams."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["scorings.py", *arguments])
        capsys.readouterr()
        return script.main(), *capsys.readouterr()

    return run


def saved(name, seed, **recipe):
    net = compact(seed=seed, image_size=16, width=2, features=8)
    save_model(name, net, recipe={"data": "glyphs", "architecture": {"image_size": 16}, **recipe})
    return net


def test_each_way_is_compared_with_one_look_and_networks_are_averaged(ask):
    net = saved("one.npz", 1)
    saved("two.npz", 2)
    code, out, _ = ask("one.npz", "two.npz", "--alphabets", "glyphs", "--trials", "40", "--ways", "views=2", "align=3")
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "random trials, glyphs: 20-way 1-shot, 40 trials, seed 0"
    assert [line.split(":")[0].strip() for line in lines[1:] if not line.startswith("    ")] == [
        "one.npz, views=2", "one.npz, align=3", "two.npz, views=2", "two.npz, align=3", "mean of 2, views=2",
        "mean of 2, align=3",
    ]  # fmt: skip
    task = tasks.random_task("glyphs", splits.glyph_split(16).test, trials=40, seed=0)
    assert f"one.npz, views=2: {evaluate(net, task.runs).accuracy:.2%} -> " in out


def test_networks_are_compared_with_others_in_their_place(ask):
    saved("one.npz", 1)
    two = saved("two.npz", 2)
    code, out, _ = ask("one.npz", "--against", "two.npz", "--alphabets", "glyphs", "--trials", "40")
    assert code == 0
    task = tasks.random_task("glyphs", splits.glyph_split(16).test, trials=40, seed=0)
    assert f"one.npz against two.npz, views=1: {evaluate(two, task.runs).accuracy:.2%} -> " in out
    assert "names 1 networks for 2: give as many" in ask("one.npz", "two.npz", "--against", "two.npz")[2]


def test_what_is_kept_is_not_computed_again_unless_the_weights_change(ask):
    saved("net.npz", 1)
    arguments = "net.npz", "--alphabets", "glyphs", "--trials", "20", "--ways", "views=2", "--json", "kept.json"
    first = ask(*arguments)
    kept = json.loads(Path("kept.json").read_text())
    assert {len(each["right"]) for each in kept.values()} == {20}
    Path("kept.json").write_text(json.dumps({key: {**each, "right": "0" * 20} for key, each in kept.items()}))
    assert "0.00% -> 0.00%" in ask(*arguments)[1]
    saved("net.npz", 3)
    assert len(ask(*arguments)[1]) > 0
    assert len(json.loads(Path("kept.json").read_text())) == 2 * len(kept)
    assert first[0] == 0


def test_alphabets_that_a_network_was_trained_on_are_refused(ask):
    saved("seen.npz", 1, data="omniglot", validation_alphabets=["Korean"])
    code, out, err = ask("seen.npz", "--alphabets", "Korean,Greek,Tagalog")
    assert (code, out) == (2, "")
    assert "seen.npz was trained on Greek, Tagalog: a gain on what it knows says little" in err
    assert "seen.npz was trained on Bengali, Braille" in ask("seen.npz", "--alphabets", "confirmation")[2]


@pytest.mark.parametrize("way", ["views", "views=3", "warps=2", "align=many"])
def test_ways_that_do_not_exist_are_refused(way, ask):
    saved("net.npz", 1)
    code, _, err = ask("net.npz", "--ways", way)
    assert code == 2
    assert err.count("\n") == 1
