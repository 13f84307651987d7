"""What is taken into an index: the pictures in a folder, or an array of embeddings."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from scratchnet.backend import to_host
from scratchnet.data.folders import pictures_in
from scratchnet.errors import DataError
from scratchnet.files.reading import open_file, read_file, reason
from scratchnet.models.reading import OnError
from scratchnet.models.siamese import SiameseNet

MAX_NAMES = 1 << 30  # bytes


class Source(Protocol):
    """Items by name, and their embeddings.

    place: what the user calls it. digest: changes with the items, so that a task is not resumed on others.
    """

    @property
    def place(self) -> str: ...
    @property
    def names(self) -> Sequence[str]: ...
    @property
    def digest(self) -> str: ...

    def embed(self, net: SiameseNet, items: Sequence[int], on_error: OnError) -> np.ndarray:
        """The embeddings (N, D) of some items, on the host; NaN for what was skipped."""


class Pictures:
    """The pictures in a folder and in those below it, by their paths. Raises DataError if there are none."""

    def __init__(self, folder: Path | str) -> None:
        self.place = str(folder)
        if not Path(folder).is_dir():
            raise DataError(f"{folder} is not a folder: give a folder of pictures, or embeddings, NAME.npy")
        self.files = pictures_in(Path(folder))
        self.names = [str(file) for file in self.files]
        stats = (os.stat(file) for file in self.files)
        self.digest = _digest(
            f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}" for name, stat in zip(self.names, stats, strict=True)
        )

    def embed(self, net: SiameseNet, items: Sequence[int], on_error: OnError) -> np.ndarray:
        """As `Source`. Raises DataError, naming the file, for one that cannot be read, unless on_error is "skip"."""
        return to_host(net.embed([self.files[i] for i in items], on_error=on_error))


class Array:
    """Embeddings (N, D) in a .npy file, float16, 32 or 64, mapped into memory.

    names: a text file with a name for each, a line each; None: the name of the file with the number of the row.
    Raises DataError for a file that is missing, damaged, or holds anything else, and for another number of names.
    """

    def __init__(self, file: Path | str, names: Path | str | None = None) -> None:
        self.place = str(file)
        try:
            with open_file(file) as opened:
                stat = os.fstat(opened.fileno())
            self.rows: np.ndarray = np.load(file, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as cause:
            raise DataError(f"{file} is damaged, or no .npy file ({reason(cause)})") from cause
        if not isinstance(self.rows, np.ndarray) or self.rows.ndim != 2 or self.rows.dtype.kind != "f":
            found = f"{self.rows.dtype} {self.rows.shape}" if isinstance(self.rows, np.ndarray) else "several arrays"
            raise DataError(f"{file} holds {found}, expected embeddings (N, D) of floats")
        if not len(self.rows):
            raise DataError(f"{file} holds no embeddings")
        self.names = [f"{file}[{i}]" for i in range(len(self.rows))] if names is None else _lines(names)
        if len(self.names) != len(self.rows):
            raise DataError(f"{names} has {len(self.names):,} names for {len(self.rows):,} embeddings: give one a line")
        self.digest = _digest([f"{stat.st_size}\0{stat.st_mtime_ns}", *self.names])

    def embed(self, net: SiameseNet, items: Sequence[int], on_error: OnError) -> np.ndarray:
        """As `Source`; nothing is skipped. Raises DataError unless they are as long as those of the network."""
        if self.rows.shape[1] != net.head.features:
            raise DataError(
                f"{self.place} holds embeddings of {self.rows.shape[1]} numbers, but those of the network have "
                f"{net.head.features}"
            )
        return self.rows[items].astype(np.float32)


def _lines(file: Path | str) -> list[str]:
    try:
        return read_file(file, MAX_NAMES).decode().splitlines()
    except (OSError, ValueError) as cause:
        raise DataError(f"{file} cannot be read ({reason(cause)}): give a text file in UTF-8") from cause


def _digest(items: Iterable[str]) -> str:
    sha256 = hashlib.sha256()
    for item in items:
        sha256.update(item.encode(errors="surrogateescape") + b"\n")
    return sha256.hexdigest()
