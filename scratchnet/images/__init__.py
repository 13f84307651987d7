"""Pictures and drawings as arrays of ink: reading, cleaning, framing and augmentation. Modules load on first use."""

from typing import TYPE_CHECKING  # isort: skip_file

__all__ = [
    "align", "augment", "blocks", "channels", "contrast", "find_frame", "frames", "framing", "ink", "lines", "photo",
    "pictures", "read_character", "read_colours", "read_image", "resize", "ruling", "strokes", "warp",
]  # fmt: skip

if TYPE_CHECKING:
    from scratchnet.images import (
        align, augment, blocks, channels, contrast, frames, framing, ink, lines, photo, pictures, resize, ruling,
        strokes, warp,
    )  # fmt: skip
    from scratchnet.images.frames import find_frame
    from scratchnet.images.photo import read_character
    from scratchnet.images.pictures import read_colours, read_image
else:
    from scratchnet.common.lazy import lazily

    __getattr__, __dir__ = lazily(
        __name__,
        __all__,
        {"read_image": "pictures", "read_colours": "pictures", "read_character": "photo", "find_frame": "frames"},
    )
