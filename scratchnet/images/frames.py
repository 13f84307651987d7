"""Frames: how a network reads a picture and what part of an image it looks at, by name.

Pillow is imported only when a picture is read, so networks and training on arrays do without it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Union

import numpy as np

from scratchnet.backend import Array
from scratchnet.common.spelling import hint
from scratchnet.errors import ScratchnetError
from scratchnet.images.framing import frame_ink
from scratchnet.images.resize import resize

if TYPE_CHECKING:
    from PIL import Image

BLACK = 127 / 255  # of a grey picture: less than 1/2, so that nothing in it counts as ink or as paper
Picture = Union["Image.Image", str, Path, bytes, BinaryIO]


class Frame(NamedTuple):
    """read(picture, name=...): a picture to (H, W), float32 on the host; the name is for messages. fit: images
    (N, H, W), float, to (N, size, size). darkest: the value of black.
    """

    read: Callable[..., np.ndarray]
    fit: Callable[[Array, int], Array]
    darkest: float = 1.0


def _read_page(picture: Picture, name: str = "") -> np.ndarray:
    from scratchnet.images.pictures import read_image  # noqa: PLC0415  # imports Pillow

    return read_image(picture, name=name)


def _read_character(picture: Picture, name: str = "") -> np.ndarray:
    from scratchnet.images.photo import read_character  # noqa: PLC0415  # imports Pillow

    return read_character(picture, name=name)


def _read_grey(picture: Picture, name: str = "") -> np.ndarray:
    return np.float32(BLACK) * _read_page(picture, name)


FRAMES = {
    "page": Frame(_read_page, resize),  # the whole image, unchanged
    "ink": Frame(_read_character, frame_ink),  # the window filled by its ink; photos are cleaned first
    "grey": Frame(_read_grey, resize, darkest=BLACK),  # the whole image, from 0 for white to BLACK
}


def find_frame(name: Any) -> Frame:
    """The frame called `name`, a key of FRAMES. Raises ScratchnetError for an unknown name."""
    if not isinstance(name, str) or name not in FRAMES:
        raise ScratchnetError(f"unknown frame {name!r}{hint(name, FRAMES)}: choose one of {', '.join(FRAMES)}")
    return FRAMES[name]
