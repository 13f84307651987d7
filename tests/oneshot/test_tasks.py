"""The tasks on a card use characters that training has not seen, and the same ones every time."""

import numpy as np
import pytest

from scratchnet.data import splits
from scratchnet.data.alphabets import Alphabet
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.data.splits import VALIDATION_ALPHABETS, Split
from scratchnet.errors import CheckpointError, DataError
from scratchnet.oneshot import tasks as module
from scratchnet.oneshot.tasks import Unseen, card_tasks, kept_out, random_task, recipe_of, unseen, unseen_data
from scratchnet.oneshot.trials import ACROSS, WITHIN

GLYPHS = {"data": "glyphs", "validation_alphabets": [], "architecture": {"image_size": 16}}


def omniglot(*names):
    """A recipe that holds these alphabets out of training."""
    return {"data": "omniglot", "validation_alphabets": list(names)}


def names(alphabets):
    return [alphabet.name for alphabet in alphabets]


@pytest.fixture
def omniglot_sets(monkeypatch):
    """Stand-ins for Omniglot's sets: 6 background and 4 evaluation alphabets, without files."""
    alphabet = {name: Alphabet(name, np.zeros((2, 2, 4, 4), bool)) for name in "abcdefWXYZ"}

    def split(data, validation):
        return Split([alphabet[n] for n in "abcdef" if n not in validation], [alphabet[n] for n in validation])

    monkeypatch.setattr(module, "background_split", split)
    monkeypatch.setattr(module, "find_data", lambda data, *_: data)
    monkeypatch.setattr(module, "look_for", lambda data, *_: data if data != "only WXYZ" else None)
    monkeypatch.setattr(module, "load_omniglot", lambda path: [alphabet[name] for name in path.removeprefix("only ")])


@pytest.mark.parametrize(
    ("recipes", "kept"),
    [
        ([omniglot("a", "b")], ("a", "b")),
        ([omniglot("a", "b"), omniglot("b", "c")], ("b",)),
        ([omniglot("a"), omniglot("b")], ()),
        ([omniglot("a", "b"), GLYPHS], ("a", "b")),
        ([omniglot()], ()),
        ([{"data": "omniglot"}], ()),
        ([GLYPHS], VALIDATION_ALPHABETS),
        ([{}], VALIDATION_ALPHABETS),
        ([{"data": "own", "validation_alphabets": []}], VALIDATION_ALPHABETS),
        ([{"data": "own", "validation_alphabets": [], "start": "omniglot"}], ()),
    ],
)
def test_kept_out_is_what_no_training_has_seen(recipes, kept):
    assert kept_out(recipes) == kept


@pytest.mark.parametrize(
    ("recipes", "on"),
    [
        ([GLYPHS, GLYPHS], "glyphs"),
        ([GLYPHS, omniglot("a")], "background"),
        ([omniglot("a")], "background"),
        ([omniglot()], "official"),
    ],
)
def test_the_unseen_alphabets_are_where_training_left_some(recipes, on):
    assert unseen_data(recipes) == on


def test_the_background_alphabets_are_those_kept_out_half_of_them_for_a_threshold(omniglot_sets):
    found = unseen("background", data="", recipes=[omniglot("a", "b", "c")])
    assert [names(alphabets) for alphabets in found] == [["a", "c", "b"], ["a", "c"], ["b"]]


def test_the_evaluation_set_has_its_threshold_from_elsewhere_or_from_its_other_half(omniglot_sets):
    found = unseen("evaluation", data="WXYZ", recipes=[omniglot("a")])
    assert [names(alphabets) for alphabets in found] == [["W", "X", "Y", "Z"], ["a"], ["W", "X", "Y", "Z"]]
    found = unseen("evaluation", data="WXYZ", recipes=[omniglot()])
    assert [names(alphabets) for alphabets in found] == [["W", "X", "Y", "Z"], ["W", "Y"], ["X", "Z"]]


