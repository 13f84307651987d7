"""The choices in a picture are those that the network makes, the clearest mistakes first."""

from dataclasses import replace

import numpy as np
import pytest

from scratchnet.backend import to_host
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.explain.plots.confusions import SHOWN, Choice, choices, confusions
from scratchnet.layers import sigmoid
from scratchnet.oneshot import evaluate, sample_runs


@pytest.fixture
def runs(rng):
    alphabets = generate_alphabets(2, characters=8, drawers=4, image_size=24, seed=2)
    return sample_runs(alphabets, 4, rng=rng, n_way=8)


def invented(count, margin, drawings):
    """Choices whose right support leads by `margin`, each with another probability."""
    inks = drawings(3 * count)
    return [Choice(*inks[3 * k : 3 * k + 3], right_logit=margin + k, other_logit=float(k)) for k in range(count)]


def titles(figure):
    return [axes.get_title() for axes in figure.get_axes() if axes.get_images()]


def shown(figure):
    return [axes.get_images()[0].get_array()[..., 3] for axes in figure.get_axes() if axes.get_images()]


def test_as_many_choices_are_wrong_as_in_an_evaluation(tiny_net, runs):
    made = choices(tiny_net, runs)
    result = evaluate(tiny_net, runs)
    assert len(made) == result.trials
    assert sum(not choice.wrong for choice in made) == result.correct


def test_a_choice_holds_the_pictures_and_scores_of_its_trial(tiny_net, runs):
    """Against the scores of one run; its support labels are shuffled, so that positions are no labels."""
    order = np.array([3, 0, 7, 1, 5, 2, 6, 4])
    run = replace(runs[0], support=runs[0].support[order], support_labels=order)
    scores = to_host(tiny_net.scores(run.query, run.support))
    made = {choice.query.tobytes(): choice for choice in choices(tiny_net, [run])}
    for query, label, logits in zip(run.query, run.query_labels, scores, strict=True):
        right = order.tolist().index(label)
        choice = made[query.tobytes()]
        assert choice.right_logit == pytest.approx(logits[right], rel=1e-5)
        assert choice.other_logit == pytest.approx(np.delete(logits, right).max(), rel=1e-5)
        np.testing.assert_array_equal(choice.right, run.support[right])
        assert any(np.array_equal(choice.other, run.support[k]) for k in range(8) if k != right)


def test_the_clearest_mistakes_come_first(tiny_net, runs):
    margins = [choice.right_logit - choice.other_logit for choice in choices(tiny_net, runs)]
    assert margins == sorted(margins)


def test_the_picture_shows_query_choice_and_right_one_with_their_probabilities(drawings):
    made = invented(2, -1.0, drawings)
    figure = confusions(made, name="a run", task="3 characters to choose from")
    for choice, found in zip(made, [shown(figure)[:3], shown(figure)[3:]], strict=True):
        for ink, picture in zip((choice.query, choice.other, choice.right), found, strict=True):
            np.testing.assert_array_equal(picture, ink)
    probabilities = [f"{sigmoid(np.float64(z)):.3f}" for c in made for z in (c.other_logit, c.right_logit)]
    assert titles(figure) == ["query", *probabilities[:2], "query", *probabilities[2:]]
    assert figure.get_suptitle() == "a run: 2 of 2 one-shot choices wrong, 100.0 %"
    assert "The mistakes" in figure.get_supxlabel()


def test_of_many_mistakes_the_clearest_are_shown(drawings):
    made = invented(SHOWN + 3, -1.0, drawings)
    figure = confusions(made, name="a run", task="a task")
    assert len(shown(figure)) == 3 * SHOWN
    assert "The clearest mistakes" in figure.get_supxlabel().replace("\n", " ")


def test_without_a_mistake_the_closest_calls_are_shown(drawings):
    figure = confusions(invented(4, 0.5, drawings), name="a run", task="a task")
    assert "0 of 4 one-shot choices wrong, 0.0 %" in figure.get_suptitle()
    assert "The closest calls" in figure.get_supxlabel()
    assert len(shown(figure)) == 12


def test_a_tie_counts_as_wrong(drawings):
    assert invented(1, 0.0, drawings)[0].wrong
