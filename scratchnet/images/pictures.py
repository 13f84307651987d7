"""Read pictures as arrays of ink: 1 where the pen was, 0 where the paper shows."""

import io
import math
import threading
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from scratchnet.errors import DataError
from scratchnet.files.reading import expect_file
from scratchnet.images.blocks import webp_size, without_notes
from scratchnet.images.channels import colours, grey_values

AVIF = ("AVIF",) if find_spec("PIL.AvifImagePlugin") else ()  # since Pillow 11.3
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM", "JPEG2000", *AVIF)
SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".gif", ".webp", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".jpx", ".avif"),
)
MAX_PIXELS = 64_000_000  # phone cameras reach this; a few kilobytes of PNG can claim gigabytes of pixels
LARGE = 1 << 24  # pixels; larger pictures are averaged down
# Modes that Pillow cannot average, and those to convert them to first.
FULL_MODES = {"1": "L", "P": "RGB", "I;16": "I", "I;16L": "I", "I;16B": "I", "I;16N": "I"}
MAX_WEBP, WEBP_DENSITY = 1 << 23, 100  # pixels, plus this many per byte; photos of paper have fewer
MAX_SIDE = 32_000  # pixels; Pillow allocates memory for every row
MAX_BYTES = 1 << 26  # of a file that is searched for damaged blocks

ORIENTATION = 0x0112  # the EXIF tag for how the camera was held
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

File = Path | str | BinaryIO | Image.Image
Source = File | bytes


def read_image(source: Source, *, name: str = "") -> np.ndarray:
    """Read a picture as ink: (H, W) float32 in [0, 1], black 1 and white 0.

    source: a path, the bytes of a file, an open binary file or a Pillow image. Colours become grey, and values are
    scaled by the mode of the picture (see `images.channels`). On a transparent background, the opaque pixels are the
    ink. Photographs are turned upright by their EXIF orientation, if it can be read. Of an animation, the first frame
    is used. name: what to call the picture in error messages.

    Raises DataError if the picture is missing, damaged, of an unknown format, or larger than MAX_PIXELS or MAX_SIDE, or
    if its values match no known scale.
    """
    name = name or name_of(source)
    with _refusals(name):
        grey = grey_values(_decode(source, name))
        return np.subtract(1, grey, out=grey)


def read_colours(source: Source, *, name: str = "", enough: int = 0) -> Image.Image:
    """Read a picture in colour, as a Pillow image of mode RGB; otherwise like `read_image`, also in what it raises.

    enough: pixels of the longer side that are enough. A JPEG with at least twice as many is then decoded at a half, a
    quarter or an eighth of its size, which takes less time.
    """
    name = name or name_of(source)
    with _refusals(name):
        return colours(_decode(source, name, enough))


def read_bitmap(source: Source, *, name: str = "") -> np.ndarray:
    """Read a black-and-white picture, such as Omniglot's: (H, W) bool, True where the ink is above one half.

    Raises DataError as `read_image` does.
    """
    return read_image(source, name=name) > 0.5


def name_of(source: Source) -> str:
    """The name of a picture for messages: its path, if it has one."""
    if isinstance(source, Path | str):
        return str(source)
    return str(getattr(source, "filename", "") or getattr(source, "name", "") or "the image")


