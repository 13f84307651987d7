"""`scratchnet gradcheck`."""

import json
import sys

import pytest

from scratchnet import planted
from scratchnet.gradcheck import Report
from scratchnet.layers import ReLU
from scratchnet.planted import cases as gradcases


class BrokenReLU(ReLU):
    """Forgets where its input was negative."""

    def backward(self, dy, cache):
        return dy.copy(), {}


SOUND = {name: case for name, case in gradcases.CASES.items() if name.startswith(("ReLU", "Linear", "WeightedL1"))}
BROKEN = gradcases.Case(BrokenReLU(), ((3, 4),))


@pytest.mark.parametrize("method", ["auto", "complex", "central", "central4"])
def test_gradcheck_exits_0_when_every_check_passes(method, ask, monkeypatch):
    monkeypatch.setattr(gradcases, "CASES", SOUND)
    answer = ask("gradcheck", "--method", method, "--seed", "5")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.splitlines()[-1] == f"{len(SOUND)} of {len(SOUND)} passed (method {method}, seed 5)"
    figures = ask("gradcheck", "--json", "--method", method).json
    assert (figures["failed"], figures["method"]) == ([], method)
    assert set(figures["largest_error"]) == {"ReLU", "Linear", "WeightedL1"}


def test_gradcheck_exits_1_when_a_check_fails_and_names_it(ask, monkeypatch):
    monkeypatch.setattr(gradcases, "CASES", SOUND | {BROKEN.name: BROKEN})
    answer = ask("gradcheck")
    assert answer.code == 1
    assert f"FAIL  {BROKEN.name}" in answer.err
    assert f"{len(SOUND)} of {len(SOUND) + 1} passed" in answer.out
    answer = ask("gradcheck", "--json")
    assert answer.code == 1
    assert json.loads(answer.out)["failed"] == [BROKEN.name]
    assert json.loads(answer.out)["largest_error"]["BrokenReLU"] > 0.01


def test_gradcheck_of_a_whole_network_reports_all_its_parameters(ask, monkeypatch):
    asked = []

    def whole_network(name, seed, method):
        asked.append((name, seed, method))
        return SOUND[next(iter(SOUND))].check(seed) if seed else BROKEN.check(seed)

    monkeypatch.setattr(gradcases, "whole_network", whole_network)
    answer = ask("gradcheck", "--network", "koch2015", "--seed", "2", "--method", "central4")
    assert answer.code == 0
    assert answer.out.splitlines()[-1] == "koch2015: passed"
    answer = ask("gradcheck", "--network", "koch2015", "--json")
    assert answer.code == 1
    assert json.loads(answer.out)["failed"] == ["x"]
    assert asked == [("koch2015", 2, "central4"), ("koch2015", 0, "auto")]


@pytest.fixture
def few_bugs(monkeypatch):
    """Three planted bugs, and of the correct cases only theirs."""
    names = ["bias averaged", "relu mask missing", "stale cache"]
    monkeypatch.setattr(planted, "CATALOGUE", {name: planted.CATALOGUE[name] for name in names})
    monkeypatch.setattr(planted, "STRANGERS", {})
    monkeypatch.setattr(planted, "correct_cases", lambda: {b.case.name: b.case for b in planted.CATALOGUE.values()})


def test_the_self_test_counts_what_is_caught(few_bugs, ask):
    answer = ask("gradcheck", "--self-test", "--seeds", "2")
    assert (answer.code, answer.err) == (0, "")
    _code, *bugs, caught, alarms = answer.out.splitlines()
    assert [line.split("  ")[2] for line in bugs] == list(planted.CATALOGUE)
    assert all(line.startswith("caught   2 of 2  ") for line in bugs)
    assert caught.startswith("3 planted bugs at 2 points each: 6 of 6 caught; 0 points redrawn")
    assert alarms == "3 correct cases at 2 points each: 0 false alarms in 6 checks"
    figures = ask("gradcheck", "--self-test", "--json").json
    assert (figures["seeds"], figures["planted"], figures["caught"], figures["missed"]) == (3, 9, 9, [])
    assert figures["bugs"]["stale cache"] == {"caught": 3, "seeds": 3, "redraws": 0}


