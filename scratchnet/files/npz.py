"""Strict reading of .npz files: uncompressed, numeric arrays only, each as large as its header says.

An .npz is a zip, so every array has a checksum and a flipped byte is noticed.
"""

import math
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from scratchnet.files import zips
from scratchnet.files.reading import open_file

MAX_ARRAYS = 10_000
MAX_HEADER = 4096
KINDS = "biufc"  # bool, integers, floats, complex; an object would be a pickle
_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00(?P<length>..)(?P<text>\{'descr': '(?P<dtype>[ -&(-~]{1,16})', "
    rb"'fortran_order': (?P<fortran>True|False), "
    rb"'shape': \((?P<shape>[-0-9, ]*)\), \} *\n)",
    re.DOTALL,
)


class Outline(NamedTuple):
    """Shape, dtype and position of an array, known before its content is read."""

    shape: tuple[int, ...]
    dtype: np.dtype
    order: Any  # "C" or "F"
    header: int  # bytes before the content
    member: zips.Member


class Npz:
    """An open .npz: the outlines of its arrays by name, in order, and the arrays themselves on request."""

    def __init__(self, file: BufferedReader) -> None:
        self._file = file
        members = zips.read_directory(file, MAX_ARRAYS)
        for member in members:
            if member.method != zips.STORED:
                raise ValueError(f"{member.name} is compressed")
            if not member.name.endswith(".npy"):
                raise ValueError(f"{member.name} is not an array")
        self.outlines = {member.name.removesuffix(".npy"): _outline(file, member) for member in members}

    def read(self, name: str) -> np.ndarray:
        """The array called `name`. Raises ValueError if it is damaged."""
        outline = self.outlines[name]
        array = np.empty(outline.shape, outline.dtype, outline.order)
        self._file.seek(outline.member.start)
        checksum = zlib.crc32(self._file.read(outline.header))
        content = memoryview(array.reshape(-1, order=outline.order).view(np.uint8))  # type: ignore[arg-type]
        if self._file.readinto(content) != array.nbytes:
            raise ValueError(f"{name} is cut off")
        if zlib.crc32(content, checksum) != outline.member.crc:
            raise ValueError(f"the checksum of {name} is wrong")
        return array


@contextmanager
def open_npz(path: Path) -> Iterator[Npz]:
    """Open the .npz at `path`. Raises OSError or ValueError, with the reason, if it cannot be read."""
    with open_file(path) as file:
        if os.fstat(file.fileno()).st_size == 0:
            raise ValueError("it is empty")
        yield Npz(file)


def _outline(file: BinaryIO, member: zips.Member) -> Outline:
    file.seek(member.start)
    head = _HEADER.match(file.read(min(member.size, MAX_HEADER)))
    if not head or int.from_bytes(head["length"], "little") != len(head["text"]):
        raise ValueError(f"{member.name} does not begin like an array")
    try:
        dtype = np.dtype(head["dtype"].decode())
    except TypeError:
        dtype = np.dtype(object)
    if dtype.kind not in KINDS:
        raise ValueError(f"{member.name} holds {head['dtype'].decode()}, expected numbers")
    shape = tuple(int(length) for length in head["shape"].decode().split(",") if length.strip())
    held = member.size - head.end()
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != held:
        raise ValueError(f"{member.name} declares {dtype} {shape} but holds {held} bytes")
    return Outline(shape, dtype, "F" if head["fortran"] == b"True" else "C", head.end(), member)