@contextmanager
def _refusals(name: str) -> Iterator[None]:
    """Turn whatever goes wrong with the picture called `name` into a DataError of one line."""
    try:
        yield
    except DataError:
        raise
    except FileNotFoundError as cause:
        raise DataError(f"there is no file {name}: check the path") from cause
    except IsADirectoryError as cause:
        raise DataError(f"{name} is a folder, expected an image file: give one of the files in it") from cause
    except Image.DecompressionBombError as cause:  # so large that Pillow refuses it before we can
        raise DataError(f"{name} has far more than {MAX_PIXELS:,} pixels: scale it down") from cause
    except UnidentifiedImageError as cause:
        known = ", ".join(FORMATS)
        raise DataError(f"{name} is empty or not an image in a known format ({known}): save it again as PNG") from cause
    except Exception as cause:  # damage makes decoders fail in many ways, among them SyntaxError and struct.error
        if isinstance(cause, OSError) and cause.strerror:  # from the system, not from a decoder
            raise DataError(f"{name} cannot be read ({cause.strerror}): give an image file that can") from cause
        reason = " ".join(str(cause).split())[:200]
        raise DataError(f"{name} cannot be read ({type(cause).__name__}: {reason}): save it again as PNG") from cause


def _decode(source: Source, name: str, enough: int = 0) -> Image.Image:
    """The decoded picture; if that fails, decoded again without its metadata, which may be damaged."""
    if isinstance(source, Path | str):
        expect_file(source)
    file = io.BytesIO(source) if isinstance(source, bytes | bytearray) else source
    try:
        return _loaded(file, name, enough)
    except DataError:
        raise
    except Exception:
        with suppress(Exception):
            return _loaded(io.BytesIO(without_notes(_content(file))), name, enough)
        raise


def _loaded(source: File, name: str, enough: int) -> Image.Image:
    """The decoded picture, turned upright. Its size is checked by the header before any pixel is decoded."""
    _expect_likely_webp(source, name)
    with _no_warnings, _opened(source) as image:
        width, height = image.size
        if not 0 < width * height <= MAX_PIXELS or max(image.size) > MAX_SIDE:
            raise DataError(
                f"{name} is {width} x {height} pixels, expected 1 to {MAX_PIXELS:,} in all and up to "
                f"{MAX_SIDE:,} a side: scale it down"
            )
        if enough and not isinstance(source, Image.Image):  # the caller's stays as it is
            longer = max(width, height)
            image.draft(None, (max(1, width * enough // longer), max(1, height * enough // longer)))  # JPEGs alone do
        image.load()
        turn = _turn(image)
        reduced = _reduced(image)
        return reduced.copy() if turn is None else reduced.transpose(turn)


class _NoWarnings:
    """Switches Python's warnings off. What does so in the library, catch_warnings, leaves them off when two threads
    overlap: here, the first thread switches them off, and the last one restores them.
    """

    def __init__(self) -> None:
        self._lock, self._inside = threading.Lock(), 0
        self._filters = warnings.catch_warnings(action="ignore")

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._filters = warnings.catch_warnings(action="ignore")
                self._filters.__enter__()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._filters.__exit__(None, None, None)


_no_warnings = _NoWarnings()


def _expect_likely_webp(source: File, name: str) -> None:
    """Refuse a WebP that claims more pixels than its bytes can plausibly hold.

    Pillow's decoder allocates eight bytes per pixel as soon as the file is opened, whatever it contains.
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
            "scale it down, or save it as PNG"
        )


def _reduced(image: Image.Image) -> Image.Image:
    """The picture, averaged over squares of pixels if it has more than LARGE, since small files can hold that many."""
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
    """The transposition that turns the picture upright by its EXIF orientation, or None if there is none to read."""
    try:
        return TURNS.get(image.getexif().get(ORIENTATION, 1))
    except Exception:  # damage makes parsers fail in many ways
        return None


def _opened(source: File) -> AbstractContextManager[Image.Image]:
    """The picture with only its header read. A file opened here is closed at the end; one of the caller stays open."""
    return nullcontext(source) if isinstance(source, Image.Image) else Image.open(source, formats=FORMATS)


def _content(source: File) -> bytes:
    """The first MAX_BYTES bytes of a file."""
    if isinstance(source, Image.Image):
        raise ValueError("there is no file")
    if isinstance(source, Path | str):
        with open(source, "rb") as file:
            return file.read(MAX_BYTES)
    source.seek(0)
    return source.read(MAX_BYTES)
