"""`reproduce` and `tune`: what they print, and what they refuse in one line."""

import json

import pytest

from scratchnet.cli import paper
from scratchnet.paper.tune import Search


class Done:
    """Stands for a reproduction without tables."""

    def __init__(self, finished=True, **_):
        self.finished, self.shown = finished, []

    def run(self):
        return self.finished

    def as_dict(self):
        return {"tables": {}}


@pytest.fixture
def begun(monkeypatch):
    """How the last reproduction was begun."""
    found = {}

    def begin(wanted, out, scale, material, **options):
        found.update(wanted=wanted, out=out, scale=scale.name, place=material.place, **options)
        return Done(finished=options["deadline"] > 1e300)

    monkeypatch.setattr(paper.Reproduction, "begin", begin)
    return found


def test_all_are_the_papers_tables_and_each_comes_once(ask, begun, tmp_path):
    answer = ask("reproduce", "mnist", "all", "ladder", "--out", tmp_path / "it", "--seed", "3", "--data", "there")
    assert answer.code == 0
    assert begun["wanted"] == ["mnist", "oneshot", "verification", "ladder"]
    assert (begun["scale"], begun["seed"], begun["place"], begun["tuned"]) == ("small", 3, "there", None)
    assert answer.out.endswith("TABLE.md\n")
    assert answer.err == ""


def test_a_spent_budget_prints_how_to_go_on(ask, begun, tmp_path):
    answer = ask("reproduce", "mnist", "--out", "it", "--scale", "half", "--budget", "2", "--seed", "3")
    assert answer.code == 0
    assert answer.err == (
        "the budget is spent; to go on: scratchnet reproduce mnist --out it --scale half --budget 2 --seed 3\n"
    )
    assert ask("reproduce", "mnist", "--out", "it", "--budget", "2", "--json").json == {
        "out": "it",
        "finished": False,
        "tables": {},
    }


def test_the_best_of_a_search_sets_the_layers(ask, begun, tmp_path):
    best = {"search": "rates", "per_layer": {"head": {"lr": 0.5}}}
    (tmp_path / "best.json").write_text(json.dumps(best))
    assert ask("reproduce", "mnist", "--out", tmp_path / "it", "--tuned", tmp_path).code == 0
    assert begun["tuned"] == {"head": {"lr": 0.5}}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["reproduce", "--out", "it"], "the following arguments are required: TABLE"),
        (["reproduce", "all"], "the following arguments are required: --out"),
        (["reproduce", "lader", "--out", "it"], "invalid choice: 'lader' (did you mean 'ladder'?)"),
        (["reproduce", "all", "--out", "it", "--budget", "0"], "expected a number greater than 0"),
        (["reproduce", "all", "--out", "it"], "found no images_background.zip"),
        (["reproduce", "mnist", "--out", "it", "--tuned", "nowhere"], "nowhere does not exist"),
        (["tune", "--out", "it", "--search", "rate"], "invalid choice: 'rate' (did you mean 'rates'?)"),
    ],
)
def test_bad_usage_is_one_line(refused, arguments, message):
    assert message in refused(*arguments)


def test_tune_hands_its_options_on(ask, monkeypatch, tmp_path):
    class Study:
        def get_trials(self, deepcopy):
            return []

    seen = []

    def run(self):
        seen.append(self)
        return Study()

    monkeypatch.setattr(Search, "run", run)
    answer = ask("tune", "--out", "it", "--trials", "7", "--search", "all", "--scale", "full", "--data", "there")
    assert answer.out == "no trial is whole yet\nit/REPORT.md\n"
    (search,) = seen
    assert (search.trials, search.search, search.scale.name, search.material.place) == (7, "all", "full", "there")
    assert search.deadline == float("inf")
