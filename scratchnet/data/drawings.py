"""All drawings of some alphabets in one array, as the network looks at them: what training draws its batches from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scratchnet.backend import Array, Device
from scratchnet.data.alphabets import Alphabet
from scratchnet.errors import DataError
from scratchnet.frames import find_frame


@dataclass(frozen=True)
class Drawings:
    """Drawings by number.

    images: (M, size, size) uint8, paper 0 and ink 255; one byte a pixel until used.
    numbers: for each alphabet the (characters, drawers) int64 numbers of its drawings in `images`.
    """

    images: np.ndarray
    numbers: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, alphabets: Sequence[Alphabet], size: int, frame: str = "page") -> "Drawings":
        """The drawings of `alphabets`, framed (a name of `frames.FRAMES`) at size x size pixels.

        Raises DataError for no alphabets, or for NaN, and ScratchnetError for an unknown frame.
        """
        if not alphabets:
            raise DataError("no alphabets to train on: expected at least one")
        fit = find_frame(frame).fit
        images, numbers, count = [], [], 0
        for alphabet in alphabets:
            n = alphabet.characters * alphabet.drawers
            flat = alphabet.images.reshape(n, *alphabet.images.shape[2:])
            if not np.isfinite(flat).all():
                raise DataError(f"alphabet {alphabet.name} has a NaN or an infinity in it: leave it out")
            images.append(np.rint(255 * fit(flat.astype(np.float32), size)).astype(np.uint8))
            numbers.append(np.arange(count, count + n).reshape(alphabet.characters, alphabet.drawers))
            count += n
        return cls(np.concatenate(images), tuple(numbers))

    def ink(self, numbers: np.ndarray, device: Device) -> Array:
        """The drawings called `numbers` (N,) on `device`: (N, size, size) float32, ink 1 and paper 0."""
        return device.upload(self.images[numbers]).astype(np.float32) / 255
