"""Verification: the best threshold is the best, and it is chosen on other alphabets than it is judged on."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchnet.backend import CPU, Device
from scratchnet.data.alphabets import Alphabet
from scratchnet.data.drawings import Drawings
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.models.siamese import SiameseNet
from scratchnet.oneshot import verification
from scratchnet.oneshot.trials import WITHIN
from scratchnet.oneshot.verification import best_threshold, calibrated, verify


def right_at(threshold: float, similarity: np.ndarray, labels: np.ndarray) -> int:
    return int(np.count_nonzero((similarity > threshold) == (labels > 0.5)))


def most_right(similarity: np.ndarray, labels: np.ndarray) -> int:
    """Tries every way to cut: below all, and at each value."""
    return max(right_at(threshold, similarity, labels) for threshold in [-np.inf, *similarity.tolist()])


TIES = st.integers(0, 4).map(lambda k: k / 4)
NEIGHBOURS = st.integers(0, 4).map(lambda k: 1 - k * 2.0**-24)  # of one another in float32, as near certainty
pairs = st.one_of(
    [
        st.lists(st.tuples(similarity, st.booleans()), min_size=1, max_size=12)
        for similarity in (TIES, NEIGHBOURS, st.floats(0, 1, width=32))
    ]
)


@given(pairs, st.sampled_from(["float32", "float64"]))
@settings(deadline=None, derandomize=True, max_examples=300)
def test_no_threshold_is_right_more_often_than_the_best(pairs, dtype):
    similarity, labels = np.array(pairs, dtype).T.copy()
    assert right_at(best_threshold(similarity, labels), similarity, labels) == most_right(similarity, labels)


def test_the_best_threshold_lies_between_what_it_separates():
    similarity = np.array([0.9, 0.1, 0.5, 0.2])
    assert best_threshold(similarity, np.array([1.0, 0, 1, 0])) == pytest.approx(0.35)


@dataclass
class Grey:
    """Says how alike two images are by their grey alone, or the opposite."""

    sign: float = -1.0
    device: Device = CPU

    def similarity(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return self.sign * np.abs(a - b).mean(axis=(1, 2))


def grey_alphabet(step: float) -> Alphabet:
    """Three characters that differ by `step` in grey; all drawers draw them alike."""
    images = np.broadcast_to(step * np.arange(3.0).reshape(3, 1, 1, 1), (3, 4, 4, 4))
    return Alphabet("grey", images)


@pytest.mark.parametrize(("sign", "accuracy"), [(-1.0, 1.0), (1.0, 0.5)])
def test_verification_is_right_for_a_scorer_that_knows_and_half_right_for_its_opposite(sign, accuracy, rng):
    result = verify(Grey(sign), validation=[grey_alphabet(0.24)], test=[grey_alphabet(0.2)], pairs=200, rng=rng)
    assert result.trials == 200
    assert result.accuracy == accuracy


def test_the_threshold_of_verification_is_chosen_without_the_test_alphabets(rng):
    """Differences of 0.24 put the threshold at 0.12; then differences of 0.05 in the test alphabet go unnoticed."""
    assert (
        verify(Grey(), validation=[grey_alphabet(0.24)], test=[grey_alphabet(0.05)], pairs=200, rng=rng).correct == 100
    )


def test_verification_tells_near_certainty_from_certainty(rng):
    class Sure(Grey):
        def similarity(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
            return np.where((a == b).all(axis=(1, 2)), 1, 1 - 2.0**-24).astype(np.float32)

    assert (
        verify(Sure(), validation=[grey_alphabet(0.24)], test=[grey_alphabet(0.2)], pairs=200, rng=rng).correct == 200
    )


def test_verification_takes_pairs_of_the_size_of_the_network(generated, tiny_net, rng):
    result = verify(
        tiny_net,
        validation=generated[:1],
        test=generate_alphabets(1, characters=5, drawers=4, image_size=30),
        pairs=50,
        rng=rng,
    )
    assert result.trials == 50
    assert result.scope == WITHIN


def test_pairs_are_framed_once(tiny_net, monkeypatch):
    """Drawings are framed for the network once, and not framed a second time when it embeds them."""
    net, seen = replace(tiny_net, frame="ink"), []

    def embed(self: SiameseNet, name: str, images: np.ndarray, on_error: str) -> np.ndarray:
        seen.append(self._prepare(name, images)[0])
        return np.zeros((len(images), 8), np.float32)

    monkeypatch.setattr(SiameseNet, "_embed", embed)
    alphabets = generate_alphabets(2, characters=6, drawers=4, image_size=40, seed=5)
    verify(net, validation=alphabets[:1], test=alphabets[1:], pairs=10, rng=np.random.default_rng(3))
    calibrated(net, alphabets[1:], pairs=10, rng=np.random.default_rng(3))
    framed = {drawing.tobytes() for drawing in Drawings.of(alphabets[1:], 16, frame="ink").images}
    for images in seen[2:]:  # of the alphabets to test on
        assert {image.tobytes() for image in np.rint(255 * images).astype(np.uint8)} <= framed


def test_calibration_moves_the_bias_to_where_one_half_divides_best_and_no_ranks(tiny_net, rng):
    alphabets = generate_alphabets(2, characters=6, drawers=4, image_size=16, seed=5)
    tiny_net.params["head.bias"] = tiny_net.params["head.bias"] + np.float32(7.5)
    found = calibrated(tiny_net, alphabets, pairs=200, rng=np.random.default_rng(3))
    a, b, labels = verification._pair_images(tiny_net, alphabets, 200, np.random.default_rng(3))
    said, truth = found.similarity(a, b) > 0.5, labels > 0.5
    assert np.mean(said == truth) == pytest.approx(
        max(np.mean((tiny_net.logits(a, b) > t) == truth) for t in [-np.inf, *tiny_net.logits(a, b)]), abs=0.011
    )
    assert found.params["head.bias"].dtype == np.float32
    np.testing.assert_allclose(np.diff(found.scores(a, b[:5])), np.diff(tiny_net.scores(a, b[:5])), atol=1e-5)


def test_another_threshold_judges_the_same_pairs(generated):
    net, options = Grey(), {"validation": generated[:1], "test": generated[1:], "pairs": 300}
    chosen = verification.best_threshold(*verification._similarities(net, generated[:1], 300, np.random.default_rng(7)))
    best, same, never = (
        verify(net, rng=np.random.default_rng(7), threshold=threshold, **options) for threshold in (None, chosen, 1.0)
    )
    assert best == same
    assert never.correct == 150, "where all are called different, half are right"
