"""Neighbours by faiss (extra `index`), for an index too large to look at every embedding for every query.

The logit of a pair is b + sum over j of w_j |h1_j - h2_j|. Where w_j <= 0, with s_j = -w_j,

    logit = b - |s h1 - s h2|_1     (1)

so the best matches are the nearest neighbours of scaled embeddings in the L1 metric, which faiss knows. Where some
w_j > 0 there is no metric. Those features are left out (s_j = 0), which moves a logit by no more than the sum of their
weights times |h1_j - h2_j|, and the candidates that faiss finds are ranked by their true logits.

faiss keeps a graph of them, HNSW (Malkov and Yashunin 2016), and follows its edges towards the query, SEARCHED nodes
at a time. So a neighbour can be missed: what is found is right, but something better may exist.
"""

import importlib
import zlib
from collections.abc import Iterator
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

import numpy as np

from scratchnet.backend import thread_count, to_host
from scratchnet.errors import DataError, ScratchnetError, install_extra
from scratchnet.exchange.index.store import Manifest, Neighbours, embeddings_in
from scratchnet.files.atomic import atomic_write
from scratchnet.files.reading import open_file, reason
from scratchnet.models.siamese import SiameseNet

EDGES = 16  # of a node of the graph, in each of its layers; twice as many in the lowest
SEARCHED = 200  # nodes that a search keeps in view, at least


def library() -> Any:
    """faiss, with as many threads as the rest. Raises ScratchnetError if it is missing."""
    try:
        faiss = importlib.import_module("faiss")
    except ImportError as cause:
        raise ScratchnetError(f"neighbours need the library faiss; {install_extra('index')}") from cause
    faiss.omp_set_num_threads(thread_count())
    return faiss


def scales(net: SiameseNet) -> np.ndarray:
    """s (D,) of (1): by how much each feature counts; 0 where its weight is positive."""
    scale: np.ndarray = np.maximum(-to_host(net.params["head.weight"]), 0)  # (1)
    return scale.astype(np.float32)


def write_neighbours(folder: Path, manifest: Manifest, old: Neighbours | None, net: SiameseNet) -> Neighbours:
    """Write the neighbours of all shards of a manifest, by extending the old ones if there are some.

    Raises ScratchnetError if faiss is missing, DataError for damaged files, OSError if writing fails.
    """
    faiss = library()
    if old:
        index = read_neighbours(folder, old, manifest.features, mapped=False)
    else:
        index = faiss.IndexHNSWFlat(manifest.features, EDGES, faiss.METRIC_L1)
    for block in _scaled(folder, manifest, scales(net), index.ntotal):
        index.add(block)
    name, checksum = f"neighbours.{manifest.rows}", 0
    with atomic_write(folder / name) as file:

        def write(content: bytes) -> int:
            nonlocal checksum
            checksum = zlib.crc32(content, checksum)
            return file.write(content)

        faiss.write_index(index, faiss.PyCallbackIOWriter(write))
    return Neighbours(name, manifest.rows, checksum)


def read_neighbours(folder: Path, part: Neighbours, features: int, *, mapped: bool = True) -> Any:
    """The index of faiss in a file, mapped into memory, or read so that it can grow.

    Its checksum is compared first: faiss trusts what it reads, and a damaged graph would crash the process. Raises
    ScratchnetError if faiss is missing, DataError if the file is missing or damaged.
    """
    faiss = library()
    try:
        with open_file(folder / part.file) as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
            if zlib.crc32(content) != part.checksum:
                raise ValueError("its checksum is wrong")
        index = faiss.read_index(str(folder / part.file), faiss.IO_FLAG_MMAP_IFC if mapped else 0)
    except (OSError, ValueError, RuntimeError) as cause:
        raise DataError(f"{folder / part.file} is damaged ({reason(cause)}): build the index again") from cause
    if (index.ntotal, index.d, index.metric_type) != (part.rows, features, faiss.METRIC_L1):
        raise DataError(f"{folder / part.file} is of another index: build the index again")
    return index


def candidates(index: Any, h: np.ndarray, net: SiameseNet, count: int) -> np.ndarray:
    """The rows (Q, count) that faiss takes for the best matches of embeddings h (Q, D); -1 where it finds fewer."""
    index.hnsw.efSearch = max(SEARCHED, count)
    rows: np.ndarray = index.search(h * scales(net), count)[1]
    return rows


def _scaled(folder: Path, manifest: Manifest, scale: np.ndarray, start: int) -> Iterator[np.ndarray]:
    """The scaled embeddings of each shard, float32, from row `start` on."""
    at = 0
    for shard in manifest.shards:
        if at + shard.rows > start:
            rows = embeddings_in(folder, shard, manifest.features)[max(0, start - at) :]
            yield rows.astype(np.float32) * scale
        at += shard.rows