def test_the_self_test_fails_when_the_checker_is_blind(few_bugs, ask, monkeypatch):
    monkeypatch.setattr(gradcases, "check", lambda *args, seed, **options: Report((), seed, properties=("blind",)))
    answer = ask("gradcheck", "--self-test", "--seeds", "1")
    assert answer.code == 1
    assert [line.split()[0] for line in answer.out.splitlines()[1:4]] == ["MISSED"] * 3
    assert "3 planted bugs at 1 points each: 0 of 3 caught" in answer.out


def test_the_self_test_fails_when_a_correct_layer_does(few_bugs, ask, monkeypatch):
    monkeypatch.setattr(planted, "correct_cases", lambda: {"the broken one": BROKEN})
    answer = ask("gradcheck", "--self-test", "--seeds", "1", "--seed", "4")
    assert answer.code == 1
    assert answer.err == "FALSE ALARM  the broken one, seed 4\n"
    assert json.loads(ask("gradcheck", "--self-test", "--json").out)["false_alarms"] == [
        f"the broken one, seed {seed}" for seed in range(3)
    ]


@pytest.fixture
def reader(monkeypatch):
    """A user who types the given lines and then closes the terminal."""

    def sit_down(*lines):
        typed = iter(lines)

        def read(question):
            try:
                return next(typed)
            except StopIteration:
                raise EOFError from None

        monkeypatch.setattr("builtins.input", read)
        monkeypatch.setattr(sys.stdin, "isatty", lambda: True)

    return sit_down


def test_a_quiz_keeps_its_answer_until_it_is_asked_for(ask, monkeypatch):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    quiz = planted.make_quiz(7)
    answer = ask("gradcheck", "--quiz", "--seed", "7")
    assert answer.code == 0
    assert quiz.report in answer.out
    assert [line.split("  ", 2)[-1] for line in answer.out.splitlines() if line.startswith("  ")][-4:] == quiz.stories
    assert quiz.bug.name not in answer.out
    assert answer.out.count(quiz.bug.story) == 1
    *_, command = answer.out.splitlines()
    told = ask(*command.removeprefix("To see the answer: scratchnet ").split())
    assert told.out.splitlines()[-1] == f"{quiz.answer}: {quiz.bug.name}. {quiz.bug.story}"


def test_a_quiz_at_a_terminal_asks_and_answers(ask, reader):
    quiz = planted.make_quiz(7)
    end = f", {quiz.answer}: {quiz.bug.name}. {quiz.bug.story}"
    reader("perhaps", "9", str(quiz.answer))
    assert ask("gradcheck", "--quiz", "--seed", "7").out.splitlines()[-1] == f"Right{end}"
    reader(str(quiz.answer % 4 + 1))
    assert ask("gradcheck", "--quiz", "--seed", "7").out.splitlines()[-1] == f"No{end}"
    for lines in ([""], []):
        reader(*lines)
        answer = ask("gradcheck", "--quiz", "--seed", "7")
        assert answer.code == 0
        assert "gradcheck --quiz --seed 7 --answer" in answer.out.splitlines()[-1]
        assert quiz.bug.name not in answer.out


def test_a_quiz_as_json_has_its_answer_only_when_asked_for(ask):
    quiz = ask("gradcheck", "--quiz", "--json").json
    assert quiz.keys() == {"code", "seed", "layer", "report", "stories"}
    told = ask("gradcheck", "--quiz", "--seed", quiz["seed"], "--answer", "--json").json
    assert told["stories"] == quiz["stories"]
    assert told["stories"][told["answer"] - 1] == planted.CATALOGUE[told["bug"]].story


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seeds", "4"], "--seeds requires --self-test"),
        (["--answer"], "--answer requires --quiz"),
        (["--quiz", "--answer"], "--answer requires --quiz"),
        (["--self-test", "--quiz"], "not allowed with argument"),
        (["--network", "koch2016"], "invalid choice: 'koch2016'"),
    ],
)
def test_options_of_gradcheck_that_do_not_go_together_are_refused(arguments, message, refused):
    assert message in refused("gradcheck", *arguments)
