"""What a network looks at of an image, by name: how it reads a file, and what it makes of an array of images."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from scratchnet.backend import Array
from scratchnet.common.spelling import hint
from scratchnet.errors import ScratchnetError
from scratchnet.images.framing import frame_ink
from scratchnet.images.photo import read_character
from scratchnet.images.pictures import read_image
from scratchnet.images.resize import resize


class Frame(NamedTuple):
    """read: the ink (H, W) float32 of a picture, on the host. fit: images (N, H, W) float as (N, size, size)."""

    read: Callable[[Image.Image | str | Path], np.ndarray]
    fit: Callable[[Array, int], Array]


FRAMES = {
    "page": Frame(read_image, resize),  # all of it, as it is
    "ink": Frame(read_character, frame_ink),  # the window that its ink fills; a photo becomes clean ink first
}


def find_frame(name: Any) -> Frame:
    """The frame called `name`. Raises ScratchnetError when there is none."""
    if not isinstance(name, str) or name not in FRAMES:
        raise ScratchnetError(f"unknown frame {name!r}{hint(name, FRAMES)}: choose one of {', '.join(FRAMES)}")
    return FRAMES[name]
