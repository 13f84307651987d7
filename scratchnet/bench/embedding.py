"""The speed of embedding: throughput for a batch on all threads, and latency for a single image."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from scratchnet.backend import Array, array_module, to_host
from scratchnet.bench import peers
from scratchnet.bench.measure import MILLI, heading
from scratchnet.bench.memory import OURS
from scratchnet.bench.timing import Spread, in_turns, ratio
from scratchnet.bench.workload import Workload
from scratchnet.errors import ScratchnetError
from scratchnet.models.siamese import SiameseNet

FRAMED = f"{OURS}, framing included"


def sections(workload: Workload, rounds: int, *, against: Sequence[str] = ()) -> Iterator[tuple[str, Any]]:
    """(name, figures) of each section, as they are measured. Raises ScratchnetError for an invalid workload."""
    training = workload.prepare()
    yield from heading(workload, training.net, against)
    images = array_module(training.a).concatenate([training.a, training.b])
    yield "embedding", measure(training.net, images, rounds, against=against, precision=workload.precision)


def measure(
    net: SiameseNet, images: Array, rounds: int, *, against: Sequence[str] = (), precision: str = "float32"
) -> list[dict[str, Any]]:
    """Time our embedding of images (N, H, W) and those of the peers, interleaved. Ours is the first row.

    precision: the one that our products are computed in, for the tolerance. images_per_second is for the whole batch,
    single_ms for the first image alone. The images of a workload are framed already, and nobody frames them again but
    in a row of ours, for a network that has a frame. A row that could not be timed has a "problem" instead, and is
    marked "failed" if it computes something else.
    """
    framing, net = net, replace(net, frame="page")
    embed: dict[str, tuple[Callable[[Any], Any], Any]] = {OURS: (net.embed, images)}
    rows: list[dict[str, Any]] = [{"name": OURS}]
    if framing.frame != net.frame:
        embed[FRAMED] = (framing.embed, images)
        rows.append({"name": FRAMED})
    for library in against:
        try:
            embedders = peers.load_embedders(library, net.device)
        except ScratchnetError as error:
            rows.append({"name": library, "problem": str(error)})
            continue
        for embedder in embedders:
            rows.append({"name": embedder.name})
            try:
                embed[embedder.name] = _verified_embedder(embedder, net, images, precision, rows[-1])
            except ScratchnetError as error:
                rows[-1]["problem"] = str(error)
    many, one = (
        in_turns(
            {name: partial(function, placed[:count]) for name, (function, placed) in embed.items()}, rounds, net.device
        )
        for count in (len(images), 1)
    )
    return [row | timings(row["name"], many, one, len(images)) if row["name"] in embed else row for row in rows]


def timings(
    name: str, many: Mapping[str, Sequence[float]], one: Mapping[str, Sequence[float]], N: int
) -> dict[str, Any]:
    """What a row says of an embedder, by the seconds of each embedder for N images and for one; ours is among them."""
    figures = {
        "images_per_second": Spread.of([N / seconds for seconds in many[name]])._asdict(),
        "single_ms": Spread.of([MILLI * seconds for seconds in one[name]])._asdict(),
    }
    if name not in (OURS, FRAMED):
        figures["batch_ratio"] = ratio(many[OURS], many[name])._asdict()
        figures["single_ratio"] = ratio(one[OURS], one[name])._asdict()
        if FRAMED in one:
            figures["framed_ratio"] = ratio(one[FRAMED], one[name])._asdict()
    return figures


def _verified_embedder(
    embedder: peers.Embedder, net: SiameseNet, images: Array, precision: str, row: dict[str, Any]
) -> tuple[Callable[[Any], Any], Any]:
    """The peer's embedding function and the images in its format, once its embeddings are found to agree with ours.

    Raises ScratchnetError, with a one-line message, if they do not.
    """
    tolerance = peers.EMBEDDING_TOLERANCE[peers.coarsest_of(precision, embedder.precision)]
    try:
        embed, placed = embedder.build(net), embedder.upload(to_host(images))
        ours, theirs = to_host(net.embed(images)), embedder.download(embed(placed))
        row["difference"] = float(np.linalg.norm(ours - theirs) / np.linalg.norm(ours - ours.mean(axis=0)))
    except Exception as cause:  # libraries can fail in any way
        raise ScratchnetError(f"does not run: {peers.in_one_line(cause)}") from cause
    if not row["difference"] <= tolerance:  # true for NaN
        row["failed"] = True
        raise ScratchnetError(f"computes something else: embeddings off by {row['difference']:.0e}; not timed")
    return embed, placed
