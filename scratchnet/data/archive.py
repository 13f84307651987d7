"""A zip or a folder as one thing: files by name. Zips are read as they are, never unpacked."""

import io
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from scratchnet.errors import DataError
from scratchnet.images import read_bitmap

# Many times what Omniglot needs (20,275 files, 5 MB packed, 213 million pixels), and far below what fills a machine.
MAX_FILES = 100_000
MAX_BYTES = 1 << 28
MAX_PIXELS = 1 << 31


@dataclass(frozen=True)
class Tree:
    """The files of a zip or of a folder, as functions that read them, by their path inside it."""

    path: Path
    files: Mapping[str, Callable[[], bytes]]

    def read(self, name: str) -> bytes:
        """The content of one file. Raises DataError when it is missing or damaged."""
        if name not in self.files:
            raise DataError(f"{self.path} has no file {name}: the copy is not complete, fetch it again")
        try:
            return self.files[name]()
        except Exception as cause:  # zipfile and zlib report damage in many ways, and folders in their own
            raise DataError(f"{name} in {self.path} cannot be read ({cause}): fetch the data again") from cause

    def read_bitmaps(self, names: Sequence[str]) -> np.ndarray:
        """The drawings called `names`: (N, H, W) bool. Raises DataError when one is damaged or of another size."""
        first = read_bitmap(io.BytesIO(self.read(names[0])), f"{names[0]} in {self.path}")
        if len(names) * first.size > MAX_PIXELS:
            raise DataError(
                f"{self.path} holds {len(names)} images of {first.shape} pixels: too many for Omniglot, not read"
            )
        images = np.empty((len(names), *first.shape), bool)
        for image, name in zip(images, names, strict=True):
            bitmap = read_bitmap(io.BytesIO(self.read(name)), f"{name} in {self.path}")
            if bitmap.shape != first.shape:
                raise DataError(
                    f"{name} in {self.path} has the shape (H, W) = {bitmap.shape}, "
                    f"{names[0]} has {first.shape}: bring all images to one size"
                )
            image[:] = bitmap
        return images


@contextmanager
def open_tree(path: Path | str) -> Iterator[Tree]:
    """The zip or folder at `path`. Raises DataError when it is missing, damaged, encrypted or suspiciously large."""
    path = Path(path)
    if path.is_dir():
        found = list(islice((file for file in path.rglob("*") if file.is_file()), MAX_FILES + 1))
        _refuse_too_many(path, len(found))
        yield _tree(path, {file.relative_to(path).as_posix(): file.read_bytes for file in found})
        return
    try:
        archive = zipfile.ZipFile(path)
    except FileNotFoundError as cause:
        raise DataError(f"there is no file or folder {path}: check the path, or run `scratchnet download`") from cause
    except Exception as cause:  # zipfile reports damage in many ways
        raise DataError(f"{path} is not an intact zip ({cause}): fetch it again with `scratchnet download`") from cause
    with archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        _refuse_too_many(path, len(members))
        if sum(member.file_size for member in members) > MAX_BYTES:
            raise DataError(f"{path} unpacks to more than {MAX_BYTES:,} bytes: Omniglot is far smaller, not read")
        if any(member.flag_bits & 1 for member in members):
            raise DataError(f"{path} is encrypted: unpack it and give the folder")
        yield _tree(path, {member.filename: partial(_read_member, archive, member) for member in members})


def _tree(path: Path, files: Mapping[str, Callable[[], bytes]]) -> Tree:
    """The tree without the hidden files that operating systems leave behind, such as __MACOSX/._0394_01.png, and
    without names that would break a message into several lines.
    """
    hidden = re.compile(r"(^|/)(\.|__)")
    return Tree(path, {name: read for name, read in files.items() if name.isprintable() and not hidden.search(name)})


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """One file of a zip: no more bytes than its header declares, and the CRC-32 checked."""
    with archive.open(member) as file:
        return file.read(member.file_size)


def _refuse_too_many(path: Path, count: int) -> None:
    if count > MAX_FILES:
        raise DataError(f"{path} holds more than {MAX_FILES:,} files: is it one of Omniglot's sets?")
