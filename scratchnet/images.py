"""Pictures as arrays of ink: 1 where the pen was, 0 where the paper shows."""

import warnings
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from scratchnet.errors import DataError
from scratchnet.reading import expect_file

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP")
MAX_PIXELS = 64_000_000  # as of telephones; a few kilobytes of PNG can claim gigabytes of pixels


def read_image(source: Path | str | BinaryIO | Image.Image, name: str = "") -> np.ndarray:
    """The ink of a picture: (H, W) float32 in [0, 1], black 1 and white 0.

    Colours become grey, what is transparent shows white paper, and a photograph is turned upright as its
    EXIF note says. Of an animation the first frame counts. `name` stands for `source` in error messages.

    Raises DataError when the picture is missing, damaged, of another format or larger than MAX_PIXELS.
    """
    image = _decode(source, name or name_of(source))
    if _has_16_bits(image):
        gray = np.clip(np.asarray(image, np.float32) / 65535, 0, 1)
    else:
        gray = np.asarray(_on_white(image).convert("L"), np.float32) / 255
    return 1 - gray


def read_colours(source: Path | str | BinaryIO | Image.Image, name: str = "") -> Image.Image:
    """A picture in colours (Pillow's mode RGB), otherwise as `read_image` reads it: upright, transparency white."""
    image = _decode(source, name or name_of(source))
    if _has_16_bits(image):
        image = Image.fromarray((np.clip(np.asarray(image), 0, 65535) // 257).astype(np.uint8))
    return _on_white(image).convert("RGB")


def read_bitmap(source: Path | str | BinaryIO | Image.Image, name: str = "") -> np.ndarray:
    """A one-bit picture, such as Omniglot's: (H, W) bool, True where there is ink; greys count from one half.

    Raises DataError as `read_image` does.
    """
    return read_image(source, name) > 0.5


def name_of(source: Path | str | BinaryIO | Image.Image) -> str:
    """What to call a picture in a message: its path, if it has one."""
    if isinstance(source, Path | str):
        return str(source)
    return str(getattr(source, "filename", "") or getattr(source, "name", "") or "the image")


def _has_16_bits(image: Image.Image) -> bool:
    """Whether there are 16 bits a pixel, which Pillow would clip rather than scale."""
    return image.mode.startswith("I")


def _on_white(image: Image.Image) -> Image.Image:
    """The picture with white paper where it is transparent."""
    if not image.has_transparency_data:
        return image
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)


def _decode(source: Path | str | BinaryIO | Image.Image, name: str) -> Image.Image:
    """The decoded picture, refused by the size in its header before a pixel is decoded."""
    try:
        with warnings.catch_warnings(action="ignore"), _opened(source) as image:
            width, height = image.size
            if not 0 < width * height <= MAX_PIXELS:
                raise DataError(
                    f"{name} is {width} x {height} pixels, expected 1 to {MAX_PIXELS:,} in all: scale it to size"
                )
            return ImageOps.exif_transpose(image)
    except DataError:
        raise
    except FileNotFoundError as cause:
        raise DataError(f"there is no file {name}: check the path") from cause
    except IsADirectoryError as cause:
        raise DataError(f"{name} is a folder, expected an image file: give one of the files in it") from cause
    except Image.DecompressionBombError as cause:  # so vast that Pillow refuses it before we can
        raise DataError(f"{name} has far more than {MAX_PIXELS:,} pixels: scale it to size") from cause
    except UnidentifiedImageError as cause:
        known = ", ".join(FORMATS)
        raise DataError(f"{name} is empty or no image of a known format ({known}): save it again as PNG") from cause
    except Exception as cause:  # damage makes decoders fail in many ways, among them SyntaxError and struct.error
        reason = " ".join(str(cause).split())[:200]
        raise DataError(f"{name} cannot be read ({type(cause).__name__}: {reason}): save it again as PNG") from cause


def _opened(source: Path | str | BinaryIO | Image.Image) -> AbstractContextManager[Image.Image]:
    """The picture with only its header read; a file opened here is closed at the end, the caller's own is not."""
    if isinstance(source, Image.Image):
        return nullcontext(source)
    if isinstance(source, Path | str):
        expect_file(source)
    return Image.open(source, formats=FORMATS)
