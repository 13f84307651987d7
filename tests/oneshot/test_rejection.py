"""The threshold of rejection wrongly accepts as many as it says, of characters that it was not chosen on."""

import numpy as np
import pytest

from scratchnet.errors import DataError
from scratchnet.oneshot.rejection import choose_rejection


def scores_of(labels, others, rng, same=3.0):
    """Scores between drawings of these labels: normal, and higher between drawings of one character."""
    noise = rng.standard_normal((len(labels), len(others)))
    if len(labels) == len(others):
        noise = np.triu(noise) + np.triu(noise, 1).T  # a network's scores are symmetric
    return noise + same * (labels[:, None] == others)


def test_the_share_of_strangers_that_are_accepted_is_kept_on_average(rng):
    labels, strangers = np.repeat(np.arange(20), 2), np.arange(100, 400)
    accepted, said, rejected, wrongly_rejected = [], [], [], []
    for _ in range(100):
        found = choose_rejection(scores_of(labels, labels, rng), labels, share=0.1)
        new = scores_of(strangers, labels, rng).reshape(300, 20, 2).mean(axis=2).max(axis=1)
        known = scores_of(labels, labels, rng).reshape(40, 20, 2).mean(axis=2).max(axis=1)
        accepted.append(np.mean(new > found.threshold))
        said.append(found.wrongly_accepted)
        rejected.append(np.mean(known <= found.threshold))
        wrongly_rejected.append(found.wrongly_rejected)
    assert 0.03 < np.mean(accepted) < 0.1  # less than it may, since drawings of one character are not alike here
    assert np.mean(said) == pytest.approx(np.mean(accepted), abs=0.03)
    assert np.mean(rejected) < np.mean(wrongly_rejected) < 0.2  # it has one example less, so it is careful


def test_a_smaller_share_takes_a_higher_threshold(rng):
    labels = np.repeat(np.arange(30), 3)
    scores = scores_of(labels, labels, rng)
    found = [choose_rejection(scores, labels, share=share).threshold for share in (0.3, 0.2, 0.1, 0.04)]
    assert found == sorted(found)
    assert len(set(found)) == 4


def test_the_threshold_is_the_lowest_that_the_share_allows():
    """19 strangers whose best scores are 1 ... 19: one more exceeds the highest with probability 1/20."""
    labels = np.arange(19)
    scores = np.tile(-np.arange(19.0), (19, 1)).T + 0.0
    np.fill_diagonal(scores, 100)
    best = np.where(np.eye(19, dtype=bool), -np.inf, scores).max(axis=1)
    assert choose_rejection(scores, labels, share=0.05).threshold == best.max()
    assert choose_rejection(scores, labels, share=0.1).threshold == np.sort(best)[17]


def test_a_single_example_of_each_class_says_nothing_about_wrong_rejections(rng):
    labels = np.arange(25)
    found = choose_rejection(scores_of(labels, labels, rng), labels)
    assert found.wrongly_rejected is None
    assert "wrongly rejected unknown, since no class has two examples" in str(found)
    assert found.as_dict()["strangers"] == 25


def test_drawings_of_one_character_count_for_one_character(rng):
    """Copies of the same drawings change nothing, however many there are of each."""
    labels = np.arange(25)
    scores = scores_of(labels, labels, rng)
    copies = np.repeat(labels, rng.integers(1, 6, 25))
    found = choose_rejection(scores[copies][:, copies], copies)
    assert found.threshold == choose_rejection(scores, labels).threshold
    assert found.wrongly_accepted == pytest.approx(choose_rejection(scores, labels).wrongly_accepted)


def test_few_characters_allow_no_small_share_and_that_is_said(rng):
    labels = np.repeat(np.arange(9), 5)
    found = choose_rejection(scores_of(labels, labels, rng), labels)
    assert found.share == 0.1
    assert "chosen for 10.0% on 45 examples with their class kept out" in str(found)


def test_the_labels_may_be_any_numbers(rng):
    labels = np.repeat(np.arange(10), 3)
    scores = scores_of(labels, labels, rng)
    assert choose_rejection(scores, 7 * labels + 3) == choose_rejection(scores, labels)


@pytest.mark.parametrize(
    ("labels", "share", "message"),
    [
        ([0] * 30, 0.05, "two or more classes"),
        (range(18), 0.05, "18 classes are too few .* 5.0%: give 19 or more, or allow 5.3%"),
        ([*range(50), *range(50)], 0.01, "50 classes are too few .* 1.0%: give 99 or more, or allow 2.0%"),
    ],
)
def test_too_little_to_choose_by_is_refused(labels, share, message, rng):
    labels = np.array(labels)
    with pytest.raises(DataError, match=message):
        choose_rejection(rng.random((len(labels), len(labels))), labels, share=share)
