"""Read many pictures, of any size and from anywhere, as the input of a network."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from scratchnet.backend import Array, device_of
from scratchnet.backend.threads import for_each, thread_count
from scratchnet.common.spelling import hint
from scratchnet.errors import DataError, ScratchnetError
from scratchnet.images.frames import Frame, Picture
from scratchnet.images.ink import SLACK, expect_images

OnError = Literal["raise", "skip"]
Drawing = Picture | np.ndarray  # a picture, or an array (H, W) of ink
AT_ONCE = 4  # pictures for each thread, held at their full size


def read_drawings(
    name: str, drawings: Sequence[Drawing], frame: Frame, size: int, on_error: OnError
) -> tuple[np.ndarray, np.ndarray]:
    """Read drawings in threads: (N, size, size) float32, framed, on the host; and which were skipped, (N,) bool.

    on_error: "raise" a DataError that says which drawing it is, by its index in `name` and by its file; or "skip" it,
    which leaves zeros in its place.
    """
    if on_error not in ("raise", "skip"):
        raise ScratchnetError(f"on_error={on_error!r}{hint(on_error, ('raise', 'skip'))}: give 'raise' or 'skip'")
    framed, skipped = np.zeros((len(drawings), size, size), np.float32), np.zeros(len(drawings), bool)
    step = AT_ONCE * thread_count()
    for start in range(0, len(drawings), step):
        some = range(start, min(start + step, len(drawings)))
        found: dict[int, np.ndarray | DataError] = {}

        def read(i: int, found: dict[int, np.ndarray | DataError] = found) -> None:
            try:
                found[i] = _ink(drawings[i], frame)
            except DataError as fault:
                found[i] = DataError(f"{name}[{i}]: {fault}")

        for_each(read, some, like=framed)
        for i in some:
            ink = found[i]
            if not isinstance(ink, DataError):
                framed[i] = frame.fit(ink[None], size)[0]
            elif on_error == "raise":
                raise ink
            else:
                skipped[i] = True
    return framed, skipped


def _ink(drawing: Drawing, frame: Frame) -> np.ndarray:
    """One drawing as ink (H, W) float32. Raises DataError, which does not say which drawing it is."""
    if isinstance(drawing, np.ndarray):
        try:
            expect_images("image", drawing[None])
        except ValueError as fault:  # a ShapeError
            raise DataError(str(fault)) from fault
        expect_range("image", drawing, frame)
        return drawing.astype(np.float32)
    if not isinstance(drawing, Image.Image | str | Path | bytes | bytearray) and not hasattr(drawing, "read"):
        kind = type(drawing).__name__
        raise DataError(f"a {kind}, expected a path, bytes, an open file, a Pillow image or an array (H, W)")
    return frame.read(drawing)


def expect_range(name: str, images: Array, frame: Frame) -> None:
    """Raise DataError for images (..., H, W) that are darker than the frame's black; on the host only."""
    if frame.darkest < 1 and images.size and not device_of(images).asynchronous:
        most = float(images.max())
        if most > frame.darkest + SLACK:
            raise DataError(
                f"{name} has values up to {most:.3g}, but a network that reads grey takes 0 for white to 127/255 for "
                "black: write 127 / 255 * (1 - pixels / 255)"
            )
