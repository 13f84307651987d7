"""The batches of a training, by number: the same seed, epoch and step give the same batch."""

from typing import NamedTuple

import numpy as np

from scratchnet.augment import IDENTITY, AffineRanges, distort, symmetry
from scratchnet.backend import Array, Device
from scratchnet.data.drawings import Drawings
from scratchnet.data.episodes import sample_episodes
from scratchnet.data.pairs import sample_pairs
from scratchnet.errors import DataError
from scratchnet.losses import NWayCrossEntropy, PairCrossEntropy
from scratchnet.recipes import Recipe

# What random numbers are for: each has a stream of its own.
PAIRS, ORDER, EPISODES, DISTORTIONS, FRESH_DISTORTIONS, VALIDATION, CALIBRATION = range(1, 8)


def stream(seed: int, purpose: int, epoch: int = 0, step: int = 0) -> np.random.Generator:
    """The random numbers for one purpose in one step; all four numbers, since trailing zeros do not tell apart."""
    return np.random.default_rng([seed, purpose, epoch, step])


class Batch(NamedTuple):
    """What `train_step` takes, and how many images it holds."""

    a: Array
    b: Array
    target: Array
    images: int


class PairBatches:
    """Batches of the paper's objective: a fixed set of pairs with their distorted copies, in a new order each epoch.

    Each twin of a pair is distorted on its own: as drawn once and for all where the recipe asks for fixed copies,
    afresh for each batch where it does not.
    """

    loss = PairCrossEntropy()

    def __init__(self, recipe: Recipe, drawings: Drawings, device: Device) -> None:
        self.recipe, self.drawings, self.device = recipe, drawings, device
        self.pairs = sample_pairs(drawings.numbers, recipe.pairs, stream(recipe.seed, PAIRS))
        self.copies = 1 + recipe.fixed_distortions
        self._ordered: tuple[int, np.ndarray] | None = None
        self.steps = len(self.pairs) * self.copies // recipe.batch_size
        if self.steps == 0:
            raise DataError(f"a batch of {recipe.batch_size} is larger than the {len(self.pairs) * self.copies} pairs: "
                            "lower batch_size, or ask for more pairs")
        if recipe.fixed_distortions:
            count = 2 * len(self.pairs) * recipe.fixed_distortions
            drawn = AffineRanges().draw(stream(recipe.seed, DISTORTIONS), count, drawings.images.shape[-1])
            plain = np.broadcast_to(IDENTITY, (2, len(self.pairs), 1, 7))
            copies = drawn.reshape(2, len(self.pairs), recipe.fixed_distortions, 7)
            self.transforms = np.concatenate([plain, copies], axis=2)      # (twin, pair, copy, 7)

    def batch(self, epoch: int, step: int) -> Batch:
        """Batch number `step` of an epoch; the same numbers give the same batch."""
        chosen = self._order(epoch)[step * self.recipe.batch_size : (step + 1) * self.recipe.batch_size]
        pair, copy = np.divmod(chosen, self.copies)
        twins = np.concatenate([self.pairs.first[pair], self.pairs.second[pair]])
        images = self.drawings.ink(twins, self.device)
        if self.recipe.fixed_distortions:
            images = distort(images, self.transforms[:, pair, copy].reshape(-1, 7))
        elif self.recipe.distort:
            images = distort(images, _fresh_transforms(self.recipe, epoch, step, images))
        n = len(chosen)
        return Batch(images[:n], images[n:], self.device.upload(self.pairs.labels[pair]), 2 * n)

    def _order(self, epoch: int) -> np.ndarray:
        """The pairs and their copies in the order of this epoch; what fills no batch is left for another order."""
        if self._ordered is None or self._ordered[0] != epoch:
            rng = stream(self.recipe.seed, ORDER, epoch)
            self._ordered = epoch, rng.permutation(len(self.pairs) * self.copies)
        return self._ordered[1]


class EpisodeBatches:
    """Batches of one-shot choices: each query of an episode against all its supports."""

    loss = NWayCrossEntropy()

    def __init__(self, recipe: Recipe, drawings: Drawings, device: Device) -> None:
        self.recipe, self.drawings, self.device = recipe, drawings, device
        self.steps = recipe.steps
        sample_episodes(drawings.numbers, 1, recipe.n_way, np.random.default_rng(0))  # fail now if no alphabet is large
        one_hot = np.eye(recipe.n_way, dtype=np.float32)
        self.target = device.upload(np.tile(one_hot, (recipe.batch_size, 1, 1)))     # (E, Q, S)

    def batch(self, epoch: int, step: int) -> Batch:
        """Batch number `step` of an epoch; the same numbers give the same batch."""
        recipe, rng = self.recipe, stream(self.recipe.seed, EPISODES, epoch, step)
        queries, supports = sample_episodes(self.drawings.numbers, recipe.batch_size, recipe.n_way, rng)
        images = self.drawings.ink(np.stack([queries, supports]).reshape(-1), self.device)
        if recipe.distort:
            images = distort(images, _fresh_transforms(recipe, epoch, step, images))
        if recipe.symmetries:
            images = symmetry(images, int(rng.integers(4)), bool(rng.integers(2)))
        twins = images.reshape(2, recipe.batch_size, recipe.n_way, *images.shape[1:])
        return Batch(twins[0][:, :, None], twins[1][:, None], self.target, images.shape[0])


def _fresh_transforms(recipe: Recipe, epoch: int, step: int, images: Array) -> np.ndarray:
    rng = stream(recipe.seed, FRESH_DISTORTIONS, epoch, step)
    return AffineRanges().draw(rng, images.shape[0], images.shape[-1])


OBJECTIVES: dict[str, type[PairBatches | EpisodeBatches]] = {"pairs": PairBatches, "episodes": EpisodeBatches}
