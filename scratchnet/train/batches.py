"""The batches of a run by number: the same seed, epoch and step give the same batch.

Where several ranks train, each makes its rows of a batch, as many as the others. Random numbers are drawn for the whole
batch by all of them, so that it is the same batch whatever their number.
"""

import numpy as np

from scratchnet.backend import Array, Device, array_module
from scratchnet.data.drawings import Drawings
from scratchnet.data.episodes import sample_episodes
from scratchnet.data.pairs import Pairs, sample_pairs
from scratchnet.data.uneven import drawn_again
from scratchnet.errors import DataError
from scratchnet.images.augment import IDENTITY, SYMMETRIES, AffineRanges, ElasticRanges, distort, symmetry, thicken
from scratchnet.losses import NWayCrossEntropy, PairCrossEntropy
from scratchnet.parallel.comm import ALONE, Comm
from scratchnet.train.gradients import Batch
from scratchnet.train.recipe import Recipe

# The purposes of random numbers, each with a separate stream.
PAIRS, ORDER, EPISODES, DISTORTIONS, FRESH_DISTORTIONS, VALIDATION, CALIBRATION, ELASTIC, STROKES, TURNS = range(1, 11)


def stream(seed: int, purpose: int, epoch: int = 0, step: int = 0) -> np.random.Generator:
    """The random numbers for one purpose in one step.

    The key always has all four parts, since default_rng ignores trailing zeros.
    """
    return np.random.default_rng([seed, purpose, epoch, step])


class PairBatches:
    """Batches of the paper's objective: a fixed set of pairs with their distorted copies, in a new order each pass.

    The twins of a pair are distorted independently: by distortions drawn once where the recipe asks for fixed copies,
    by new ones for each batch otherwise. Raises DataError for a batch larger than the set.
    """

    loss = PairCrossEntropy()

    def __init__(self, recipe: Recipe, drawings: Drawings, device: Device, ranks: Comm = ALONE) -> None:
        self.recipe, self.drawings, self.device = recipe, drawings, device
        self.rows = _own_rows(recipe.batch_size, ranks)
        rng = stream(recipe.seed, PAIRS)
        pairs = sample_pairs(drawings.numbers, recipe.pairs, rng=rng, across=recipe.negatives == "across")
        first, second = (drawn_again(numbers, drawings.repeats, rng) for numbers in (pairs.first, pairs.second))
        self.pairs = Pairs(first, second, pairs.labels)
        self.copies = 1 + recipe.fixed_distortions
        self._ordered: tuple[int, np.ndarray] | None = None
        self.in_a_pass = len(self.pairs) * self.copies // recipe.batch_size
        self.steps = recipe.epoch_pairs // recipe.batch_size or self.in_a_pass
        if self.in_a_pass == 0:
            raise DataError(
                f"a batch of {recipe.batch_size} is larger than the {len(self.pairs) * self.copies} pairs: "
                "lower batch_size, or ask for more pairs"
            )
        if recipe.fixed_distortions:
            count = 2 * len(self.pairs) * recipe.fixed_distortions
            drawn = AffineRanges().draw(
                count, image_size=drawings.images.shape[-1], rng=stream(recipe.seed, DISTORTIONS)
            )
            plain = np.broadcast_to(IDENTITY, (2, len(self.pairs), 1, 7))
            copies = drawn.reshape(2, len(self.pairs), recipe.fixed_distortions, 7)
            self.transforms = np.concatenate([plain, copies], axis=2)  # (twin, pair, copy, 7)

    def batch(self, epoch: int, step: int) -> Batch:
        """Our rows of batch number `step` of an epoch: a and b (N, S, S), target (N,), 1 for the same character."""
        number, place = divmod(epoch * self.steps + step, self.in_a_pass)
        size = self.recipe.batch_size
        chosen = self._order(number)[place * size : (place + 1) * size][self.rows]
        pair, copy = np.divmod(chosen, self.copies)
        twins = np.concatenate([self.pairs.first[pair], self.pairs.second[pair]])
        images = self.drawings.ink(twins, self.device)
        if self.recipe.fixed_distortions:
            transforms = self.transforms[:, pair, copy].reshape(-1, 7)
            images = distort(images, transforms, as_listed=self.recipe.as_listed)
        else:
            own = np.arange(2 * size).reshape(2, size)[:, self.rows].ravel()
            images = distorted(self.recipe, epoch, step, images, own=own, total=2 * size)
        n = len(chosen)
        return Batch(images[:n], images[n:], self.device.upload(self.pairs.labels[pair]), 2 * n)

    def _order(self, number: int) -> np.ndarray:
        """The pairs and their copies in the order of this pass, which leaves out those that fill no batch."""
        if self._ordered is None or self._ordered[0] != number:
            rng = stream(self.recipe.seed, ORDER, number)
            self._ordered = number, rng.permutation(len(self.pairs) * self.copies)
        return self._ordered[1]


