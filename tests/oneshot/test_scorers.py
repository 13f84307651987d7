"""Scorers made of networks judge each query alone, and embed each image once."""

from dataclasses import fields, replace

import numpy as np
import pytest
from helpers import one_by_one

from scratchnet.backend import device_of, to_device, to_host
from scratchnet.layers import sigmoid
from scratchnet.models.networks import compact
from scratchnet.models.siamese import SiameseNet
from scratchnet.oneshot.baselines import PixelNearestNeighbour
from scratchnet.oneshot.scorers import Embedded, Ensemble, WarpedQueries
from scratchnet.oneshot.trials import Scorer, evaluate, sample_runs
from scratchnet.oneshot.verification import verify


def test_a_network_with_constant_embeddings_gets_nothing_right(tiny_net, generated, rng):
    params = dict(tiny_net.params)
    params["encoder.linear.weight"] = np.zeros_like(params["encoder.linear.weight"])
    runs = sample_runs(generated, 6, rng=rng, n_way=8)
    assert evaluate(replace(tiny_net, params=params), runs).correct == 0
    assert evaluate(PixelNearestNeighbour(), runs).correct > 0  # the runs themselves can be solved


def test_a_network_judges_a_query_without_a_look_at_the_others(tiny_net, generated, rng):
    (run,) = sample_runs(generated, 1, rng=rng, n_way=8)
    together = tiny_net.scores(run.query, run.support)
    for q, each in enumerate(one_by_one(run)):
        np.testing.assert_allclose(tiny_net.scores(each.query, each.support)[0], together[q], rtol=1e-4)


class Counted(SiameseNet):
    """A network that counts the images that it looks at."""

    embedded = 0

    def look(self, images, **options):
        assert device_of(images) is self.device
        self.embedded += len(images)
        return super().look(images, **options)


def test_every_distinct_image_is_embedded_once_and_scored_as_ever(tiny_net, generated, device):
    net = tiny_net.to_device(device)
    runs = sample_runs(generated, 12, rng=np.random.default_rng(0), n_way=8, k_shot=2)
    counted = Counted(**{each.name: getattr(net, each.name) for each in fields(net)})
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


@pytest.mark.parametrize("ways", [{"views": 2}, {"align": 3}, {"views": 8, "align": 2}])
def test_other_ways_of_scoring_are_those_of_the_network(tiny_net, generated, rng, ways):
    (run,) = sample_runs(generated, 1, rng=rng, n_way=8)
    scorer = Embedded(tiny_net, **ways)
    for _ in range(2):  # the second time from the cache
        found = scorer.scores(run.query, run.support)
        np.testing.assert_allclose(found, tiny_net.scores(run.query, run.support, **ways), rtol=1e-3, atol=1e-3)
    same = np.diag(tiny_net.scores(run.query, run.support, **ways | ({"align": 8} if "align" in ways else {})))
    np.testing.assert_allclose(scorer.similarity(run.query, run.support), sigmoid(same), rtol=1e-3, atol=1e-3)


def test_images_with_the_same_bytes_but_another_shape_or_type_are_told_apart(tiny_net, rng):
    ink = rng.random((1, 12, 16)) < 0.5
    scorer = Embedded(tiny_net)
    for images in (ink, ink.reshape(1, 16, 12), ink.view(np.float32), ink.astype(np.float32)):
        images = np.nan_to_num(images) if images.dtype != bool else images
        np.testing.assert_array_equal(scorer.embed(images), tiny_net.embed(images))


def test_an_ensemble_takes_the_mean_of_scores_and_of_probabilities(generated, rng):
    nets = [compact(seed=1, image_size=16, width=2, features=8), compact(seed=2, image_size=24, width=2, features=8)]
    ensemble = Ensemble([Embedded(net) for net in nets])
    (run,) = sample_runs(generated, 1, rng=rng, n_way=6)
    scores = [net.scores(run.query, run.support) for net in nets]
    np.testing.assert_allclose(ensemble.scores(run.query, run.support), sum(scores) / 2, rtol=1e-5)
    a, b = run.query.astype(np.float32), run.support.astype(np.float32)
    similarities = [net.similarity(a, b) for net in nets]
    np.testing.assert_allclose(ensemble.similarity(a, b), sum(similarities) / 2, rtol=1e-5)
    assert verify(ensemble, validation=generated[:1], test=generated[1:], pairs=20, rng=rng).trials == 20


def test_an_ensemble_of_one_network_is_that_network(tiny_net, generated, rng):
    runs = sample_runs(generated, 4, rng=rng, n_way=6)
    assert evaluate(Ensemble([Embedded(tiny_net)] * 3), runs) == evaluate(tiny_net, runs)


class Seen(Scorer):
    """A scorer that records its queries and scores them all alike, by the number of calls."""

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
    (run,) = sample_runs(generated, 1, rng=rng, n_way=8)
    scorer = WarpedQueries(Embedded(tiny_net), 3)
    together = scorer.scores(run.query, run.support)
    np.testing.assert_array_equal(WarpedQueries(Embedded(tiny_net), 3).scores(run.query, run.support), together)
    for q, each in enumerate(one_by_one(run)):
        np.testing.assert_allclose(scorer.scores(each.query, each.support)[0], together[q], rtol=1e-4)
    other = WarpedQueries(Embedded(tiny_net), 3, seed=1).scores(run.query, run.support)
    assert not np.allclose(other, together, rtol=1e-6)


def test_warped_queries_stay_on_the_device_of_a_network(tiny_net, generated, device, rng):
    runs = sample_runs(generated, 2, rng=rng, n_way=6)
    found = evaluate(WarpedQueries(tiny_net.to_device(device), 2), runs)
    assert found == evaluate(WarpedQueries(tiny_net, 2), runs)
