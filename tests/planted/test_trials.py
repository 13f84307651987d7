"""The checker catches every planted bug and passes every correct layer; the quiz made of them."""

import pytest

from scratchnet import planted
from scratchnet.gradcheck import Report
from scratchnet.planted import CATALOGUE, STRANGERS
from scratchnet.planted import cases as gradcases

SEEDS = range(3)
BUGS = CATALOGUE | STRANGERS
every_bug = pytest.mark.parametrize("bug", BUGS.values(), ids=BUGS)
CORRECT = {bug.case.name: bug.case for bug in BUGS.values()}


def test_both_catalogues_are_large_and_apart():
    assert len(CATALOGUE) >= 101
    assert len(STRANGERS) >= 60
    assert not CATALOGUE.keys() & STRANGERS.keys()


@every_bug
def test_a_planted_bug_is_caught(bug):
    outcome = planted.hunt(bug, SEEDS)
    assert outcome.caught == outcome.seeds == len(SEEDS)


@pytest.mark.parametrize("case", CORRECT.values(), ids=CORRECT)
def test_the_layer_passes_without_its_bug(case):
    for seed in SEEDS:
        report = case.check(seed)
        assert report, report


def test_a_blind_checker_catches_nothing_but_what_cannot_be_asked(monkeypatch):
    monkeypatch.setattr(gradcases, "check", lambda *args, seed=0, **options: Report((), seed, properties=("blind",)))
    assert planted.hunt(CATALOGUE["bias averaged"], SEEDS).caught == 0


def test_the_correct_cases_are_those_of_the_library_and_of_both_catalogues():
    correct = planted.correct_cases()
    assert correct.keys() == gradcases.CASES.keys() | CORRECT.keys()


@pytest.mark.parametrize("seed", range(10))
def test_a_quiz_has_one_true_story_among_four(seed):
    quiz = planted.make_quiz(seed)
    assert len(set(quiz.stories)) == 4
    assert quiz.stories[quiz.answer - 1] == quiz.bug.story
    assert quiz.bug.name not in quiz.report
    assert quiz.report == planted.make_quiz(seed).report
    assert len(quiz.layer.splitlines()) == 2


def test_quizzes_differ():
    assert len({planted.make_quiz(seed).bug.name for seed in range(12)}) > 6
    assert len({planted.make_quiz(seed).answer for seed in range(12)}) > 1