class EpisodeBatches:
    """Batches of one-shot choices: each query of an episode against all its supports, or both ways.

    With D drawers on each side, each query is compared with the supports of each drawer, and every image is embedded
    only once: a (E, D, 1, Q, 1, S, S) and b (E, 1, D, 1, n_way, S, S) give scores (E, D, D, Q, n_way). Raises DataError
    when no alphabet is large enough for an episode.
    """

    def __init__(self, recipe: Recipe, drawings: Drawings, device: Device, ranks: Comm = ALONE) -> None:
        self.recipe, self.drawings, self.device = recipe, drawings, device
        self.rows = _own_rows(recipe.batch_size, ranks)
        self.loss = NWayCrossEntropy(recipe.both_ways)
        self.steps = recipe.steps
        self._sample(1, np.random.default_rng(0))  # fails now if no alphabet is large enough

    def batch(self, epoch: int, step: int) -> Batch:
        """Our episodes of batch number `step` of an epoch, with target (E, D, D, Q, n_way) one-hot."""
        recipe, rng = self.recipe, stream(self.recipe.seed, EPISODES, epoch, step)
        whole = np.stack(self._sample(recipe.batch_size, rng))  # (2, all episodes, D, n_way)
        numbers = whole[:, self.rows]  # (2, E, D, n_way)
        queries, supports = self.drawings.labels[numbers]
        target = queries[:, :, None, :, None] == supports[:, None, :, None, :]
        images = self.drawings.ink(numbers.reshape(-1), self.device)
        own = np.arange(whole.size).reshape(whole.shape)[:, self.rows].ravel()
        images = distorted(recipe, epoch, step, images, own=own, total=whole.size)
        twins = images.reshape(*numbers.shape, *images.shape[1:])
        if recipe.symmetries:
            twins = _turned(twins, _turns(recipe.batch_size, stream(recipe.seed, TURNS, epoch, step))[self.rows])
        uploaded = self.device.upload(target.astype(np.float32))
        return Batch(twins[0][:, :, None, :, None], twins[1][:, None, :, None], uploaded, images.shape[0])

    def _sample(self, episodes: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        recipe, drawings = self.recipe, self.drawings
        sampled = sample_episodes(drawings.numbers, episodes, n_way=recipe.n_way, rng=rng, hands=recipe.hands)
        queries, supports = (drawn_again(numbers, drawings.repeats, rng) for numbers in sampled)
        return queries, supports


def distorted(
    recipe: Recipe,
    epoch: int,
    step: int,
    images: Array,
    *,
    own: slice | np.ndarray = slice(None),
    total: int | None = None,
) -> Array:
    """Images (N, S, S), each with new distortions of every kind that the recipe asks for.

    own: their numbers in a batch of `total` images, for all of which random numbers are drawn; None: they are all.
    """
    N, S = total or images.shape[0], images.shape[1]
    if recipe.distort or recipe.elastic:
        affine = AffineRanges() if recipe.distort else AffineRanges(probability=0)
        transforms = affine.draw(N, image_size=S, rng=stream(recipe.seed, FRESH_DISTORTIONS, epoch, step))[own]
        rng = stream(recipe.seed, ELASTIC, epoch, step)
        images = distort(
            images,
            transforms,
            elastic=ElasticRanges(recipe.elastic).draw(N, image_size=S, rng=rng)[own] if recipe.elastic else None,
            as_listed=recipe.as_listed,
        )
    if recipe.stroke:
        shares = stream(recipe.seed, STROKES, epoch, step).uniform(-recipe.stroke, recipe.stroke, N)[own]
        images = thicken(images, shares)
    return images


def _own_rows(size: int, ranks: Comm) -> slice:
    """The rows of a batch of this size that are this rank's."""
    return slice(size * ranks.rank // ranks.size, size * (ranks.rank + 1) // ranks.size)


def _turns(E: int, rng: np.random.Generator) -> np.ndarray:
    """A symmetry (E,) for each episode; all eight come before one recurs."""
    return np.concatenate([rng.permutation(len(SYMMETRIES)) for _ in range(0, E, len(SYMMETRIES))])[:E]


def _turned(twins: Array, turns: np.ndarray) -> Array:
    """Queries and supports (2, E, D, n_way, S, S), each episode under its symmetry (E,)."""
    turned = [symmetry(twins[:, e], *SYMMETRIES[turn]) for e, turn in enumerate(turns)]
    return array_module(twins).stack(turned, axis=1)


Batches = PairBatches | EpisodeBatches
OBJECTIVES: dict[str, type[Batches]] = {"pairs": PairBatches, "episodes": EpisodeBatches}
