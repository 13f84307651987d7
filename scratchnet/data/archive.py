"""One interface to zips and folders: files by name. Zips are read directly, never unpacked.

Nothing is skipped silently except files that operating systems leave behind. Everything is bounded before it is read:
the number of files, and bytes and pixels in proportion to the size on disk, since a few kilobytes can claim gigabytes.
"""

import errno
import io
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from scratchnet.errors import DataError
from scratchnet.files import zips
from scratchnet.files.reading import open_file, read_file, reason
from scratchnet.images.pictures import FORMATS, read_bitmap

# Far more than Omniglot needs (34,000 files, 16 MB packed, 358 million pixels), far less than would fill the memory.
MAX_FILES = 65_535
MAX_DEPTH = 16  # of nested folders
MAX_FILE = 1 << 24  # bytes of one file; most drawings have about 300
MAX_BYTES = 1 << 28  # of all files of a zip, unpacked
MAX_PIXELS = 1 << 31
MAX_DRAWING = 1 << 20  # pixels of one drawing; Omniglot's are 105 x 105
SMALL = 1 << 25  # bytes, or pixels, allowed for any zip or folder
BYTES_PER_BYTE, PIXELS_PER_BYTE = 8, 512  # allowed beyond SMALL, per byte on disk; Omniglot has 1.13 and 25

# Files and folders that operating systems and file managers leave behind.
LITTER = re.compile(r"(^|/)(\..*|__MACOSX|@eaDir|\$RECYCLE\.BIN|(eh)?Thumbs\.db|desktop\.ini|Icon\r)(/|$)", re.I)


@dataclass(frozen=True)
class Tree:
    """The files of a zip or a folder.

    files: by path inside the tree, a function that reads the file, given the largest number of bytes to accept.
    folders: the paths of all folders. held: the bytes on disk, compressed or not. places: of the files of a folder, the
    paths on disk, where their names may be spelled differently.
    """

    path: Path
    files: Mapping[str, Callable[[int], bytes]]
    folders: frozenset[str]
    held: int
    places: Mapping[str, str] = field(default_factory=dict)

    def read(self, name: str, most: int = MAX_FILE) -> bytes:
        """The content of one file. Raises DataError if it is missing, damaged or larger than `most` bytes."""
        if name not in self.files:
            raise DataError(f"{self.path} has no file {name}: the copy is incomplete, fetch it again")
        try:
            return self.files[name](most)
        except (OSError, ValueError) as cause:
            raise DataError(f"{name} in {self.path} cannot be read ({reason(cause)}): fetch the data again") from cause

    def read_bitmaps(self, names: Sequence[str]) -> np.ndarray:
        """The drawings called `names`: (N, H, W) bool. Raises DataError if one is damaged or the sizes differ."""
        first = self.read_bitmap(names[0])
        if len(names) * first.size > min(MAX_PIXELS, SMALL + PIXELS_PER_BYTE * self.held):
            raise DataError(
                f"{self.path} holds {len(names)} images of {first.shape} pixels in {self.held:,} bytes: "
                "too many pixels for drawings, not read"
            )
        images = np.empty((len(names), *first.shape), bool)
        for image, name in zip(images, names, strict=True):
            bitmap = self.read_bitmap(name)
            if bitmap.shape != first.shape:
                raise DataError(
                    f"{name} in {self.path} has shape (H, W) = {bitmap.shape}, "
                    f"but {names[0]} has {first.shape}: bring all images to one size"
                )
            image[:] = bitmap
        return images

    def read_bitmap(self, name: str) -> np.ndarray:
        """One drawing: (H, W) bool. Raises DataError if it is damaged or has more than MAX_DRAWING pixels."""
        content = self.read(name)
        width, height = _size(content)
        if width * height > MAX_DRAWING:
            raise DataError(
                f"{name} in {self.path} is {width} x {height} pixels: expected at most "
                f"{MAX_DRAWING:,} in all, scale it down"
            )
        return read_bitmap(io.BytesIO(content), name=f"{name} in {self.path}")

    def listing(self) -> str:
        """The first top-level names, for use in a message."""
        tops = sorted({name.partition("/")[0] for name in (*self.files, *self.folders)})
        return few(tops) or "nothing"


def few(names: Sequence[str], most: int = 5, total: int = 0) -> str:
    """The first `most` names, and the number of those left out; total: the full number, if `names` has not all."""
    others = max(total, len(names)) - most
    return ", ".join(names[:most]) + (f" and {others:,} more" if others > 0 else "")


