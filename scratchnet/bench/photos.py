"""The time in which photos are read and cleaned, next to decoding their JPEGs."""

import io
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from scratchnet.backend import CPU
from scratchnet.bench.machine import Machine
from scratchnet.bench.measure import MILLI
from scratchnet.bench.timing import Spread, in_turns
from scratchnet.common.version import CODE
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.images.photo import read_character

SIZES = ((1152, 864), (2048, 1536), (4032, 3024))  # pixels: 1, 3 and 12 million
PAPER, PEN, CHALK, BOARD = (235, 230, 220), (30, 30, 50), (235, 230, 225), (26, 40, 33)
NOISE, QUALITY = 5, 88  # grey levels; of the JPEG


def sections(rounds: int) -> Iterator[tuple[str, Any]]:
    """(name, figures) of each section, as they are measured."""
    yield "code", CODE
    yield "machine", asdict(Machine.this())
    yield "photos", [measure(kind, size, rounds) for size in SIZES for kind in KINDS]


def measure(kind: str, size: tuple[int, int], rounds: int) -> dict[str, Any]:
    """Time decoding a photo in full, and reading it, in turns; beyond: what reading takes beyond it, over decoding."""
    file = photo(kind, size)
    seconds = in_turns(
        {"decode": lambda: Image.open(io.BytesIO(file)).load(), "read": partial(read_character, file)}, rounds, CPU
    )
    row: dict[str, Any] = {"photo": kind, "width": size[0], "height": size[1], "bytes": len(file)}
    for name, values in seconds.items():
        row[f"{name}_ms"] = Spread.of([MILLI * value for value in values])._asdict()
    beyond = [(read - decode) / decode for decode, read in zip(seconds["decode"], seconds["read"], strict=True)]
    return row | {"beyond": Spread.of(beyond)._asdict()}


def photo(kind: str, size: tuple[int, int]) -> bytes:
    """The JPEG of a generated character, photographed: a key of KINDS, and its width and height."""
    width, height = size
    (alphabet,) = generate_alphabets(1, characters=1, drawers=1, image_size=105, seed=3)
    side = round(0.8 * height)
    drawing = Image.fromarray(alphabet.images[0, 0]).convert("L").resize((side, side), Image.Resampling.BICUBIC)
    smooth = drawing.filter(ImageFilter.GaussianBlur(side / 105)).point(lambda level: 255 * (level > 127))
    ink = Image.new("L", size)
    ink.paste(smooth, ((width - side) // 2, (height - side) // 2))
    scene = KINDS[kind](ink)
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j].astype(np.float32)
    light = 1 - 0.35 * x - 0.15 * y
    if kind == "shadow":
        light *= 1 - 0.45 / (1 + np.exp(40 - 60 * (0.8 * x + 0.4 * y)))
    noise = np.random.default_rng(0).normal(0, NOISE, (height, width, 1)).astype(np.float32)
    pixels = np.clip(np.asarray(scene) * light[..., None] + noise, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def _plain(ink: Image.Image, pen: tuple[int, int, int] = PEN, paper: tuple[int, int, int] = PAPER) -> Image.Image:
    scene = Image.new("RGB", ink.size, paper)
    scene.paste(pen, mask=ink)
    return scene


def _lined(ink: Image.Image) -> Image.Image:
    scene, (width, height) = _plain(ink), ink.size
    for y in range(height // 14, height, height // 10):
        ImageDraw.Draw(scene).line((0, y, width, y + height // 60), (130, 150, 200), height // 250)
    return scene


def _boxed(ink: Image.Image) -> Image.Image:
    scene, (width, height) = _plain(ink), ink.size
    corners = 0.02 * width, 0.02 * height, 0.98 * width, 0.98 * height
    ImageDraw.Draw(scene).rectangle(corners, outline=(50, 50, 60), width=height // 125)
    return scene


KINDS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "plain": _plain,
    "shadow": _plain,
    "lined": _lined,
    "boxed": _boxed,
    "white on black": partial(_plain, pen=CHALK, paper=BOARD),
}
