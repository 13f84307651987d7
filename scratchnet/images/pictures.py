"""Pictures as arrays of ink: 1 where the pen was, 0 where the paper shows."""

import io
import math
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from scratchnet.errors import DataError
from scratchnet.files.reading import expect_file
from scratchnet.images.blocks import webp_size, without_notes
from scratchnet.images.channels import colours, grey_values

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP")
MAX_PIXELS = 64_000_000  # as of telephones; a few kilobytes of PNG can claim gigabytes of pixels
LARGE = 1 << 24  # pixels, of which as many are looked at, at most
FULL_MODES = {"1": "L", "P": "RGB", "I;16": "I", "I;16L": "I", "I;16B": "I", "I;16N": "I"}  # that can be averaged
MAX_WEBP, WEBP_DENSITY = 1 << 23, 100  # pixels, and how many more for each byte: no photo of a sheet is as dense
MAX_SIDE = 32_000  # pixels; every row costs memory of its own
MAX_BYTES = 1 << 26  # of a file that is searched for what spoils it

ORIENTATION = 0x0112  # the EXIF note of how the camera was held
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

Source = Path | str | BinaryIO | Image.Image


def read_image(source: Source, *, name: str = "") -> np.ndarray:
    """The ink of a picture: (H, W) float32 in [0, 1], black 1 and white 0.

    Colours become grey, and values are scaled by the picture's mode, as `channels` says. On a transparent sheet the ink
    is what is opaque. A photograph is turned upright as its EXIF note says, if that can be read. Of an animation the
    first frame counts. `name` stands for `source` in error messages.

    Raises DataError when the picture is missing, damaged, of another format, larger than MAX_PIXELS or MAX_SIDE, or its
    values fit no scale in use.
    """
    name = name or name_of(source)
    with _refusals(name):
        grey = grey_values(_decode(source, name))
        return np.subtract(1, grey, out=grey)


def read_colours(source: Source, *, name: str = "") -> Image.Image:
    """A picture in colours (Pillow's mode RGB), otherwise as `read_image` reads it."""
    name = name or name_of(source)
    with _refusals(name):
        return colours(_decode(source, name))


def read_bitmap(source: Source, *, name: str = "") -> np.ndarray:
    """A one-bit picture, such as Omniglot's: (H, W) bool, True where there is ink; greys count from one half.

    Raises DataError as `read_image` does.
    """
    return read_image(source, name=name) > 0.5


def name_of(source: Source) -> str:
    """What to call a picture in a message: its path, if it has one."""
    if isinstance(source, Path | str):
        return str(source)
    return str(getattr(source, "filename", "") or getattr(source, "name", "") or "the image")


@contextmanager
def _refusals(name: str) -> Iterator[None]:
    """Whatever goes wrong with the picture called `name` as a DataError on one line."""
    try:
        yield
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
        if isinstance(cause, OSError) and cause.strerror:  # of the system, not of a decoder
            raise DataError(f"{name} cannot be read ({cause.strerror}): give an image file that can") from cause
        reason = " ".join(str(cause).split())[:200]
        raise DataError(f"{name} cannot be read ({type(cause).__name__}: {reason}): save it again as PNG") from cause


def _decode(source: Source, name: str) -> Image.Image:
    """The decoded picture; from its bare pixels, if what a file notes of them is damaged."""
    if isinstance(source, Path | str):
        expect_file(source)
    try:
        return _loaded(source, name)
    except DataError:
        raise
    except Exception:
        with suppress(Exception):
            return _loaded(io.BytesIO(without_notes(_content(source))), name)
        raise


def _loaded(source: Source, name: str) -> Image.Image:
    """The decoded picture, upright, refused by the size in its header before a pixel is decoded."""
    _expect_likely_webp(source, name)
    with warnings.catch_warnings(action="ignore"), _opened(source) as image:
        width, height = image.size
        if not 0 < width * height <= MAX_PIXELS or max(image.size) > MAX_SIDE:
            raise DataError(
                f"{name} is {width} x {height} pixels, expected 1 to {MAX_PIXELS:,} in all and up to "
                f"{MAX_SIDE:,} a side: scale it to size"
            )
        image.load()
        turn = _turn(image)
        reduced = _reduced(image)
        return reduced.copy() if turn is None else reduced.transpose(turn)


def _expect_likely_webp(source: Source, name: str) -> None:
    """Refuse a WEBP that claims more pixels than its bytes can hold.

    Pillow's decoder takes eight bytes a pixel as soon as the file is open, whatever else is in it.
    """
    if isinstance(source, Image.Image):
        return
    with open(source, "rb") if isinstance(source, Path | str) else nullcontext(source) as file:
        place = file.tell()
        pixels = math.prod(webp_size(file.read(30)))
        size = file.seek(0, io.SEEK_END)
        file.seek(place)
    limit = MAX_WEBP + WEBP_DENSITY * size
    if pixels > limit:
        raise DataError(
            f"{name} has {pixels:,} pixels, expected up to {limit:,} in a WEBP of {size:,} bytes: "
            "scale it, or save it as PNG"
        )


def _reduced(image: Image.Image) -> Image.Image:
    """The picture, averaged over squares of its pixels where it has more than LARGE: a small file can hold as many."""
    factor = math.ceil(math.sqrt(image.width * image.height / LARGE))
    if factor == 1:
        return image
    mode = "RGBA" if image.has_transparency_data else FULL_MODES.get(image.mode, image.mode)
    rows = 256 * factor
    strips = (image.crop((0, y, image.width, min(y + rows, image.height))) for y in range(0, image.height, rows))
    reduced = [(strip if strip.mode == mode else strip.convert(mode)).reduce(factor) for strip in strips]
    whole = Image.new(mode, (reduced[0].width, sum(strip.height for strip in reduced)))
    for i, strip in enumerate(reduced):
        whole.paste(strip, (0, 256 * i))
    return whole


def _turn(image: Image.Image) -> Image.Transpose | None:
    """What turns the picture upright, by its EXIF note: None where that says nothing, or nothing that can be read."""
    try:
        return TURNS.get(image.getexif().get(ORIENTATION, 1))
    except Exception:  # damage makes parsers fail in many ways
        return None


def _opened(source: Source) -> AbstractContextManager[Image.Image]:
    """The picture with only its header read; a file opened here is closed at the end, the caller's own is not."""
    return nullcontext(source) if isinstance(source, Image.Image) else Image.open(source, formats=FORMATS)


def _content(source: Source) -> bytes:
    """The bytes of a file, as far as notes are worth to be searched for in them."""
    if isinstance(source, Image.Image):
        raise ValueError("has no file")
    if isinstance(source, Path | str):
        with open(source, "rb") as file:
            return file.read(MAX_BYTES)
    source.seek(0)
    return source.read(MAX_BYTES)
