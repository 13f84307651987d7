"""benchmarks/training_ideas.py: without an idea it trains as `scratchnet train` does, and each idea is what it says."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scratchnet.checkpoint import save_arrays
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.data.splits import Split
from scratchnet.gradcheck import check, from_value_and_gradient
from scratchnet.layers import Linear
from scratchnet.losses import NWayCrossEntropy
from scratchnet.train import train
from scratchnet.train.recipes import find_recipe

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "training_ideas.py"
pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="the benchmarks are not here, as in an installed package")
IDEAS = "plain", "strokes", "pixels64", "maps", "agreed", "taught"


@pytest.fixture
def script(monkeypatch):
    """The script as a module, with `quick` so small that it trains in no time."""
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    spec = importlib.util.spec_from_file_location("training_ideas", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "training_ideas", module)  # where its dataclasses look for their names
    spec.loader.exec_module(module)
    quick = find_recipe("quick")
    small = {**quick.architecture, "image_size": 16, "width": 2, "features": 8}
    tiny = replace(quick, architecture=small, epochs=2, steps=3, n_way=5)
    monkeypatch.setattr(module, "find_recipe", lambda _: tiny)
    return module


@pytest.fixture(scope="module")
def alphabets():
    return generate_alphabets(3, characters=6, drawers=5, image_size=16, seed=0)


def test_without_an_idea_the_network_is_that_of_the_recipe(script, alphabets, tmp_path):
    idea = script.IDEAS["plain"]
    recipe = replace(idea.recipe(3), data="glyphs", validation_alphabets=())
    usual = train(recipe, Split(alphabets, alphabets), tmp_path / "run", quiet=True)
    net = script.trained(idea, 3, alphabets, [])
    assert net.params.keys() == usual.params.keys()
    for name in net.params.keys() - {"head.bias"}:  # `train` calibrates it at the end: it ranks no supports
        np.testing.assert_array_equal(net.params[name], usual.params[name], err_msg=name)


def test_every_idea_has_a_name_and_changes_what_is_learned(script, alphabets):
    assert tuple(script.IDEAS) == IDEAS
    teachers = [script.IDEAS["plain"].untrained(7)]
    plain = script.trained(script.IDEAS["plain"], 0, alphabets, [])
    for name in ("pixels64", "maps", "agreed", "taught"):  # strokes learns from other drawings
        net = script.trained(script.IDEAS[name], 0, alphabets, teachers)
        same = [value.shape == plain.params[part].shape and (value == plain.params[part]).all()
                for part, value in net.params.items() if part in plain.params]  # fmt: skip
        assert not all(same), name
        assert np.isfinite(net.scores(alphabets[0].images[:, 0], alphabets[0].images[:, 1])).all()


def test_dense_features_beside_what_they_are_made_of(script, rng):
    layer = script.Beside(Linear(7, 5))
    params, x = layer.init(rng, np.float64), rng.standard_normal((3, 7))
    y, _ = layer.forward(params, x)
    np.testing.assert_array_equal(y[:, 5:], x)
    assert check(layer, params, x)


def test_what_is_learned_is_the_truth_and_an_opinion_in_equal_shares(script, rng):
    scores, opinion = rng.standard_normal((2, 3, 4, 4))
    truth = np.broadcast_to(np.eye(4), scores.shape)
    loss = NWayCrossEntropy(both_ways=True)
    target = script.learned(truth, opinion)

    def softmax(values, axis):
        return np.exp(values) / np.exp(values).sum(axis=axis, keepdims=True)

    def value(scores):
        rows, columns = (-np.log(softmax(scores, axis)) for axis in (-1, -2))
        true = (truth * (rows + columns)).sum(axis=(-2, -1)).mean() / 4 / 2
        said = (softmax(opinion, -1) * rows + softmax(opinion, -2) * columns).sum(axis=(-2, -1)).mean() / 4 / 2
        return true / 2 + said / 2

    def gradient(scores):
        _, cache = loss.forward(scores, target)
        return loss.backward(1.0, cache)

    assert check(from_value_and_gradient(value, gradient), {}, scores)


def test_both_views_are_the_same_episode_turned(script, rng):
    batch = script.Batch(*rng.random((2, 1, 2, 1, 5, 1, 16, 16)), rng.random((1, 2, 2, 5, 5)), 20)
    both = script.in_two_views(batch, rng)
    assert (both.a.shape[0], both.b.shape[0], both.images) == (2, 2, 40)
    assert not np.array_equal(both.a[0], both.a[1])
    for one, two in zip(both.a, both.b, strict=True):
        turns = [way for way in script.SYMMETRIES if np.array_equal(script.symmetry(batch.a[0], *way), one)]
        assert any(np.array_equal(script.symmetry(batch.b[0], *way), two) for way in turns)


def test_a_network_is_trained_once_and_read_again(script, tmp_path, monkeypatch):
    folder = script.Folder(tmp_path, None, None)
    net = script.IDEAS["maps"].untrained(1)
    save_arrays(folder.path("maps", 1), net.params, {"idea": "maps", "seed": 1, "minutes": 0.0})
    monkeypatch.setattr(script, "trained", None)
    folder.train("maps", 1, [])
    assert folder.load("maps", 1).params.keys() == net.params.keys()
