"""The atlas counts every comparison that was lost, pair by pair, and shows the drawings that were confused."""

from dataclasses import replace

import numpy as np
import pytest

from scratchnet.data.glyphs import generate_alphabets
from scratchnet.explain.plots.atlas import DRAWINGS, MISTAKES, PAIRS, Pair, atlas, survey
from scratchnet.explain.plots.confusions import Choice
from scratchnet.explain.plots.page import save
from scratchnet.oneshot import count_correct, sample_runs
from scratchnet.oneshot.trials import Run


@pytest.fixture
def runs(rng):
    alphabets = generate_alphabets(2, characters=6, drawers=4, image_size=24, seed=2)
    return sample_runs(alphabets, 8, rng=rng, n_way=5)


@pytest.fixture
def scored(runs, rng):
    """Scores that are right more often than not."""
    return [2 * np.eye(5) + rng.standard_normal((5, 5)) for _ in runs]


def by_hand(scores, labels, names, drawings):
    """A run of one alphabet with the drawings of queries and supports."""
    query, support = drawings(len(scores)), drawings(len(labels))
    return Run("a run", "within", support, np.array(labels), query, np.arange(len(scores)), "Runes", tuple(names))


def test_a_pair_loses_where_the_other_scores_as_high_in_either_direction(drawings):
    scores = np.array([[1.0, 2.0, 0.0], [5.0, 3.0, 3.0], [0.0, 0.0, 9.0]])
    run = by_hand(scores, [0, 1, 2], ["fehu", "uruz", "ansuz"], drawings)
    found = survey([scores], [run])
    pairs = {pair.names: (pair.lost, pair.compared) for pair in found.pairs}
    assert pairs == {("fehu", "uruz"): (2, 2), ("ansuz", "uruz"): (1, 2)}
    assert [pair.lost for pair in found.pairs] == [2, 1]
    fehu, uruz = found.pairs[0].drawings
    assert {each.tobytes() for each in fehu} == {run.query[0].tobytes(), run.support[0].tobytes()}
    assert {each.tobytes() for each in uruz} == {run.query[1].tobytes(), run.support[1].tobytes()}
    assert found.right == {"Runes": (1, 3)}


def test_of_several_supports_the_mean_counts_and_the_best_is_shown(drawings):
    scores = np.array([[1.0, 2.0, 3.0, 1.0], [0.0, 0.0, 1.0, 1.0]])
    run = by_hand(scores, [0, 0, 1, 1], ["a", "b"], drawings)
    found = survey([scores], [run])
    assert (found.pairs[0].names, found.pairs[0].lost, found.pairs[0].compared) == (("a", "b"), 1, 2)
    wrong = found.choices[0]
    np.testing.assert_array_equal(wrong.right, run.support[1])
    np.testing.assert_array_equal(wrong.other, run.support[2])
    assert (wrong.right_logit, wrong.other_logit) == (1.5, 2.0)


def test_the_figures_are_those_of_an_evaluation(scored, runs):
    found = survey(scored, runs)
    correct = sum(count_correct(s, run.support_labels, run.query_labels) for s, run in zip(scored, runs, strict=True))
    assert sum(not choice.wrong for choice in found.choices) == correct
    assert [sum(column) for column in zip(*found.right.values(), strict=True)] == [correct, 40]
    lost = sum(int((row >= row[n]).sum() - 1) for s in scored for n, row in enumerate(s))
    assert sum(pair.lost for pair in found.pairs) == lost
    figures = found.as_dict(most=3)
    assert len(figures["pairs"]) == 3
    assert sum(each["correct"] for each in figures["by_alphabet"].values()) == correct


def test_runs_of_unknown_alphabets_are_told_apart_by_their_names(scored, runs):
    bare = [replace(run, alphabet="", characters=()) for run in runs]
    names = {pair.alphabet for pair in survey(scored, bare).pairs}
    assert names <= {run.name for run in runs}
    assert len(names) > 2


def test_a_score_that_is_no_number_is_a_mistake(drawings):
    scores = np.array([[np.nan, 1.0], [0.0, 1.0]])
    found = survey([scores], [by_hand(scores, [0, 1], ["a", "b"], drawings)])
    assert sum(choice.wrong for choice in found.choices) == 1


def shown(figure):
    return [axes for axes in figure.get_axes() if axes.get_images()]


def texts(figure):
    boxes = [figure, *figure.subfigs, *(cell for box in figure.subfigs for cell in box.subfigs)]
    return [box.get_suptitle() for box in boxes if box.get_suptitle()]


def test_the_picture_names_pairs_and_shows_their_drawings(scored, runs, tmp_path):
    found = survey(scored, runs)
    figure = atlas(found, name="a network", task="some trials", frame="ink")
    wrong = sum(choice.wrong for choice in found.choices)
    pairs, mistakes = found.pairs[:PAIRS], min(wrong, MISTAKES)
    drawn = sum(min(DRAWINGS, len(drawings)) for pair in pairs for drawings in pair.drawings)
    assert len(shown(figure)) == drawn + 3 * mistakes
    assert texts(figure)[0] == f"a network: {wrong} of 40 choices wrong, {2.5 * wrong:.1f} %"
    assert (
        f"{pairs[0].alphabet}: {pairs[0].names[0]} or {pairs[0].names[1]}, {pairs[0].lost} of {pairs[0].compared}"
        in (texts(figure))
    )
    assert "Right by alphabet: " in figure.get_supxlabel().replace("\n", " ")
    save(figure, tmp_path / "atlas.png")


def test_without_a_mistake_the_picture_says_so(runs, tmp_path):
    figure = atlas(survey([np.eye(5)] * 8, runs), name="a network", task="some trials")
    assert texts(figure) == ["a network: 0 of 40 choices wrong, 0.0 %"]
    assert not shown(figure)
    save(figure, tmp_path / "atlas.svg")


def test_pairs_are_sorted_by_their_losses(scored, runs):
    losses = [pair.lost for pair in survey(scored, runs).pairs]
    assert losses == sorted(losses, reverse=True)
    assert all(isinstance(pair, Pair) and 0 < pair.lost <= pair.compared for pair in survey(scored, runs).pairs)


def test_choices_know_their_margin(drawings):
    one, two, three = drawings(3)
    assert Choice(one, two, three, 1.5, 2.0).margin == -0.5
