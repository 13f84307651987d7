"""Build an index, and add to one: shard by shard, so that a crash loses no more than the shard it came in.

What is taken in lies in shards that the manifest lists under its task, not among those that are searched, until all of
it is there: the last step makes it part of the index. The same call goes on where the last one stopped. Meanwhile the
index can be searched as it was. One process writes at a time.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from scratchnet.backend import Device, to_host
from scratchnet.checkpoint import load_model, save_model
from scratchnet.errors import DataError
from scratchnet.exchange.index.neighbours import library, write_neighbours
from scratchnet.exchange.index.sources import Source
from scratchnet.exchange.index.store import (
    LOCK,
    NETWORK,
    SHARD_ROWS,
    Manifest,
    Task,
    embeddings_in,
    is_ours,
    names_in,
    read_manifest,
    remove_unlisted,
    write_manifest,
    write_shard,
)
from scratchnet.files.locks import locked
from scratchnet.models.reading import OnError
from scratchnet.models.siamese import SiameseNet

Progress = Callable[[int, int], None]  # items done, of how many


@dataclass(frozen=True)
class Taken:
    """What was taken in: how many rows the index has now, how many of them are new, and how many items were left out
    because they cannot be read or were there already.
    """

    rows: int
    new: int
    skipped: int
    known: int


def build_index(
    folder: Path | str,
    source: Source,
    net: SiameseNet,
    *,
    neighbours: bool = False,
    on_error: OnError = "raise",
    restart: bool = False,
    progress: Progress | None = None,
) -> Taken:
    """Make an index in a new folder, or go on with one whose making was stopped.

    neighbours: also an index of faiss, which finds neighbours without looking at every embedding. on_error: "raise" or
    "skip" what cannot be read. restart: forget what an earlier call had begun.

    Raises DataError if the folder holds an index or anything else, if it was begun from another source or another
    network, and for what cannot be read; InUseError if another process writes to it; ScratchnetError if faiss is
    missing; OSError if writing fails.
    """
    folder = Path(folder)
    with _held(folder):
        manifest = read_manifest(folder)
        if manifest and manifest.shards:
            raise DataError(
                f"{folder} holds an index of {manifest.rows:,} embeddings: add to it with `scratchnet index add`, or "
                "name another folder"
            )
        if manifest is None or restart:
            _expect_room(folder)
            save_model(folder / NETWORK, net)
            manifest = Manifest(net.head.features)
            write_manifest(folder, manifest)
        elif not _same(load_model(folder / NETWORK), net):
            raise DataError(f"{folder} was begun with another network: take that one, or begin again with --restart")
        return _take_in(folder, manifest, source, net, neighbours, on_error, progress)


def add_to_index(
    folder: Path | str,
    source: Source,
    *,
    device: str | Device | None = None,
    on_error: OnError = "raise",
    restart: bool = False,
    progress: Progress | None = None,
) -> Taken:
    """Add what a source has that the index has not, by name, with the index's own network.

    Until all of it is there, the index is searched as it was. Its neighbours, if it has some, are extended. Raises
    DataError if there is no index, or one that is still being built; otherwise as `build_index`.
    """
    folder = Path(folder)
    expect_index(folder)
    with _held(folder):
        manifest = expect_index(folder)
        net = load_model(folder / NETWORK, device=device)
        if restart:
            manifest = replace(manifest, task=None)
        return _take_in(folder, manifest, source, net, manifest.neighbours is not None, on_error, progress)


def expect_index(folder: Path) -> Manifest:
    """The manifest of an index that can be searched. Raises DataError if there is none."""
    manifest = read_manifest(folder)
    if manifest is None:
        raise DataError(f"{folder} holds no index: make one with `scratchnet index build SOURCE {folder}`")
    if not manifest.shards:
        begun = manifest.task.taken if manifest.task else 0
        raise DataError(f"{folder} is not finished, {begun:,} embeddings are there: run `scratchnet index build` again")
    return manifest


def _take_in(
    folder: Path,
    manifest: Manifest,
    source: Source,
    net: SiameseNet,
    neighbours: bool,
    on_error: OnError,
    progress: Progress | None,
) -> Taken:
    if neighbours:
        library()  # before hours of work that would need it
    known = {name for shard in manifest.shards for name in names_in(folder, shard)}
    items = [i for i, name in enumerate(source.names) if name not in known]
    task = manifest.task or Task(source.place, source.digest)
    if (task.source, task.digest) != (source.place, source.digest):
        changed = "has changed" if task.source == source.place else "was not taken in to its end"
        raise DataError(
            f"{folder}: {task.source} {changed}: finish it with the same command, or forget it with --restart"
        )
    for shard in task.shards:
        embeddings_in(folder, shard, manifest.features, checked=True)
    while task.taken < len(items):
        some = items[task.taken : task.taken + SHARD_ROWS]
        task = _with_shard(folder, manifest, task, source, some, net, on_error)
        write_manifest(folder, replace(manifest, task=task))
        if progress:
            progress(task.taken, len(items))
    finished = replace(manifest, shards=manifest.shards + task.shards, task=None)
    if not finished.rows:
        raise DataError(f"{source.place}: none of its {task.skipped:,} pictures can be read")
    if neighbours and task.shards:
        finished = replace(finished, neighbours=write_neighbours(folder, finished, manifest.neighbours, net))
    write_manifest(folder, finished)
    remove_unlisted(folder, finished)
    return Taken(finished.rows, finished.rows - manifest.rows, task.skipped, len(source.names) - len(items))


def _with_shard(
    folder: Path, manifest: Manifest, task: Task, source: Source, some: list[int], net: SiameseNet, on_error: OnError
) -> Task:
    """The task with one more shard, which is on disk."""
    h = source.embed(net, some, on_error)
    kept = np.ones(len(some), bool) if on_error == "raise" else ~np.isnan(h).all(axis=1)
    shards = task.shards
    if kept.any():
        number = len(manifest.shards) + len(shards)
        names = [source.names[i] for i, there in zip(some, kept, strict=True) if there]
        shards = (*shards, write_shard(folder, number, h[kept], names))
    skipped = task.skipped + int(np.count_nonzero(~kept))
    return replace(task, taken=task.taken + len(some), skipped=skipped, shards=shards)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Make the folder if necessary, and lock it; one that is made here and stays empty is removed again."""
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / LOCK, str(folder), "wait until it is done, or name another folder"):
            yield
    finally:
        with suppress(OSError):
            for each in made:
                each.rmdir()


def _expect_room(folder: Path) -> None:
    """Raise DataError if the folder holds anything but the beginnings of an index."""
    others = sorted(path.name for path in folder.iterdir() if not is_ours(path.name) and not path.name.startswith(LOCK))
    if others:
        raise DataError(f"{folder} holds {others[0]}, which belongs to no index: name a new folder")


def _same(one: SiameseNet, other: SiameseNet) -> bool:
    return dict(one.architecture) == dict(other.architecture) and all(
        np.array_equal(one.params[name], to_host(value)) for name, value in other.params.items()
    )
