"""Build and search an index of a million generated embeddings: time, memory, queries a second, recall.

    python benchmarks/index.py --folder /somewhere/with/12/GB

The embeddings are generated, but like real ones: the bundled network embeds 4,000 generated drawings of 400
characters; before its sigmoid, the characters' means and the drawings around them each have a covariance; from two
normal distributions with these covariances come 20 embeddings of each of 50,000 characters that never were. The
queries are further drawings of some of these characters. Recall is measured against exact search. Each step runs in a
process of its own, whose peak memory includes the pages of mapped files that it touched. Needs the extra `index`.
"""

import argparse
import json
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from scratchnet.checkpoint import load_model
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.exchange.index import Array, add_to_index, build_index, neighbours, open_index, search
from scratchnet.exchange.index.search import Index

DRAWINGS = 20  # of a character
TOP = 10
CHOICES = ((3, 32), (10, 100), (10, 200), (10, 400))  # candidates for each answer, and nodes searched at least
BATCH = 16  # queries searched together
ALONE = 5  # queries searched one at a time
ROUNDS = 5
QUERIES = BATCH * ROUNDS
STEPS = ("generate", "build", "add", "exact", "faiss")


class Characters:
    """Embeddings of characters that never were."""

    def __init__(self, characters: int, rng: np.random.Generator) -> None:
        alphabets = generate_alphabets(20, characters=20, drawers=10, image_size=80, seed=11)
        images = np.concatenate([alphabet.images for alphabet in alphabets])  # (400, 10, 80, 80)
        h = load_model("omniglot").embed(images.reshape(-1, 80, 80)).reshape(*images.shape[:2], -1)
        h = np.clip(h, 1e-5, 1 - 1e-5)
        z = np.log(h / (1 - h))
        mean = z.mean(axis=1)
        apart = ((z - mean[:, None]) / np.sqrt(z.shape[0] * (z.shape[1] - 1))).reshape(-1, z.shape[2])
        self.around = np.linalg.qr(apart, mode="r")  # its product with itself is the covariance
        between = (mean - mean.mean(axis=0)) / np.sqrt(len(mean) - 1)
        self.means = mean.mean(axis=0) + rng.standard_normal((characters, len(between)), np.float32) @ between

    def draw(self, characters: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A further embedding (N, D) of each of these characters."""
        noise = rng.standard_normal((len(characters), len(self.around)), np.float32)
        found: np.ndarray = 1 / (1 + np.exp(-(self.means[characters] + noise @ self.around)))
        return found


def generate(folder: Path, embeddings: int, added: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    characters = Characters(embeddings // DRAWINGS, rng)
    labels = np.arange(embeddings) // DRAWINGS
    names = {
        "embeddings": rng.permutation(labels),
        "added": rng.choice(labels, added),
        "queries": rng.choice(labels, QUERIES),
    }
    for name, own in names.items():
        rows = np.lib.format.open_memmap(
            folder / f"{name}.npy", "w+", np.float16, (len(own), characters.means.shape[1])
        )
        for start in range(0, len(own), 10_000):
            rows[start : start + 10_000] = characters.draw(own[start : start + 10_000], rng)
        np.save(folder / f"{name}_labels.npy", own)
    return {}


def build(folder: Path) -> dict[str, Any]:
    begun = done = clocks()

    def progress(*_: int) -> None:
        nonlocal done
        done = clocks()

    build_index(
        folder / "index", Array(folder / "embeddings.npy"), load_model("omniglot"), neighbours=True, progress=progress
    )
    return {"shards": (done - begun).tolist(), "faiss": (clocks() - done).tolist()}


def clocks() -> np.ndarray:
    """Seconds of time, and of processor time, of which others have their share on a busy machine."""
    return np.array([time.perf_counter(), time.process_time()])


def add(folder: Path) -> dict[str, Any]:
    begun = clocks()
    add_to_index(folder / "index", Array(folder / "added.npy"))
    return {"added": (clocks() - begun).tolist()}


def exact(folder: Path) -> dict[str, Any]:
    index, queries = opened(folder)
    batches = [queries[start : start + BATCH] for start in range(0, len(queries), BATCH)]
    found = [timed(lambda batch=batch: index.nearest(batch, top=TOP, exact=True)) for batch in batches]
    rows = np.concatenate([rows for (rows, _), _ in found])
    np.save(folder / "exact.npy", rows)
    alone = [timed(lambda q=q: index.nearest(q[None], top=TOP, exact=True))[1] for q in queries[:ALONE]]
    labels = np.concatenate([np.load(folder / f"{name}_labels.npy") for name in ("embeddings", "added")])
    return {
        "queries_a_second": spread(BATCH / seconds for _, seconds in found),
        "alone_seconds": spread(alone),
        "same_character": np.mean(labels[rows[:, 0]] == np.load(folder / "queries_labels.npy")[:QUERIES]),
    }


def approximate(folder: Path, candidates: int, searched: int) -> dict[str, Any]:
    search.CANDIDATES, neighbours.SEARCHED = candidates, searched
    begun = time.perf_counter()
    index, queries = opened(folder)
    index.nearest(queries[:1], top=TOP, exact=False)
    opening = time.perf_counter() - begun
    found, seconds = zip(
        *(timed(lambda: index.nearest(queries, top=TOP, exact=False)) for _ in range(ROUNDS)), strict=True
    )
    alone = [timed(lambda q=q: index.nearest(q[None], top=TOP, exact=False))[1] for q in queries[:50]]
    best, rows = np.load(folder / "exact.npy"), found[0][0]
    recall = {k: np.mean([len({*a[:k]} & {*b[:k]}) / k for a, b in zip(best, rows, strict=True)]) for k in (1, TOP)}
    return {
        "opening_seconds": opening,
        "queries_a_second": spread(len(queries) / s for s in seconds),
        "alone_seconds": spread(alone),
        **{f"recall_at_{k}": value for k, value in recall.items()},
    }


def opened(folder: Path) -> tuple[Index, np.ndarray]:
    return open_index(folder / "index"), np.load(folder / "queries.npy")[:QUERIES].astype(np.float32)


def timed(function: Callable[[], Any]) -> tuple[Any, float]:
    begun = time.perf_counter()
    value = function()
    return value, time.perf_counter() - begun


def spread(values: Iterable[float]) -> list[float]:
    """The median, the least and the greatest."""
    found = list(values)
    return [statistics.median(found), min(found), max(found)]


def measured(step: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """What a step returns, the processor time that it took, and the most memory that this process ever had."""
    figures = step(*arguments)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return figures | {"cpu_seconds": time.process_time(), "peak_gib": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where to work; remove it when you are done")
    parser.add_argument("--embeddings", type=int, default=1_000_000)
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=STEPS, help="some of them, in this order")
    options = parser.parse_args()
    folder, added = options.folder, options.embeddings // 100
    folder.mkdir(parents=True, exist_ok=True)
    steps: dict[str, list[tuple[Any, ...]]] = {
        "generate": [(generate, folder, options.embeddings, added)],
        "build": [(build, folder)],
        "add": [(add, folder)],
        "exact": [(exact, folder)],
        "faiss": [(approximate, folder, *choice) for choice in CHOICES],
    }
    for name in options.steps:
        for step in steps[name]:
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                print(name, *step[2:], json.dumps(pool.apply(measured, step), default=float), flush=True)
    for path in sorted((folder / "index").iterdir()):
        if not path.name.startswith("0") or path.name == "000000.npz":
            print(path.name, f"{path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
