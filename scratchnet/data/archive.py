"""A zip or a folder as one thing: files by name. Zips are read as they are, never unpacked.

Nothing is left out without a word but what operating systems leave behind, and all is bounded before it is read: files,
bytes and pixels, the last two by what the zip or folder holds, since a few kilobytes can claim gigabytes.
"""

import errno
import io
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from scratchnet.errors import DataError
from scratchnet.files import zips
from scratchnet.files.reading import open_file, read_file, reason
from scratchnet.images.pictures import FORMATS, read_bitmap

# Many times what Omniglot needs (34,000 files, 16 MB packed, 358 million pixels), and far below what fills a machine.
MAX_FILES = 65_535
MAX_DEPTH = 16  # folders in each other
MAX_FILE = 1 << 24  # bytes of one file; most drawings have 300
MAX_BYTES = 1 << 28  # of all files of a zip, unpacked
MAX_PIXELS = 1 << 31
MAX_DRAWING = 1 << 20  # pixels of one drawing; Omniglot's have 105 x 105
SMALL = 1 << 25  # bytes, or pixels, that any zip or folder may hold
BYTES_PER_BYTE, PIXELS_PER_BYTE = 8, 512  # beyond that, for each byte that is there; Omniglot has 1.13 and 25

# What operating systems and file managers leave behind.
LITTER = re.compile(r"(^|/)(\..*|__MACOSX|@eaDir|\$RECYCLE\.BIN|(eh)?Thumbs\.db|desktop\.ini|Icon\r)(/|$)", re.I)


@dataclass(frozen=True)
class Tree:
    """The files of a zip or of a folder, as functions that read them, by their path inside it.

    A function takes the bytes that it may read at most. folders: the paths of all folders. held: the bytes that are
    there, packed or not.
    """

    path: Path
    files: Mapping[str, Callable[[int], bytes]]
    folders: frozenset[str]
    held: int

    def read(self, name: str, most: int = MAX_FILE) -> bytes:
        """The content of one file. Raises DataError when it is missing, damaged or larger than `most` bytes."""
        if name not in self.files:
            raise DataError(f"{self.path} has no file {name}: the copy is not complete, fetch it again")
        try:
            return self.files[name](most)
        except (OSError, ValueError) as cause:
            raise DataError(f"{name} in {self.path} cannot be read ({reason(cause)}): fetch the data again") from cause

    def read_bitmaps(self, names: Sequence[str]) -> np.ndarray:
        """The drawings called `names`: (N, H, W) bool. Raises DataError when one is damaged or of another size."""
        first = self.read_bitmap(names[0])
        if len(names) * first.size > min(MAX_PIXELS, SMALL + PIXELS_PER_BYTE * self.held):
            raise DataError(
                f"{self.path} holds {len(names)} images of {first.shape} pixels in {self.held:,} bytes: "
                "too many for drawings, not read"
            )
        images = np.empty((len(names), *first.shape), bool)
        for image, name in zip(images, names, strict=True):
            bitmap = self.read_bitmap(name)
            if bitmap.shape != first.shape:
                raise DataError(
                    f"{name} in {self.path} has the shape (H, W) = {bitmap.shape}, "
                    f"{names[0]} has {first.shape}: bring all images to one size"
                )
            image[:] = bitmap
        return images

    def read_bitmap(self, name: str) -> np.ndarray:
        """One drawing: (H, W) bool. Raises DataError when it is damaged or larger than MAX_DRAWING."""
        content = self.read(name)
        width, height = _size(content)
        if width * height > MAX_DRAWING:
            raise DataError(
                f"{name} in {self.path} is {width} x {height} pixels: expected up to "
                f"{MAX_DRAWING:,} in all, scale it to size"
            )
        return read_bitmap(io.BytesIO(content), name=f"{name} in {self.path}")

    def listing(self) -> str:
        """The beginning of what is there, for a message."""
        tops = sorted({name.partition("/")[0] for name in (*self.files, *self.folders)})
        return few(tops) or "nothing"


def few(names: Sequence[str], most: int = 5, total: int = 0) -> str:
    """The first `most` of some names, and how many others there are, of `total` or of these."""
    others = max(total, len(names)) - most
    return ", ".join(names[:most]) + (f" and {others:,} more" if others > 0 else "")


@contextmanager
def open_tree(path: Path | str) -> Iterator[Tree]:
    """The zip or folder at `path`. Raises DataError when it is missing, damaged, encrypted, or claims too much.

    A zip is refused where its directory lists less than it holds, or a name twice.
    """
    path = Path(path)
    if path.is_dir():
        yield _folder(path)
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
            raise ValueError(f"it unpacks to far more bytes than the {held:,} that it has")
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
    """The members of a zip by their cleaned names, without the litter. Raises ValueError for one name twice."""
    found: dict[str, Any] = {}
    for name, value in listed.items():
        parts = [part for part in re.split(r"[/\\]", name) if part not in ("", ".")]  # some tools write backslashes
        clean = unicodedata.normalize("NFC", "/".join(parts))
        if ".." in parts or not parts:
            raise ValueError(f"it holds a file called {name}")
        if clean in found:
            raise ValueError(f"it holds {clean} twice")
        if not LITTER.search(clean):
            found[clean] = value
    return found


def _read_member(file: io.BufferedReader, member: zips.Member, most: int) -> bytes:
    """One file of a zip: no more bytes than the directory declares, and the CRC-32 checked."""
    if member.size > most:
        raise ValueError(f"it has more than {most:,} bytes")
    return zips.read_member(file, member)


def _folder(path: Path) -> Tree:
    files: dict[str, Callable[[int], bytes]] = {}
    folders, held = set(), 0
    try:
        for name, entry in _walk(path, "", (os.path.realpath(path),)):
            if name in files or name in folders:
                raise DataError(f"{path} holds {name} twice, in two spellings that look the same: remove one")
            if entry.is_dir():
                folders.add(name)
            else:
                files[name] = partial(read_file, entry.path)
                held += min(entry.stat().st_size, MAX_FILE) if entry.is_file() else 0
            if max(len(files), len(folders)) > MAX_FILES:
                raise DataError(f"{path} holds more than {MAX_FILES:,} files: is it one of Omniglot's sets?")
    except OSError as cause:
        raise DataError(f"{cause.filename or path} cannot be read ({reason(cause)}): check its permissions") from cause
    return Tree(path, files, frozenset(folders), held)


def _walk(folder: Path | str, inside: str, above: tuple[str, ...]) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """All files and folders below a folder, links followed, by their path; without the litter.

    above: where the folder and those around it really are, for links that lead back up.
    """
    if len(above) > MAX_DEPTH:
        raise OSError(errno.ELOOP, f"folders in folders, more than {MAX_DEPTH} deep", str(folder))
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
    """The folders that a zip lists, and those that its files lie in."""
    found = set(folders)
    for name in files:
        while (name := name.rpartition("/")[0]) and name not in found:
            found.add(name)
    return frozenset(found)


def _size(content: bytes) -> tuple[int, int]:
    """The width and height in the header of a picture; (0, 0) where it cannot be read, as decoding will say.

    To open a WEBP is to decode it: `read_bitmap` bounds those.
    """
    if content.startswith(b"\x89PNG\r\n\x1a\n") and content[12:16] == b"IHDR":
        return int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")
    try:
        with Image.open(io.BytesIO(content), formats=[name for name in FORMATS if name != "WEBP"]) as image:
            return image.size
    except Exception:  # damage makes Pillow fail in many ways
        return 0, 0