def test_the_evaluation_set_may_be_all_there_is(omniglot_sets, monkeypatch):
    found = unseen("evaluation", data="only WXYZ", recipes=[omniglot("a")])
    assert [names(alphabets) for alphabets in found] == [["W", "X", "Y", "Z"], ["W", "Y"], ["X", "Z"]]
    monkeypatch.setattr(module, "BACKGROUND", frozenset("Y"))
    with pytest.raises(DataError, match="is not the evaluation set, it has Y of the background set"):
        unseen("evaluation", data="only WXYZ", recipes=[omniglot("a")])


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ([], "the recipe is [], expected an object"),
        ({"data": 3}, "the recipe.data is 3, expected a string"),
        ({"validation_alphabets": ["a", 3]}, "the recipe.validation_alphabets[1] is 3"),
        ({"architecture": [16]}, "the recipe.architecture is [16]"),
        ({"architecture": {"image_size": True}}, "image_size is true, expected a whole number"),
        ({"architecture": {"image_size": 10**9}}, "the recipe has image_size=1000000000, but the network 16"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused_with_the_model(recipe, message, tiny_net):
    with pytest.raises(CheckpointError) as refusal:
        recipe_of(tiny_net, {"recipe": recipe}, model="my run")
    assert message in str(refusal.value)
    assert "my run" in str(refusal.value)


def test_alphabets_that_were_trained_on_are_never_taken_for_unseen(omniglot_sets):
    with pytest.raises(DataError, match="all alphabets of the background set were trained on"):
        unseen("background", data="", recipes=[omniglot()])
    with pytest.raises(DataError, match="WXc is not the evaluation set, it has c of the background set"):
        unseen("evaluation", data="WXc", recipes=[omniglot("a")])
    assert unseen("official", data="", recipes=[omniglot()]) == Unseen([], [], [])


@pytest.mark.parametrize("on", ["background", "glyphs"])
def test_a_threshold_is_never_chosen_on_the_alphabets_it_is_judged_on(on, omniglot_sets, monkeypatch):
    monkeypatch.setattr(splits, "GLYPH_TRAIN", 1)
    found = unseen(on, data="", recipes=[GLYPHS if on == "glyphs" else omniglot("a", "b")])
    assert found.threshold
    assert found.pairs
    assert not set(names(found.threshold)) & set(names(found.pairs))


def test_the_seed_decides_the_trials():
    alphabets = generate_alphabets(2, characters=6, drawers=4, image_size=16)
    one, again, other = (random_task("glyphs", alphabets, trials=60, seed=seed, way=5) for seed in (3, 3, 4))
    assert [run.query.tobytes() for run in one.runs] == [run.query.tobytes() for run in again.runs]
    assert [run.query.tobytes() for run in one.runs] != [run.query.tobytes() for run in other.runs]
    assert (one.way, one.shot, sum(len(run.query) for run in one.runs)) == (5, 1, 60)
    assert one.as_dict() == {"task": "random trials, glyphs", "way": 5, "shot": 1}


def test_the_trials_of_a_card_are_of_every_kind_and_the_easier_ones_say_so():
    alphabets = generate_alphabets(2, characters=20, drawers=6, image_size=16)
    tasks = list(card_tasks("glyphs", alphabets, runs=None, trials=40))
    assert [(task.way, task.shot, task.runs[0].scope) for task in tasks] == [
        (20, 1, WITHIN), (20, 1, ACROSS), (20, 5, ACROSS), (5, 1, ACROSS), (5, 5, ACROSS),
    ]  # fmt: skip
    for task in tasks:
        assert sum(len(run.query) for run in task.runs) == 40
        assert ("the easier task" in str(task)) == (task.runs[0].scope == ACROSS)
    assert str(tasks[0]) == "random trials, glyphs: 20-way 1-shot"
    assert str(tasks[4]) == "random trials, glyphs: 5-way 5-shot across alphabets, the easier task"


def test_a_card_has_the_official_runs_first_and_alone_where_nothing_is_unseen(real_data):
    (only,) = card_tasks("official", [], runs=real_data)
    assert (only.title, only.way, only.shot, len(only.runs)) == ("official runs", 20, 1, 20)
    first = next(
        card_tasks("background", generate_alphabets(1, characters=20, drawers=6, image_size=16), runs=real_data)
    )
    assert first.title == "official runs"