@contextmanager
def open_tree(path: Path | str, *, most: int | None = None) -> Iterator[Tree]:
    """Open the zip or folder at `path`; most: the largest number of files to accept in a folder.

    Raises DataError if it is missing, damaged, encrypted or larger than the bounds allow, and for a zip whose directory
    lists less than the file holds, or one name twice.
    """
    path = Path(path)
    if path.is_dir():
        yield _folder(path, most or MAX_FILES)
        return
    if not path.exists():
        raise DataError(f"there is no file or folder {path}: check the path, or run `scratchnet download`")
    try:
        file = open_file(path)
    except OSError as cause:
        raise DataError(f"{path} cannot be read ({reason(cause)}): give a zip or a folder") from cause
    with file:
        yield _zip(path, file)


def _zip(path: Path, file: io.BufferedReader) -> Tree:
    try:
        members = zips.read_directory(file, MAX_FILES)
        held = os.fstat(file.fileno()).st_size
        if sum(member.size for member in members) > min(MAX_BYTES, SMALL + BYTES_PER_BYTE * held):
            raise ValueError(f"its {held:,} bytes unpack to far more than expected")
        files = _by_name(
            {
                member.name: partial(_read_member, file, member)
                for member in members
                if not member.name.endswith(("/", "\\"))
            }
        )
        folders = _by_name({member.name: member for member in members if member.name.endswith(("/", "\\"))})
    except (OSError, ValueError) as cause:
        raise DataError(
            f"{path} is not an intact zip ({reason(cause)}): fetch it again with `scratchnet download`"
        ) from cause
    return Tree(path, files, _with_parents(folders, files), held)


def _by_name(listed: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a zip by normalised name, without LITTER. Raises ValueError for duplicate names."""
    members: dict[str, Any] = {}
    for name, value in listed.items():
        parts = [part for part in re.split(r"[/\\]", name) if part not in ("", ".")]  # some tools write backslashes
        clean = unicodedata.normalize("NFC", "/".join(parts))
        if ".." in parts or not parts:
            raise ValueError(f"it holds a file called {name}")
        if clean in members:
            raise ValueError(f"it holds {clean} twice")
        if not LITTER.search(clean):
            members[clean] = value
    return members


def _read_member(file: io.BufferedReader, member: zips.Member, most: int) -> bytes:
    """One file of a zip, of at most `most` bytes, with its CRC-32 checked."""
    if member.size > most:
        raise ValueError(f"it has more than {most:,} bytes")
    return zips.read_member(file, member)


def _folder(path: Path, most: int) -> Tree:
    places: dict[str, str] = {}
    folders, held = set(), 0
    try:
        for name, entry in _walk(path, "", (os.path.realpath(path),)):
            if name in places or name in folders:
                raise DataError(f"{path} holds {name} twice, in two spellings that look the same: remove one")
            if entry.is_dir():
                folders.add(name)
            else:
                places[name] = entry.path
                held += min(entry.stat().st_size, MAX_FILE) if entry.is_file() else 0
            if max(len(places), len(folders)) > most:
                raise DataError(f"{path} holds more than {most:,} files: is it the folder of the data?")
    except OSError as cause:
        raise DataError(f"{cause.filename or path} cannot be read ({reason(cause)}): check its permissions") from cause
    files = {name: partial(read_file, place) for name, place in places.items()}
    return Tree(path, files, frozenset(folders), held, places)


def _walk(folder: Path | str, inside: str, above: tuple[str, ...]) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """All files and folders below `folder` by path, without LITTER; links are followed.

    above: the real paths of the folder and its parents, to detect links that lead back up.
    """
    if len(above) > MAX_DEPTH:
        raise OSError(errno.ELOOP, f"folders are nested more than {MAX_DEPTH} deep", str(folder))
    with os.scandir(folder) as scan:
        entries = sorted(scan, key=lambda entry: entry.name)
    for entry in entries:
        name = unicodedata.normalize("NFC", inside + entry.name)
        if LITTER.search(name):
            continue
        place = os.path.realpath(entry.path) if entry.is_dir() else ""
        if place in above:
            continue
        yield name, entry
        if place:
            yield from _walk(entry.path, f"{name}/", (*above, place))


def _with_parents(folders: Iterable[str], files: Iterable[str]) -> frozenset[str]:
    """The folders that a zip lists, and the parent folders of its files."""
    everything = set(folders)
    for name in files:
        while (name := name.rpartition("/")[0]) and name not in everything:
            everything.add(name)
    return frozenset(everything)


def _size(content: bytes) -> tuple[int, int]:
    """The width and height in the header of a picture; (0, 0) if it cannot be read, which decoding then reports.

    Opening a WEBP decodes it, so these are left to the bounds of `read_bitmap`.
    """
    if content.startswith(b"\x89PNG\r\n\x1a\n") and content[12:16] == b"IHDR":
        return int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")
    try:
        with Image.open(io.BytesIO(content), formats=[name for name in FORMATS if name != "WEBP"]) as image:
            return image.size
    except Exception:  # damage makes Pillow fail in many ways
        return 0, 0
