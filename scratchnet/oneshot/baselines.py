"""Baselines without learning: the nearest image in pixels, and the modified Hausdorff distance of Lake et al."""

from dataclasses import dataclass

import numpy as np

from scratchnet.errors import ShapeError
from scratchnet.images.ink import expect_images
from scratchnet.oneshot.trials import Scorer


@dataclass(frozen=True)
class PixelNearestNeighbour(Scorer):
    """The nearest support by the Euclidean distance between the pixels."""

    def scores(self, queries: np.ndarray, supports: np.ndarray) -> np.ndarray:
        """The negative squared distance (Q, S), float64, of queries (Q, H, W) and supports (S, H, W).

        Raises DataError and ShapeError as SiameseNet.scores does, and ShapeError if the image sizes differ.
        """
        expect_images("queries", queries)
        expect_images("supports", supports)
        if queries.shape[1:] != supports.shape[1:]:
            raise ShapeError(
                f"queries has shape {queries.shape} and supports {supports.shape}, expected images of one "
                "size (H, W): resize them"
            )
        q, s = (images.reshape(len(images), -1).astype(np.float64) for images in (queries, supports))
        return 2 * q @ s.T - (q * q).sum(axis=1)[:, None] - (s * s).sum(axis=1)


@dataclass(frozen=True)
class ModifiedHausdorff(Scorer):
    """The baseline of Lake et al.: the modified Hausdorff distance (Dubuisson and Jain 1994) of the inked pixels.

    Each set of pixels is centred on its centre of gravity. A directed distance is the mean, over the pixels of one set,
    of the distance to the nearest pixel of the other; the modified Hausdorff distance is the larger of the two.
    """

    def scores(self, queries: np.ndarray, supports: np.ndarray) -> np.ndarray:
        """The negative distance (Q, S), float64, of queries (Q, H, W) and supports (S, H, W); ink is above one half.

        Raises DataError and ShapeError as SiameseNet.scores does.
        """
        expect_images("queries", queries)
        expect_images("supports", supports)
        q, s = ([_ink_points(image) for image in images] for images in (queries, supports))
        return np.array([[-_modified_hausdorff(a, b) for b in s] for a in q])


def _ink_points(image: np.ndarray) -> np.ndarray:
    """The coordinates (P, 2) of the inked pixels, relative to their centre of gravity; the origin if there are none."""
    points = np.argwhere(image > 0.5).astype(np.float64)
    return points - points.mean(axis=0) if len(points) else np.zeros((1, 2))


def _modified_hausdorff(a: np.ndarray, b: np.ndarray) -> float:
    ones_a, ones_b = np.ones((len(a), 1)), np.ones((len(b), 1))
    square_a, square_b = (a * a).sum(axis=1, keepdims=True), (b * b).sum(axis=1, keepdims=True)
    squared = np.hstack([a, square_a, ones_a]) @ np.hstack([-2 * b, ones_b, square_b]).T  # |a|^2 - 2 a.b + |b|^2
    nearest = (np.sqrt(np.maximum(squared.min(axis=axis), 0.0)) for axis in (0, 1))
    return max(float(distances.mean()) for distances in nearest)


NEAREST = "pixel nearest neighbour"
HAUSDORFF = "modified Hausdorff distance"
BASELINES: dict[str, Scorer] = {NEAREST: PixelNearestNeighbour(), HAUSDORFF: ModifiedHausdorff()}
