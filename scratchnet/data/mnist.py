"""The MNIST test digits, for one-shot recognition of signs that no network here has seen.

The files are in the idx format: two zero bytes, 8 for unsigned bytes, the number of axes, the length of each axis
as a big-endian 32-bit number, then the bytes.
"""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from scratchnet.data.locate import find_data
from scratchnet.errors import DataError

FETCH = "put the idx files of MNIST's test set there, or say with --data DIR where they are"
MAX_BYTES = 1 << 28  # the 60,000 training images are 47 MB


def load_mnist(option: Path | str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The test set: images (N, 28, 28) float32, ink 1 and paper 0, and labels (N,) int64 from 0 to 9.

    option: the folder of the idx files, packed with gzip or not; None looks where `find_data` does.

    Raises DataError when a file is missing or damaged, or when the two do not belong together.
    """
    image_path = find_data(option, "t10k-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte", mend=FETCH)
    label_path = find_data(option, "t10k-labels-idx1-ubyte.gz", "t10k-labels-idx1-ubyte", mend=FETCH)
    images, labels = read_idx(image_path, axes=3), read_idx(label_path, axes=1)
    if len(images) != len(labels):
        raise DataError(
            f"{image_path} holds {len(images)} images but {label_path} {len(labels)} labels: fetch both again"
        )
    if images.shape[1:] != (28, 28):
        raise DataError(f"{image_path} holds images of (H, W) = {images.shape[1:]}, expected (28, 28)")
    if labels.size and labels.max() > 9:
        raise DataError(f"{label_path} holds a label {labels.max()}, expected 0 to 9: fetch it again")
    return images.astype(np.float32) / 255, labels.astype(np.int64)


def read_idx(path: Path | str, axes: int) -> np.ndarray:
    """The array of unsigned bytes in an idx file: uint8 with `axes` axes. Raises DataError on damage."""
    path = Path(path)
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            magic, lengths = file.read(4), file.read(4 * axes)
            if magic != bytes([0, 0, 8, axes]) or len(lengths) != 4 * axes:
                raise DataError(f"{path} does not begin as an idx file of bytes with {axes} axes: fetch it again")
            shape = tuple(np.frombuffer(lengths, ">u4").tolist())
            size = math.prod(shape)
            if size > MAX_BYTES:
                raise DataError(f"{path} declares the shape {shape}, more than {MAX_BYTES:,} bytes: fetch it again")
            content = file.read(size + 1)  # one more, to see what should not be there
    except (OSError, EOFError, zlib.error) as cause:
        raise DataError(f"{path} cannot be read ({cause}): fetch it again") from cause
    if len(content) != size:
        found = "more" if len(content) > size else f"{len(content):,}"
        raise DataError(f"{path} declares {size:,} bytes for the shape {shape} but holds {found}: fetch it again")
    return np.frombuffer(content, np.uint8).reshape(shape)
