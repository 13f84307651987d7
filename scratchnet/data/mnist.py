"""The MNIST test digits, for one-shot recognition of characters that no network here has seen.

The files are in the idx format: two zero bytes, 8 for unsigned bytes, the number of axes, the length of each axis
as a big-endian 32-bit integer, then the data.
"""

import math
import zlib
from pathlib import Path

import numpy as np

from scratchnet.data.locate import find_data
from scratchnet.errors import DataError
from scratchnet.files.reading import read_file, reason

FETCH = "put the idx files of MNIST's test set there, or give their folder with --data DIR"
IMAGES, LABELS = (
    [f"t10k-{kind}{dot}idx{axes}-ubyte{packed}" for dot in "-." for packed in (".gz", "")]
    for kind, axes in (("images", 3), ("labels", 1))
)
MAX_DIGITS = 10_000  # in the test set
SIZE = (28, 28)


def load_mnist(option: Path | str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Load the test set: images (N, 28, 28) float32, ink 1 and paper 0, and labels (N,) int64 from 0 to 9.

    option: the folder of the idx files, compressed with gzip or not; searched for as in `find_data`.

    Raises DataError if a file is missing or damaged, or if the two do not match.
    """
    image_path = find_data(option, *IMAGES, remedy=FETCH)
    label_path = find_data(option, *LABELS, remedy=FETCH)
    images, labels = read_idx(image_path, *SIZE), read_idx(label_path)
    if len(images) != len(labels):
        raise DataError(
            f"{image_path} holds {len(images)} images but {label_path} {len(labels)} labels: fetch both again"
        )
    if labels.size and labels.max() > 9:
        raise DataError(f"{label_path} holds the label {labels.max()}, expected 0 to 9: fetch it again")
    return np.divide(images, 255, dtype=np.float32), labels.astype(np.int64)


def read_idx(path: Path | str, *size: int) -> np.ndarray:
    """Read the array (N, *size) of an idx file: uint8, N up to MAX_DIGITS.

    Raises DataError if the file is damaged or its shape differs, before it allocates anything of that shape.
    """
    path = Path(path)
    axes = 1 + len(size)
    begin = 4 + 4 * axes
    most = begin + MAX_DIGITS * math.prod(size)
    try:
        content = read_file(path, most + (most >> 8) + 1024)  # gzip may make it slightly longer
        if path.suffix == ".gz":
            content = _gunzip(content, most)
    except (OSError, ValueError) as cause:
        raise DataError(f"{path} cannot be read ({reason(cause)}): fetch it again") from cause
    if content[:4] != bytes([0, 0, 8, axes]) or len(content) < begin:
        raise DataError(f"{path} does not begin like an idx file of bytes with {axes} axes: fetch it again")
    shape = tuple(np.frombuffer(content[4:begin], ">u4").tolist())
    if shape[1:] != size or not 1 <= shape[0] <= MAX_DIGITS:
        expected = ", ".join(map(str, (f"1 to {MAX_DIGITS:,}", *size)))
        raise DataError(f"{path} declares shape {shape}, expected ({expected}): fetch it again")
    held = len(content) - begin
    if held != math.prod(shape):
        raise DataError(
            f"{path} declares {math.prod(shape):,} bytes for shape {shape} but holds {held:,}"
            f"{' or more' if held > math.prod(shape) else ''}: fetch it again"
        )
    return np.frombuffer(content, np.uint8, offset=begin).reshape(shape)


def _gunzip(packed: bytes, most: int) -> bytes:
    """Decompress at most `most` + 1 bytes. Raises ValueError if shorter data are cut off or followed by more."""
    stream = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        content = stream.decompress(packed, most + 1)
    except zlib.error as cause:
        raise ValueError(str(cause)) from cause
    if len(content) <= most and (not stream.eof or stream.unused_data):
        raise ValueError("it is cut off" if not stream.eof else "something follows it")
    return content
