"""The drawings of several alphabets in one array at the size of the network, from which training takes its batches."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf

import numpy as np
from numpy.typing import NDArray

from scratchnet.backend import Array, Device, array_module, device_of, to_device
from scratchnet.data.alphabets import Alphabet
from scratchnet.data.uneven import NONE, uneven
from scratchnet.errors import DataError, ShapeError
from scratchnet.images.frames import find_frame

SHARE = 1 / 4  # of the free memory of a device that drawings may take
AT_ONCE = 2048  # drawings that are framed together


@dataclass(frozen=True)
class Drawings:
    """Drawings, numbered from 0.

    images: (M, size, size) uint8, paper 0 and ink 255, on the host or on a device.
    numbers: for each alphabet, the numbers (characters, drawers) int64 of its drawings, which index `images`; -1 after
    the last drawer of a character that has fewer than others.
    labels: (M,) int64, the character of each drawing, counted over all alphabets.
    repeats: (M,) int64, how many drawings from this one on are by the same drawer, of the same character.
    """

    images: Array
    numbers: tuple[NDArray[np.int64], ...]
    labels: NDArray[np.int64]
    repeats: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.ndim != 3:
            raise ShapeError(
                f"drawings are {self.images.dtype} {tuple(self.images.shape)}, "
                "expected uint8 (M, size, size): make them with Drawings.of"
            )

    @classmethod
    def of(cls, alphabets: Sequence[Alphabet], size: int, *, frame: str = "page") -> "Drawings":
        """The drawings of `alphabets` at size x size pixels; frame: a name in `images.frames.FRAMES`.

        Raises DataError if there are no alphabets or the images are not ink 1 and paper 0; ScratchnetError for an
        unknown frame.
        """
        if not alphabets:
            raise DataError("no alphabets to train on: expected at least one")
        fit = find_frame(frame).fit
        images: list[np.ndarray] = []
        numbers, labels, repeats, characters = [], [], [], 0
        for alphabet in alphabets:
            alphabet.expect_ink()
            count, part = sum(len(some) for some in images), uneven(alphabet)
            flat = alphabet.drawings
            for some in (flat[start : start + AT_ONCE] for start in range(0, len(flat), AT_ONCE)):
                images.append(np.rint(255 * fit(some.astype(np.float32), size)).astype(np.uint8))
            numbers.append(np.where(part.table < 0, NONE, part.table + count))
            labels.append(characters + part.labels)
            repeats.append(part.repeats)
            characters += alphabet.characters
        return cls(np.concatenate(images), tuple(numbers), np.concatenate(labels), np.concatenate(repeats))

    def to_device(self, device: Device, *, memory: float = inf) -> "Drawings":
        """The same drawings with their images on `device`, so that batches need no transfer.

        They stay where they are if they would take more than SHARE of its free memory, or of `memory` bytes.
        """
        if device.free_memory is not None and self.images.nbytes > SHARE * min(device.free_memory(), memory):
            return self
        return replace(self, images=to_device(self.images, device))

    def ink(self, numbers: np.ndarray, device: Device) -> Array:
        """The drawings of these numbers (N,) on `device`: (N, size, size) float32, ink 1 and paper 0.

        They are gathered where the images live. Raises DataError for a number out of range.
        """
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() < len(self.images):  # a GPU would not complain
            raise DataError(
                f"drawings {numbers.min()} to {numbers.max()} requested: there are 0 to {len(self.images) - 1}"
            )
        xp, here = array_module(self.images), device_of(self.images)
        chosen = to_device(xp.take(self.images, here.upload(numbers), axis=0), device)
        xp = device.module
        return xp.divide(chosen, 255, dtype=np.float32)
