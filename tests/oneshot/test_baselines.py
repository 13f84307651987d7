"""The baselines: their definitions pixel by pixel, and their known results on the official runs."""

import numpy as np
import pytest

from scratchnet.errors import ShapeError
from scratchnet.oneshot.baselines import BASELINES, ModifiedHausdorff, PixelNearestNeighbour
from scratchnet.oneshot.trials import evaluate


@pytest.mark.parametrize(("name", "correct"), [("pixel nearest neighbour", 76), ("modified Hausdorff distance", 245)])
def test_the_baselines_get_on_the_official_runs_what_is_known(official, name, correct):
    result = evaluate(BASELINES[name], official)
    assert (result.correct, result.trials) == (correct, 400)


def hausdorff_by_definition(a: np.ndarray, b: np.ndarray) -> float:
    """Pixel by pixel, about the centres of gravity."""
    one, other = ([(i, j) for i, j in np.ndindex(x.shape) if x[i, j]] for x in (a, b))
    one, other = ([np.array(p) - np.mean(points, axis=0) for p in points] for points in (one, other))
    there = np.mean([min(np.linalg.norm(p - q) for q in other) for p in one])
    back = np.mean([min(np.linalg.norm(p - q) for p in one) for q in other])
    return float(max(there, back))


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


def test_pixels_of_images_of_other_sizes_are_not_compared(rng):
    queries, supports = rng.random((2, 6, 5)) < 0.3, rng.random((3, 5, 6)) < 0.3
    with pytest.raises(ShapeError, match=r"queries has shape \(2, 6, 5\) and supports \(3, 5, 6\)"):
        PixelNearestNeighbour().scores(queries, supports)
