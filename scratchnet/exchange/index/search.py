"""Search an index: exactly, by comparing a query with every embedding, or among the neighbours that faiss finds."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from scratchnet.backend import CPU, Array, Device, array_module, device_of, for_each, to_device, to_host
from scratchnet.checkpoint import load_model
from scratchnet.errors import DataError, NonFiniteError, ScratchnetError, ShapeError
from scratchnet.exchange.index.build import expect_index
from scratchnet.exchange.index.neighbours import candidates, read_neighbours
from scratchnet.exchange.index.store import NETWORK, Manifest, embeddings_in, names_in
from scratchnet.layers import sigmoid
from scratchnet.models.siamese import Images, SiameseNet

BLOCK_ROWS = 512  # compared with a query at a time on the host, so that they stay in a processor's cache
CANDIDATES = 10  # that faiss is asked for, for each answer


class Hit(NamedTuple):
    """An answer: its name, the logit of the pair, and the probability that both show the same character."""

    name: str
    score: float
    probability: float


@dataclass(frozen=True)
class Index:
    """An index on disk, open for searching; writers do not disturb it. `len` of it is the number of embeddings."""

    folder: Path
    manifest: Manifest
    net: SiameseNet

    def __len__(self) -> int:
        return self.manifest.rows

    def search(self, queries: Images, *, top: int = 10, exact: bool | None = None) -> list[list[Hit]]:
        """The `top` best matches of each query, a picture or image as `net.prepare` takes it, the best first.

        exact: compare each query with every embedding; None: unless the index has neighbours. Raises as `nearest` does
        and, for queries that cannot be read, as `net.prepare`.
        """
        found = zip(*self.nearest(self.net.embed(queries), top=top, exact=exact), strict=True)
        return [self._hits(rows[rows >= 0], scores[rows >= 0]) for rows, scores in found]

    def nearest(self, h: Array, *, top: int = 10, exact: bool | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The rows (Q, K) of the best matches of embeddings h (Q, D), the best first, and their logits (Q, K).

        K is `top`, or the number of embeddings if there are fewer; where faiss finds fewer, the last rows are -1 and
        their logits -inf. Raises ShapeError for other embeddings, NonFiniteError for a NaN or an infinity among them,
        DataError for a damaged file, ScratchnetError for `top` less than 1 and, without `exact`, if faiss is missing or
        the index has no neighbours.
        """
        if top < 1:
            raise ScratchnetError(f"top={top}: ask for 1 answer or more")
        if h.ndim != 2 or h.shape[1] != self.manifest.features:
            raise ShapeError(f"h has shape {tuple(h.shape)}, expected embeddings (Q, {self.manifest.features})")
        h, top = h.astype("float32"), min(top, len(self))
        if not np.isfinite(to_host(h)).all():
            raise NonFiniteError("a query's embedding has a NaN or an infinity")
        if exact or (exact is None and not self.manifest.neighbours):
            return self._exact(h, top)
        return self._among_neighbours(to_host(h), top)

    def names(self, rows: Sequence[int] | np.ndarray) -> list[str]:
        """The names of some rows."""
        numbers = np.asarray(rows, int)
        shards = np.searchsorted(self._starts, numbers, side="right") - 1
        held = {int(shard): names_in(self.folder, self.manifest.shards[shard]) for shard in np.unique(shards)}
        return [held[int(shard)][row - self._starts[shard]] for shard, row in zip(shards, numbers, strict=True)]

    def check(self) -> None:
        """Read every shard and compare it with its checksum. Raises DataError for the first that is damaged."""
        for part in self.manifest.shards:
            embeddings_in(self.folder, part, self.manifest.features, checked=True)
            names_in(self.folder, part)

    def _hits(self, rows: np.ndarray, scores: np.ndarray) -> list[Hit]:
        return [Hit(*hit) for hit in zip(self.names(rows), scores.tolist(), sigmoid(scores).tolist(), strict=True)]

    def _exact(self, h: Array, top: int) -> tuple[np.ndarray, np.ndarray]:
        """The shards one after the other, on the device of h; each is compared with its checksum on the way."""
        best = np.zeros((len(h), 0), int), np.zeros((len(h), 0), np.float32)
        for start, part in zip(self._starts, self.manifest.shards, strict=True):
            rows = to_device(embeddings_in(self.folder, part, self.manifest.features, checked=True), self.net.device)
            scores = to_host(self._logits(h, rows))
            numbers = np.broadcast_to(np.arange(start, start + part.rows), scores.shape)
            best = _best(np.hstack([best[0], numbers]), np.hstack([best[1], scores]), top)
        return best

    def _logits(self, h: Array, rows: Array) -> Array:
        """The logits (Q, N) of queries h (Q, D) and embeddings (N, D), as the head defines them."""
        xp, weight, bias = array_module(h), self.net.params["head.weight"], self.net.params["head.bias"]
        scores = xp.empty((len(h), len(rows)), "float32")
        step = BLOCK_ROWS if device_of(h) is CPU else max(1, len(rows))

        def compare(start: int) -> None:
            some = slice(start, start + step)
            block = rows[some].astype("float32")
            for query in range(len(h)):
                scores[query, some] = xp.abs(block - h[query]) @ weight + bias

        for_each(compare, range(0, len(rows), step), like=h)
        return scores

    def _among_neighbours(self, h: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
        """Candidates by faiss, ranked by their true logits."""
        found = candidates(self._neighbours, h, self.net, min(len(self), CANDIDATES * top))
        scores = np.full(found.shape, -np.inf, np.float32)
        for query, rows, into in zip(h, found, scores, strict=True):
            there = rows >= 0
            block = to_device(self._gathered(rows[there]), self.net.device)
            into[there] = to_host(self._logits(to_device(query[None], self.net.device), block))[0]
        return _best(found, scores, top)

    def _gathered(self, rows: np.ndarray) -> np.ndarray:
        """Embeddings (N, D) by their rows."""
        block = np.empty((len(rows), self.manifest.features), np.float16)
        shards = np.searchsorted(self._starts, rows, side="right") - 1
        for shard in np.unique(shards):
            own = shards == shard
            block[own] = self._mapped(int(shard))[rows[own] - self._starts[shard]]
        return block

    def _mapped(self, shard: int) -> np.ndarray:
        if shard not in self._maps:
            self._maps[shard] = embeddings_in(self.folder, self.manifest.shards[shard], self.manifest.features)
        return self._maps[shard]

    @cached_property
    def _maps(self) -> dict[int, np.ndarray]:
        return {}

    @cached_property
    def _starts(self) -> np.ndarray:
        """The first row of each shard."""
        return np.cumsum([0, *(part.rows for part in self.manifest.shards)])[:-1]

    @cached_property
    def _neighbours(self) -> Any:
        if not self.manifest.neighbours:
            raise ScratchnetError(f"{self.folder} has no neighbours: search it exactly, or build it with them")
        if self.manifest.neighbours.rows != len(self):
            raise DataError(f"{self.folder} has neighbours of {self.manifest.neighbours.rows:,} of {len(self):,} rows")
        return read_neighbours(self.folder, self.manifest.neighbours, self.manifest.features)


def open_index(folder: Path | str, *, device: str | Device | None = None) -> Index:
    """The index in a folder, with its network on `device`. Raises DataError if there is none, or it is not finished."""
    folder = Path(folder)
    return Index(folder, expect_index(folder), load_model(folder / NETWORK, device=device))


def _best(rows: np.ndarray, scores: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
    """The `top` best of rows (Q, N), the best first, of equal ones the first, and their scores."""
    if scores.shape[1] > 4 * top:
        most = np.argpartition(-scores, top - 1, axis=1)[:, :top]
        least = np.take_along_axis(scores, most, axis=1).min(axis=1, keepdims=True)
        ties = (scores >= least).sum(axis=1).max()  # equal ones at the edge: all of them, so that the first wins
        if ties > top:
            most = np.argsort(-scores, axis=1, kind="stable")[:, :top]
        rows, scores = (np.take_along_axis(each, most, axis=1) for each in (rows, scores))
    order = np.lexsort((rows, -scores), axis=1)[:, :top]
    return np.take_along_axis(rows, order, axis=1), np.take_along_axis(scores, order, axis=1)
