"""One-shot figures are honest: each query is judged alone, ties are wrong, and the official numbers come out."""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strict_array import strict

from scratchnet.backend import CPU, Device, device_of, to_device, to_host
from scratchnet.data.alphabets import Alphabet
from scratchnet.data.drawings import Drawings
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.data.locate import find_data
from scratchnet.errors import DataError
from scratchnet.models.networks import compact
from scratchnet.models.siamese import SiameseNet
from scratchnet.oneshot import trials as oneshot
from scratchnet.oneshot.trials import (
    ACROSS,
    BASELINES,
    WITHIN,
    Embedded,
    Ensemble,
    ModifiedHausdorff,
    PixelNearestNeighbour,
    Result,
    Run,
    WarpedQueries,
    best_threshold,
    evaluate,
    official_runs,
    sample_runs,
    verification,
    wilson_interval,
)

PALE = 2.0**-20  # of ink: images that show a number under 500,000 as so many are drawings


@dataclass
class Table:
    """A scorer that looks its scores up: images of one pixel say which row, query, and which column, support."""

    table: np.ndarray

    def scores(self, queries: np.ndarray, supports: np.ndarray) -> np.ndarray:
        rows, columns = ((images[:, 0, 0] / PALE).astype(int) for images in (queries, supports))
        return self.table[rows][:, columns]


def run_of(query_labels: list[int], support_labels: list[int], scope: str = WITHIN) -> Run:
    """A run for `Table`: each image shows its own position."""
    support, query = (PALE * np.arange(len(labels))[:, None, None] for labels in (support_labels, query_labels))
    return Run("run", scope, support, np.array(support_labels), query, np.array(query_labels))


def one_by_one(run: Run) -> list[Run]:
    """A run for each query, with the same supports."""
    return [
        replace(run, query=run.query[q : q + 1], query_labels=run.query_labels[q : q + 1])
        for q in range(len(run.query_labels))
    ]


@pytest.fixture(scope="module")
def official(real_data) -> list[Run]:
    return official_runs(find_data(real_data, "all_runs.zip", "all_runs"))


@pytest.fixture(scope="module")
def generated() -> list[Alphabet]:
    return generate_alphabets(3, characters=8, drawers=6, image_size=16, seed=4)


def numbered(*sizes: tuple[int, int]) -> list[Alphabet]:
    """Alphabets of so many characters and drawers; a drawing shows 10000 alphabet + 100 character + drawer, pale."""
    return [
        Alphabet(
            f"alphabet {k}",
            PALE * (10_000 * k + 100 * np.arange(c).reshape(c, 1, 1, 1) + np.arange(d).reshape(d, 1, 1)),
        )
        for k, (c, d) in enumerate(sizes)
    ]


