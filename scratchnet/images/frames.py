"""Frames: how a network reads a picture and what part of an image it looks at, by name."""

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
    """read: a picture to ink (H, W), float32 on the host. fit: images (N, H, W), float, to (N, size, size)."""

    read: Callable[[Image.Image | str | Path], np.ndarray]
    fit: Callable[[Array, int], Array]


FRAMES = {
    "page": Frame(read_image, resize),  # the whole image, unchanged
    "ink": Frame(read_character, frame_ink),  # the window filled by its ink; photos are cleaned first
}


def find_frame(name: Any) -> Frame:
    """The frame called `name`, a key of FRAMES. Raises ScratchnetError for an unknown name."""
    if not isinstance(name, str) or name not in FRAMES:
        raise ScratchnetError(f"unknown frame {name!r}{hint(name, FRAMES)}: choose one of {', '.join(FRAMES)}")
    return FRAMES[name]
