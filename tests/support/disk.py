"""Small sets of drawings as files, how to put them into zips and folders, and a bound on the memory of reading them."""

import io
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scratchnet.data.alphabets import Alphabet
from scratchnet.errors import DataError

SIZE = 6


@contextmanager
def little_memory() -> Iterator[None]:
    """Python and NumPy take at most 64 MB in here."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


def bitmap(number: int) -> np.ndarray:
    """A drawing that shows its number, (H, W) = (6, 5) bool, the bits as ink."""
    return np.array([number >> bit & 1 for bit in range(SIZE * (SIZE - 1))], bool).reshape(SIZE, SIZE - 1)


def png(number: int, grow: int = 0) -> bytes:
    file = io.BytesIO()
    Image.fromarray(~np.pad(bitmap(number), (0, grow))).save(file, "PNG")
    return file.getvalue()


def pack(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def unpack(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def assert_same(one: list[Alphabet], other: list[Alphabet]) -> None:
    assert [alphabet.name for alphabet in one] == [alphabet.name for alphabet in other]
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a.images, b.images)


def refusal_of(read, path: Path) -> str:
    with pytest.raises(DataError) as refusal:
        read(path)
    message = str(refusal.value)
    assert "\n" not in message
    assert path.name in message
    return message