def shown(images: np.ndarray) -> np.ndarray:
    """What `numbered` drawings show: (N, 3) of alphabet, character and drawer."""
    number = (images[:, 0, 0] / PALE).astype(int)
    return np.stack([number // 10_000, number // 100 % 100, number % 100], axis=1)


# The official runs


def test_the_official_runs_are_20_of_20_trials(official):
    assert len(official) == 20
    for run in official:
        assert run.scope == WITHIN
        assert run.support.shape == run.query.shape == (20, 105, 105)
        assert run.support_labels.tolist() == sorted(run.query_labels) == list(range(20))


@pytest.mark.parametrize(("name", "correct"), [("pixel nearest neighbour", 76), ("modified Hausdorff distance", 245)])
def test_the_baselines_get_on_the_official_runs_what_is_known(official, name, correct):
    result = evaluate(BASELINES[name], official)
    assert (result.correct, result.trials) == (correct, 400)


def test_a_constant_scorer_gets_nothing_right_on_the_official_runs(official):
    class Constant:
        def scores(self, queries, supports):
            return np.full((len(queries), len(supports)), 0.25)

    assert evaluate(Constant(), official) == Result(0, 400)


# Counting


def test_a_network_with_constant_embeddings_gets_nothing_right(tiny_net, generated, rng):
    params = dict(tiny_net.params)
    params["encoder.linear.weight"] = np.zeros_like(params["encoder.linear.weight"])
    runs = sample_runs(generated, 6, rng, n_way=8)
    assert evaluate(replace(tiny_net, params=params), runs).correct == 0
    assert evaluate(PixelNearestNeighbour(), runs).correct > 0  # the runs themselves can be solved


@pytest.mark.parametrize(
    ("scores", "correct"),
    [
        ([2, 1, 1], True),
        ([1, 2, 1], False),
        ([2, 2, 1], False),
        ([1, 1, 1], False),
        ([1, 0, 1], False),
        ([np.nan, 0, 0], False),
        ([2, np.nan, 0], False),
        ([np.nan] * 3, False),
        ([-1e30, -2e30, -3e30], True),
        ([0, -np.inf, -np.inf], True),
        ([-np.inf] * 3, False),
        ([np.inf, np.inf, 0], False),
    ],
    ids=str,
)
def test_only_a_score_strictly_above_all_others_is_right(scores, correct):
    """The first character is the right one."""
    assert evaluate(Table(np.array([scores], float)), [run_of([0], [0, 1, 2])]).correct == correct


def test_a_perfect_scorer_gets_everything_right_and_its_opposite_nothing(rng):
    runs = [run_of(rng.permutation(5).tolist(), rng.permutation(5).tolist()) for _ in range(1)]
    (run,) = runs
    same = (run.query_labels[:, None] == run.support_labels).astype(float)
    assert evaluate(Table(same), runs) == Result(5, 5)
    assert evaluate(Table(-same), runs) == Result(0, 5)


def test_the_order_of_the_supports_does_not_matter(rng):
    run = run_of(rng.integers(0, 10, 40).tolist(), [*range(10), *range(10)])
    scorer = Table(rng.standard_normal((40, 20)))
    order = rng.permutation(20)
    shuffled = replace(run, support=run.support[order], support_labels=run.support_labels[order])
    assert 0 < evaluate(scorer, [run]).correct < 40
    assert evaluate(scorer, [shuffled]) == evaluate(scorer, [run])


def test_a_query_is_judged_without_a_look_at_the_other_queries(rng):
    run = run_of(rng.permutation(20).tolist(), list(range(20)))
    same = run.query_labels[:, None] == run.support_labels
    scorer = Table(rng.standard_normal((20, 20)) + 1.5 * same)
    alone = [evaluate(scorer, [each]).correct for each in one_by_one(run)]
    assert 0 < sum(alone) < 20
    assert evaluate(scorer, [run]).correct == sum(alone)


def test_a_network_judges_a_query_without_a_look_at_the_others(tiny_net, generated, rng):
    (run,) = sample_runs(generated, 1, rng, n_way=8)
    together = tiny_net.scores(run.query, run.support)
    for q, each in enumerate(one_by_one(run)):
        np.testing.assert_allclose(tiny_net.scores(each.query, each.support)[0], together[q], rtol=1e-4)


def test_several_supports_of_a_character_are_averaged_however_many_they_are():
    scores = np.array([[9.0, -15.0, -2.0, -2.0, -2.0, -2.5]])  # means -3, -2 and -2.5
    run = run_of([1], [0, 0, 1, 1, 1, 2])
    assert evaluate(Table(scores), [run]).correct == 1
    assert evaluate(Table(scores), [replace(run, query_labels=np.array([0]))]).correct == 0


def test_the_trials_of_all_runs_are_counted():
    runs = [run_of([0, 1], [0, 1]), run_of([1, 0, 1], [0, 1])]
    assert evaluate(Table(np.array([[1.0, 0]] * 3)), runs) == Result(2, 5)


# Scopes


@pytest.mark.parametrize("device", ["strict"], indirect=True)
def test_a_device_is_given_all_runs_before_the_first_answer_is_read(device, generated, rng):
    waits = []

    class Watched:
        def __init__(self):
            self.device = device

        def scores(self, queries, supports):
            waits.append(strict.synchronisations)
            return supports[:, 0, 0].astype("float32") + queries[:, 0, :1].astype("float32")

    strict.synchronisations = 0
    evaluate(Watched(), sample_runs(generated, 4, rng, n_way=8))
    assert waits == [0] * 4
    assert strict.synchronisations == 4


def test_trials_within_and_across_alphabets_are_not_mixed():
    within, across = run_of([0], [0, 1]), run_of([0], [0, 1], ACROSS)
    scorer = Table(np.array([[1.0, 0]]))
    assert evaluate(scorer, [across]).scope == ACROSS
    assert evaluate(scorer, [within]).scope == WITHIN
    with pytest.raises(DataError, match="within and across alphabets are different tasks"):
        evaluate(scorer, [within, across])


def test_no_runs_are_refused():
    with pytest.raises(DataError, match="expected one or more runs"):
        evaluate(PixelNearestNeighbour(), [])


# Sampling


@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize(("n_way", "k_shot"), [(5, 1), (3, 2), (20, 5)])
def test_sampled_runs_have_the_ways_and_shots_asked_for(n_way, k_shot, across, rng):
    runs = sample_runs(numbered((20, 6), (30, 8)), 4, rng, n_way, k_shot, across)
    assert len(runs) == 4
    for run in runs:
        assert run.scope == (ACROSS if across else WITHIN)
        assert run.support.shape == (n_way * k_shot, 1, 1)
        assert run.query.shape == (n_way, 1, 1)
        assert Counter(run.support_labels.tolist()) == dict.fromkeys(range(n_way), k_shot)
        assert sorted(run.query_labels) == list(range(n_way))


@pytest.mark.parametrize("across", [False, True])
def test_a_label_stands_for_one_character_and_its_query_is_by_another_hand(across, rng):
    for run in sample_runs(numbered((20, 6), (30, 8)), 10, rng, 5, 3, across):
        support, query = shown(run.support), shown(run.query)
        characters = {label: tuple(query[run.query_labels == label][0, :2]) for label in range(5)}
        assert len(set(characters.values())) == 5
        for label, (*character, _) in zip(run.support_labels, support, strict=True):
            assert tuple(character) == characters[label]
        assert len(set(query[:, 2])) == 1
        assert len(set(support[:, 2])) == 3
        assert not set(query[:, 2]) & set(support[:, 2])


def test_ten_alphabets_and_20_runs_give_the_papers_400_trials_each_alphabet_twice(rng):
    runs = sample_runs(numbered(*[(20 + k, 4) for k in range(10)]), 20, rng)
    assert sum(len(run.query) for run in runs) == 400
    alphabets = [set(shown(np.concatenate([run.support, run.query]))[:, 0]) for run in runs]
    assert all(len(each) == 1 for each in alphabets)
    assert Counter(alphabet for (alphabet,) in alphabets) == dict.fromkeys(range(10), 2)


def test_across_alphabets_the_characters_of_a_run_come_from_several(rng):
    for run in sample_runs(numbered((6, 4), (6, 4), (6, 4)), 5, rng, n_way=12, across=True):
        assert len(set(shown(run.query)[:, 0])) > 1


def test_alphabets_that_are_too_small_are_left_out(rng):
    runs = sample_runs(numbered((4, 9), (5, 2), (6, 3)), 4, rng, n_way=5, k_shot=2)
    assert {alphabet for run in runs for alphabet in shown(run.query)[:, 0]} == {2}


@pytest.mark.parametrize(
    ("n_way", "k_shot", "across", "complaint"),
    [
        (7, 1, False, "no alphabet has 7 characters by 2 drawers"),
        (2, 3, False, "no alphabet has 2 characters by 4 drawers"),
        (12, 1, True, "all alphabets together have not 12 characters by 2 drawers"),
        (2, 3, True, "all alphabets together have not 2 characters by 4 drawers"),
    ],
)
def test_more_ways_or_shots_than_there_are_is_refused(n_way, k_shot, across, complaint, rng):
    with pytest.raises(DataError, match=complaint):
        sample_runs(numbered((6, 3), (5, 3)), 2, rng, n_way, k_shot, across)


def test_the_same_seed_samples_the_same_runs(generated):
    one, again, other = (
        np.stack([run.query for run in sample_runs(generated, 3, np.random.default_rng(seed), 5)]) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


# Intervals


@pytest.mark.parametrize(
    ("correct", "trials", "low", "high"),
    [(368, 400, 0.889, 0.943), (0, 10, 0, 0.278), (10, 10, 0.722, 1), (1, 2, 0.095, 0.905), (245, 400, 0.564, 0.659)],
)
def test_the_wilson_interval_has_its_known_values(correct, trials, low, high):
    assert wilson_interval(correct, trials) == pytest.approx((low, high), abs=6e-4)
    assert Result(correct, trials).interval == wilson_interval(correct, trials)


@pytest.mark.parametrize("correct", [0, 1, 13, 99, 100])
def test_at_its_ends_the_wilson_interval_is_1_96_standard_errors_from_what_was_measured(correct):
    low, high = wilson_interval(correct, 100)
    assert 0 <= low <= correct / 100 <= high <= 1
    for end in (low, high):
        assert (correct / 100 - end) ** 2 == pytest.approx(1.959964**2 * end * (1 - end) / 100, abs=1e-12)


def test_a_result_reads_as_a_line_and_as_figures():
    result = Result(368, 400, ACROSS)
    assert result.accuracy == 0.92
    assert "92.0%" in str(result)
    assert "368 of 400" in str(result)
    assert "88.9% - 94.3%" in str(result)
    figures = result.as_dict()
    assert figures.pop("interval") == list(result.interval)
    assert figures == {"correct": 368, "trials": 400, "accuracy": 0.92, "scope": ACROSS}


# Several networks, several looks, and every image once


class Counted:
    """A network that counts the images that it embeds."""

    def __init__(self, net):
        self.net, self.device, self.head, self.params = net, net.device, net.head, net.params
        self.embedded = 0

    def embed(self, images):
        assert device_of(images) is self.device
        self.embedded += len(images)
        return self.net.embed(images)


def test_every_distinct_image_is_embedded_once_and_scored_as_ever(tiny_net, generated, device):
    net = tiny_net.to_device(device)
    runs = sample_runs(generated, 12, np.random.default_rng(0), n_way=8, k_shot=2)
    counted = Counted(net)
    scorer = Embedded(counted)
    for run in runs:
        found = to_host(scorer.scores(run.query, run.support))
        expected = to_host(net.scores(to_device(run.query, device), to_device(run.support, device)))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    shown = np.concatenate([images for run in runs for images in (run.query, run.support)])
    assert counted.embedded == len({image.tobytes() for image in shown}) < len(shown)
    assert evaluate(scorer, runs) == evaluate(net, runs)
    pairs = shown[:40].astype(np.float32), shown[40:80].astype(np.float32)
    expected = to_host(net.similarity(*(to_device(images, device) for images in pairs)))
    np.testing.assert_allclose(to_host(scorer.similarity(*pairs)), expected, rtol=1e-5)


def test_images_with_the_same_bytes_but_another_shape_or_type_are_told_apart(tiny_net, rng):
    ink = rng.random((1, 12, 16)) < 0.5
    scorer = Embedded(tiny_net)
    for images in (ink, ink.reshape(1, 16, 12), ink.view(np.float32), ink.astype(np.float32)):
        images = np.nan_to_num(images) if images.dtype != bool else images
        np.testing.assert_array_equal(scorer.embed(images), tiny_net.embed(images))


def test_an_ensemble_takes_the_mean_of_scores_and_of_probabilities(generated, rng):
    nets = [compact(seed=1, image_size=16, width=2, features=8), compact(seed=2, image_size=24, width=2, features=8)]
    ensemble = Ensemble([Embedded(net) for net in nets])
    (run,) = sample_runs(generated, 1, rng, n_way=6)
    scores = [net.scores(run.query, run.support) for net in nets]
    np.testing.assert_allclose(ensemble.scores(run.query, run.support), sum(scores) / 2, rtol=1e-5)
    a, b = run.query.astype(np.float32), run.support.astype(np.float32)
    similarities = [net.similarity(a, b) for net in nets]
    np.testing.assert_allclose(ensemble.similarity(a, b), sum(similarities) / 2, rtol=1e-5)
    assert verification(ensemble, generated[:1], generated[1:], 20, rng).trials == 20


def test_an_ensemble_of_one_network_is_that_network(tiny_net, generated, rng):
    runs = sample_runs(generated, 4, rng, n_way=6)
    assert evaluate(Ensemble([Embedded(tiny_net)] * 3), runs) == evaluate(tiny_net, runs)


class Seen:
    """A scorer that keeps the queries it was shown, and finds them all alike."""

    def __init__(self):
        self.queries = []

    def scores(self, queries, supports):
        self.queries.append(queries.astype(np.float64))
        return np.full((len(queries), len(supports)), float(len(self.queries)))


def test_warped_queries_are_seen_as_they_are_and_through_small_maps(generated):
    queries = generated[0].images[:5, 0]
    seen = Seen()
    scores = WarpedQueries(seen, 4).scores(queries, queries[:2])
    np.testing.assert_array_equal(scores, np.full((5, 2), np.mean([1, 2, 3, 4, 5])))
    first, *warped = seen.queries
    np.testing.assert_array_equal(first, queries)
    assert len({images.tobytes() for images in warped}) == 4
    for images in warped:
        assert not np.array_equal(images, queries)
        assert images.sum() == pytest.approx(queries.sum(), rel=0.3)  # the ink is all there
        assert np.corrcoef(images.ravel(), queries.ravel())[0, 1] > 0.3


def test_warped_queries_are_still_judged_alone_and_alike_each_time(tiny_net, generated, rng):
    (run,) = sample_runs(generated, 1, rng, n_way=8)
    scorer = WarpedQueries(Embedded(tiny_net), 3)
    together = scorer.scores(run.query, run.support)
    np.testing.assert_array_equal(WarpedQueries(Embedded(tiny_net), 3).scores(run.query, run.support), together)
    for q, each in enumerate(one_by_one(run)):
        np.testing.assert_allclose(scorer.scores(each.query, each.support)[0], together[q], rtol=1e-4)
    other = WarpedQueries(Embedded(tiny_net), 3, seed=1).scores(run.query, run.support)
    assert not np.allclose(other, together, rtol=1e-6)


def test_warped_queries_stay_on_the_device_of_a_network(tiny_net, generated, device, rng):
    runs = sample_runs(generated, 2, rng, n_way=6)
    found = evaluate(WarpedQueries(tiny_net.to_device(device), 2), runs)
    assert found == evaluate(WarpedQueries(tiny_net, 2), runs)


# Baselines


def hausdorff_by_definition(a: np.ndarray, b: np.ndarray) -> float:
    """Pixel by pixel, about the centres of gravity."""
    one, other = ([(i, j) for i, j in np.ndindex(x.shape) if x[i, j]] for x in (a, b))
    one, other = ([np.array(p) - np.mean(points, axis=0) for p in points] for points in (one, other))
    there = np.mean([min(np.linalg.norm(p - q) for q in other) for p in one])
    back = np.mean([min(np.linalg.norm(p - q) for p in one) for q in other])
    return max(there, back)


def test_the_modified_hausdorff_distance_is_the_larger_mean_distance_to_the_nearest_pixel(rng):
    queries, supports = rng.random((4, 6, 5)) < 0.3, rng.random((5, 6, 5)) < 0.2
    supports[0] = False
    supports[0, 1, 2] = True  # a single pixel
    expected = [[-hausdorff_by_definition(q, s) for s in supports] for q in queries]
    scores = ModifiedHausdorff().scores(queries, supports)
    assert scores.dtype == np.float64
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-6)


def test_the_modified_hausdorff_distance_does_not_mind_where_a_character_stands():
    image = np.random.default_rng(0).random((1, 7, 7)) < 0.4
    moved = np.pad(image, ((0, 0), (3, 0), (0, 2)))
    np.testing.assert_allclose(ModifiedHausdorff().scores(image, moved), 0, atol=1e-6)


def test_an_empty_image_has_a_distance_too(rng):
    empty, image = np.zeros((1, 6, 6), bool), rng.random((1, 6, 6)) < 0.4
    scores = ModifiedHausdorff().scores(np.concatenate([empty, image]), np.concatenate([empty, image]))
    assert np.all(np.isfinite(scores))
    np.testing.assert_allclose(np.diag(scores), 0, atol=1e-6)
    assert scores[0, 1] == pytest.approx(scores[1, 0])
    assert scores[0, 1] < -0.5


@pytest.mark.parametrize("dtype", [bool, np.float32])
def test_the_nearest_neighbour_in_pixels_is_by_squared_distance(dtype, rng):
    queries, supports = (rng.random((n, 5, 4)).round(1).astype(dtype) for n in (3, 4))
    expected = [[-np.sum((q.astype(float) - s.astype(float)) ** 2) for s in supports] for q in queries]
    np.testing.assert_allclose(PixelNearestNeighbour().scores(queries, supports), expected, rtol=0, atol=1e-12)


# Verification


def right_at(threshold: float, similarity: np.ndarray, labels: np.ndarray) -> int:
    return np.count_nonzero((similarity > threshold) == (labels > 0.5))


def most_right(similarity: np.ndarray, labels: np.ndarray) -> int:
    """Tries every way to cut: below all, and at each value."""
    return max(right_at(threshold, similarity, labels) for threshold in [-np.inf, *similarity.tolist()])


TIES = st.integers(0, 4).map(lambda k: k / 4)
NEIGHBOURS = st.integers(0, 4).map(lambda k: 1 - k * 2.0**-24)  # of one another in float32, as near certainty
pairs = st.one_of(
    st.lists(st.tuples(similarity, st.booleans()), min_size=1, max_size=12)
    for similarity in (TIES, NEIGHBOURS, st.floats(0, 1, width=32))
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
    result = verification(Grey(sign), [grey_alphabet(0.24)], [grey_alphabet(0.2)], 200, rng)
    assert result.trials == 200
    assert result.accuracy == accuracy


def test_the_threshold_of_verification_is_chosen_without_the_test_alphabets(rng):
    """Differences of 0.24 put the threshold at 0.12: a test alphabet with differences of 0.05 looks all the same."""
    assert verification(Grey(), [grey_alphabet(0.24)], [grey_alphabet(0.05)], 200, rng).correct == 100


def test_verification_tells_near_certainty_from_certainty(rng):
    class Sure(Grey):
        def similarity(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
            return np.where((a == b).all(axis=(1, 2)), 1, 1 - 2.0**-24).astype(np.float32)

    assert verification(Sure(), [grey_alphabet(0.24)], [grey_alphabet(0.2)], 200, rng).correct == 200


def test_verification_takes_pairs_of_the_size_of_the_network(generated, tiny_net, rng):
    result = verification(tiny_net, generated[:1], generate_alphabets(1, 5, 4, 30), 50, rng)
    assert result.trials == 50
    assert result.scope == oneshot.WITHIN


def test_pairs_are_framed_once(tiny_net, monkeypatch):
    """What a network that frames the ink is given has been framed, and is not framed about its ink again."""
    net, seen = replace(tiny_net, frame="ink"), []

    def embed(self: SiameseNet, name: str, images: np.ndarray) -> np.ndarray:
        seen.append(self._prepare(name, images))
        return np.zeros((len(images), 8), np.float32)

    monkeypatch.setattr(SiameseNet, "_embed", embed)
    alphabets = generate_alphabets(2, 6, 4, 40, seed=5)
    verification(net, alphabets[:1], alphabets[1:], 10, np.random.default_rng(3))
    oneshot.calibrated(net, alphabets[1:], 10, np.random.default_rng(3))
    framed = {drawing.tobytes() for drawing in Drawings.of(alphabets[1:], 16, "ink").images}
    for images in seen[2:]:  # of the alphabets to test on
        assert {image.tobytes() for image in np.rint(255 * images).astype(np.uint8)} <= framed


def test_calibration_moves_the_bias_to_where_one_half_divides_best_and_no_ranks(tiny_net, rng):
    alphabets = generate_alphabets(2, 6, 4, 16, seed=5)
    tiny_net.params["head.bias"] = tiny_net.params["head.bias"] + np.float32(7.5)
    found = oneshot.calibrated(tiny_net, alphabets, 200, np.random.default_rng(3))
    a, b, labels = oneshot._pair_images(tiny_net, alphabets, 200, np.random.default_rng(3))
    said, truth = found.similarity(a, b) > 0.5, labels > 0.5
    assert np.mean(said == truth) == pytest.approx(
        max(np.mean((tiny_net.logits(a, b) > t) == truth) for t in [-np.inf, *tiny_net.logits(a, b)]), abs=0.011
    )
    assert found.params["head.bias"].dtype == np.float32
    np.testing.assert_allclose(np.diff(found.scores(a, b[:5])), np.diff(tiny_net.scores(a, b[:5])), atol=1e-5)
