"""Scorers made of networks: one that caches what it sees, an ensemble, one that also sees warped queries, a record."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np

from scratchnet.backend import Array, Device, array_module, to_device, to_host
from scratchnet.images.augment import AffineRanges, distort
from scratchnet.images.ink import expect_images
from scratchnet.layers import sigmoid
from scratchnet.models.scoring import Look, expect_ways
from scratchnet.models.siamese import SiameseNet
from scratchnet.oneshot.trials import Scorer

SMALL_WARPS = AffineRanges(rotation=5.0, shear=0.1, scale=0.1, shift=2.0, probability=1.0)


class Embedded(Scorer):
    """A network that looks at each distinct image once and caches what it keeps of it, across runs.

    views, align: as in `SiameseNet.scores`; `similarity` then aligns every pair. Images are passed on the host; what is
    kept of them stays on the network's device.
    """

    def __init__(self, net: SiameseNet, *, views: int = 1, align: int = 0) -> None:
        expect_ways(views, align)
        self.net, self.views, self.align = net, views, align
        self._cache: dict[tuple[Any, ...], Look] = {}

    def scores(self, queries: np.ndarray, supports: np.ndarray) -> Array:
        """The scores (Q, S) of queries (Q, H, W) against supports (S, H, W). Raises as SiameseNet.scores does."""
        return self.net.match(self.look(queries), self.look(supports), align=self.align)

    def similarity(self, a: np.ndarray, b: np.ndarray) -> Array:
        """The probability (N,) that a[i] and b[i], (N, H, W) each, show the same character."""
        return sigmoid(self.net.match_pairs(self.look(a), self.look(b), align=self.align > 0))

    def embed(self, images: np.ndarray) -> Array:
        """The embeddings (N, D) of images (N, H, W) as they are. Raises as SiameseNet.embed does."""
        return self.look(images).embeddings[:, 0]

    def look(self, images: np.ndarray) -> Look:
        """What the network keeps of images (N, H, W). Raises as SiameseNet.look does."""
        expect_images("images", images)
        kind = images.shape[1:], images.dtype.str
        keys = [(*kind, sha256(image.tobytes()).digest()) for image in images]
        new = {key: i for i, key in enumerate(keys) if key not in self._cache}
        if new:
            unseen = to_device(images[list(new.values())], self.net.device)
            seen = self.net.look(unseen, views=self.views, keep=self.align > 0)
            self._cache |= {key: seen.rows(slice(i, i + 1)) for i, key in enumerate(new)}
        kept = [self._cache[key] for key in keys]
        xp = array_module(*(look.embeddings for look in kept))
        embeddings = xp.concatenate([look.embeddings for look in kept])
        return Look(embeddings, xp.concatenate([look.kept for look in kept]) if self.align else None)


@dataclass(frozen=True)
class Ensemble(Scorer):
    """The mean of the scores of several networks.

    The scores are log-odds that two images show the same character, so all networks share one scale and a plain mean
    weights each by its confidence. Normalising each network's scores first would give an unsure network the same weight
    as a sure one.
    """

    members: Sequence[Embedded]

    def scores(self, queries: np.ndarray, supports: np.ndarray) -> np.ndarray:
        """The mean logits (Q, S) of queries (Q, H, W) against supports (S, H, W)."""
        return np.mean([to_host(member.scores(queries, supports)) for member in self.members], axis=0)

    def similarity(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """The mean probability (N,) that a[i] and b[i], (N, H, W) each, show the same character."""
        return np.mean([to_host(member.similarity(a, b)) for member in self.members], axis=0)


@dataclass(frozen=True)
class WarpedQueries(Scorer):
    """Test-time augmentation: the mean score over each query as drawn and `warps` small affine warps of it.

    The warps depend on `seed` alone and are the same for all queries, so each query is still judged alone.
    """

    scorer: Scorer
    warps: int
    seed: int = field(default=0, kw_only=True)

    @property
    def device(self) -> Device:
        """The device of the scorer that is averaged."""
        return self.scorer.device

    def scores(self, queries: Array, supports: Array) -> np.ndarray:
        """The mean scores (Q, S) of square queries (Q, H, H) against supports (S, H, W)."""
        transforms = SMALL_WARPS.draw(self.warps, image_size=queries.shape[-1], rng=np.random.default_rng(self.seed))
        ink = queries.astype(np.float32)
        seen = [queries, *(distort(ink, np.tile(transform, (len(ink), 1))) for transform in transforms)]
        return np.mean([to_host(self.scorer.scores(images, supports)) for images in seen], axis=0)


@dataclass(frozen=True)
class Recorded(Scorer):
    """A scorer that keeps the scores it gives, in order, for whoever asks more of them than how many were right."""

    scorer: Scorer
    given: list[np.ndarray] = field(default_factory=list)

    @property
    def device(self) -> Device:
        """The device of the scorer."""
        return self.scorer.device

    def scores(self, queries: Array, supports: Array) -> np.ndarray:
        """The scores (Q, S) of queries (Q, H, W) against supports (S, H, W), on the host."""
        self.given.append(to_host(self.scorer.scores(queries, supports)))
        return self.given[-1]
