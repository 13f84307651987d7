"""The folder of an index: shards of embeddings, and the manifest that says which of them count.

    index.json      the manifest: the shards in order, the file of neighbours, and what is being taken in
    network.npz     the network whose embeddings these are
    000000.npz ...  shards: up to SHARD_ROWS embeddings (N, D) in float16, and their names
    neighbours.N    where asked for, the index of faiss over the first N rows

Every file is written whole or not at all, and is on disk before the manifest lists it; the manifest changes in one
step. A file that no manifest lists is what a killed process left: it counts for nothing and is written again.
"""

import json
import re
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scratchnet.checkpoint import look_into, save_arrays
from scratchnet.common.notes import expect, parse
from scratchnet.errors import DataError
from scratchnet.files.atomic import write_bytes
from scratchnet.files.npz import open_npz
from scratchnet.files.reading import read_file, reason

MANIFEST, NETWORK, LOCK = "index.json", "network.npz", ".lock"
FORMAT = 1
SHARD_ROWS = 4096
MAX_MANIFEST = 1 << 23  # bytes: a hundred thousand shards
EMBEDDINGS = "embeddings"  # the array in a shard
LARGEST = 65504.0  # of float16
FILES = re.compile(r"\d{6}\.npz|neighbours\.\d+")
PART = {"file": str, "rows": int}
KIND = {
    "format": int,
    "features": int,
    "shards": [PART],
    "neighbours": ({**PART, "checksum": int}, None),
    "task": ({"source": str, "digest": str, "taken": int, "skipped": int, "shards": [PART]}, None),
}


@dataclass(frozen=True)
class Part:
    """A shard: its file, and how many embeddings it holds."""

    file: str
    rows: int


@dataclass(frozen=True)
class Neighbours:
    """The file of faiss, how many embeddings it covers, and the CRC-32 of all of it."""

    file: str
    rows: int
    checksum: int


@dataclass(frozen=True)
class Task:
    """What is being taken in: a source, of which `taken` items are done and lie in `shards`, but for those skipped."""

    source: str
    digest: str
    taken: int = 0
    skipped: int = 0
    shards: tuple[Part, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """What the index holds: D features, the shards in order, and the task that is not finished."""

    features: int
    shards: tuple[Part, ...] = ()
    neighbours: Neighbours | None = None
    task: Task | None = None

    @property
    def rows(self) -> int:
        """How many embeddings can be searched."""
        return sum(shard.rows for shard in self.shards)


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest in a folder, None if there is none. Raises DataError if it is damaged."""
    try:
        found = parse(read_file(folder / MANIFEST, MAX_MANIFEST))
        expect(found, KIND, "the manifest")
        if found.pop("format") != FORMAT:
            raise ValueError("it is of another version of scratchnet")
        task, neighbours = found["task"], found["neighbours"]
        if neighbours and not FILES.fullmatch(neighbours["file"]):
            raise ValueError(f"it lists {neighbours['file'][:60]!r}")
        return Manifest(
            found["features"],
            _parts(found["shards"]),
            Neighbours(**neighbours) if neighbours else None,
            Task(**{**task, "shards": _parts(task["shards"])}) if task else None,
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as cause:
        raise DataError(f"{folder / MANIFEST} is damaged ({reason(cause)}): build the index again") from cause


def _parts(found: Sequence[dict[str, Any]]) -> tuple[Part, ...]:
    for part in found:
        if not FILES.fullmatch(part["file"]) or part["rows"] < 0:
            raise ValueError(f"it lists {part['file'][:60]!r} with {part['rows']} rows")
    return tuple(Part(part["file"], part["rows"]) for part in found)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest, in one step."""
    write_bytes(folder / MANIFEST, json.dumps({"format": FORMAT, **asdict(manifest)}).encode() + b"\n")


def write_shard(folder: Path, number: int, embeddings: np.ndarray, names: Sequence[str]) -> Part:
    """Write embeddings (N, D), as float16, and their names. Raises DataError for NaN, infinity and overflow."""
    most = np.abs(embeddings).max(initial=0.0)
    if not most <= LARGEST:  # a NaN is not less either
        bad = int(np.flatnonzero(~(np.abs(embeddings) <= LARGEST).all(axis=1))[0])
        raise DataError(f"{names[bad]} has an embedding with a NaN, an infinity, or a number too large for float16")
    part = Part(f"{number:06}.npz", len(names))
    save_arrays(folder / part.file, {EMBEDDINGS: embeddings.astype(np.float16)}, {"names": list(names)})
    return part


def embeddings_in(folder: Path, part: Part, features: int, *, checked: bool = False) -> np.ndarray:
    """The embeddings (N, D) of a shard, float16, mapped into memory. checked: all of them are read and compared with
    their checksum.

    Raises DataError if the file is missing, damaged, or not the one that the manifest lists.
    """
    path = folder / part.file
    try:
        with open_npz(path) as file:
            outline = file.outlines[EMBEDDINGS]
        if outline.shape != (part.rows, features) or outline.dtype != np.float16 or outline.order != "C":
            raise ValueError(f"it holds {outline.dtype} {outline.shape}")
        whole: Any = np.memmap(path, np.uint8, "r", outline.member.start, (outline.member.size,))
        if checked and zlib.crc32(whole) != outline.member.crc:
            raise ValueError("its checksum is wrong")
        return np.frombuffer(whole, np.float16, offset=outline.header).reshape(outline.shape)
    except (OSError, ValueError, KeyError) as cause:
        raise DataError(f"{path} is damaged ({reason(cause)}): build the index again") from cause


def names_in(folder: Path, part: Part) -> list[str]:
    """The names of the embeddings in a shard. Raises CheckpointError if the file is missing or damaged, DataError if
    it is not the one that the manifest lists.
    """
    names: list[str] = look_into(folder / part.file)[1].get("names", [])
    if len(names) != part.rows or not all(isinstance(name, str) for name in names):
        raise DataError(f"{folder / part.file} has {len(names)} names, expected {part.rows}: build the index again")
    return names


def is_ours(name: str) -> bool:
    """Whether a file of this name in the folder is one of the index, or what a killed process left of one."""
    whole = re.sub(r"\.(.+)\.[0-9a-f]{12}\.tmp", r"\1", name)
    return whole in (MANIFEST, NETWORK) or bool(FILES.fullmatch(whole))


def remove_unlisted(folder: Path, manifest: Manifest) -> None:
    """Remove the files of the index that no longer count, and what killed processes left of them."""
    listed = {part.file for part in manifest.shards} | ({manifest.neighbours.file} if manifest.neighbours else set())
    for path in folder.iterdir():
        if is_ours(path.name) and path.name not in {MANIFEST, NETWORK, *listed}:
            with suppress(OSError):
                path.unlink()
