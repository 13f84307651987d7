"""A sound picture is read, upright, whatever its file holds in optional blocks."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from scratchnet.errors import DataError
from scratchnet.images.blocks import without_notes
from scratchnet.images.pictures import read_image

RNG = np.random.default_rng(0)
CONTENTS = [
    b"", b"\0", b"x", b"\xff" * 40, RNG.bytes(17), RNG.bytes(300),
    b"Exif\0\0", b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\xff" * 12,                   # an EXIF note that ends too soon
    b"MM\0*\0\0\0\x08\0\1\1\x12\0\2\0\0\0\3abc",                                      # the orientation is a text
    b"key\0\0junk", b"key\0\0" + zlib.compress(b"a" * (2 << 20)),                     # a text that grows beyond bounds
    b"Raw profile type exif\0\nexif\n       8\n00080002011200030000\n",
]  # fmt: skip

OPTIONAL = (
    "tEXt", "zTXt", "iTXt", "iCCP", "sRGB", "gAMA", "cHRM", "pHYs", "tIME", "eXIf", "acTL", "fcTL", "fdAT", "tRNS",
    "bKGD", "hIST", "sBIT", "sPLT", "prVt",
)  # fmt: skip


def encoded(form: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray((np.mgrid[:24, :32].sum(axis=0) * 4).astype(np.uint8)).convert("RGB").save(file, form, **options)
    return file.getvalue()


def chunk(kind: bytes, content: bytes, damage: int = 0) -> bytes:
    checksum = zlib.crc32(kind + content) ^ damage
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def pngs():
    whole = encoded("PNG")
    for kind in OPTIONAL:
        for content in CONTENTS:
            for damage in (0, 1):
                for at in (33, len(whole) - 12):  # before the pixels, and after them
                    yield kind, whole, whole[:at] + chunk(kind.encode(), content, damage) + whole[at:]


def jpegs():
    whole = encoded("JPEG")
    for marker in (*range(0xE0, 0xF0), 0xFE):
        for name in (b"", b"JFIF\0", b"Exif\0\0", b"ICC_PROFILE\0", b"MPF\0", b"Photoshop 3.0\0", b"Adobe"):
            for content in CONTENTS:
                note = (name + content)[:60_000]
                segment = bytes([0xFF, marker]) + struct.pack(">H", 2 + len(note)) + note
                yield hex(marker), whole, whole[:2] + segment + whole[2:]


def gifs():
    whole = encoded("GIF")
    at = whole.index(b"\x2c\0\0\0\0")
    for label in (0xFE, 0xFF, 0x01, 0x77):
        for name in (b"", b"NETSCAPE2.0", b"ICCRGBG1012"):
            for content in CONTENTS:
                blocks = [name] * bool(name) + [content[i : i + 255] for i in range(0, min(len(content), 999), 255)]
                note = bytes([0x21, label]) + b"".join(bytes([len(block)]) + block for block in blocks) + b"\0"
                yield hex(label), whole, whole[:at] + note + whole[at:]


def webps():
    whole = encoded("WEBP", lossless=True, exif=b"Exif\0\0II*\0\x08\0\0\0\0\0", icc_profile=b"abc", xmp=b"abc")
    chunks, at = [], 12
    while at < len(whole):
        length = int.from_bytes(whole[at + 4 : at + 8], "little")
        chunks.append((whole[at : at + 4], whole[at + 8 : at + 8 + length]))
        at += 8 + length + length % 2
    for kind in (b"EXIF", b"ICCP", b"XMP "):
        for content in CONTENTS:
            for beyond in (0, 9):  # bytes by which the file claims to be longer than it is
                body = b"WEBP" + b"".join(
                    name + struct.pack("<I", len(held)) + held + b"\0" * (len(held) % 2)
                    for name, held in ((name, content if name == kind else held) for name, held in chunks)
                )
                yield kind.decode(), whole, b"RIFF" + struct.pack("<I", len(body) + beyond) + body


def bmps():
    whole = encoded("BMP")
    for at, length in ((2, 4), (6, 4), (34, 4), (38, 8), (50, 4)):  # lengths, reserved, resolution, important colours
        for _ in range(10):
            yield str(at), whole, whole[:at] + RNG.bytes(length) + whole[at + length :]


@pytest.mark.parametrize("files", [pngs, jpegs, gifs, webps, bmps])
def test_damaged_notes_spoil_no_picture(files):
    expected = None
    for name, whole, damaged in files():
        expected = read_image(io.BytesIO(whole)) if expected is None else expected
        try:
            found = read_image(io.BytesIO(damaged))
        except DataError as refusal:
            pytest.fail(f"{name}: {refusal}")
        np.testing.assert_array_equal(found, expected, err_msg=name)


@pytest.mark.parametrize("orientation", ["abc", 0, 9, (6, 6), b"\x06"])
def test_an_orientation_that_is_none_turns_nothing(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.open(io.BytesIO(encoded("PNG")))
    image.getexif()[0x0112] = orientation
    assert read_image(image).shape == (24, 32)


def test_what_a_picture_needs_survives_a_damaged_note():
    """Its turn and its transparent colours."""
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encoded("PNG", exif=exif)
    at = turned.index(b"IDAT") - 4
    damaged = turned[:at] + chunk(b"tEXt", b"x", damage=1) + turned[at:]
    np.testing.assert_array_equal(read_image(io.BytesIO(damaged)), read_image(io.BytesIO(turned)))
    palette = Image.new("P", (2, 1))
    palette.putpalette([9, 9, 9, 0, 0, 0])
    palette.putpixel((1, 0), 1)
    file = io.BytesIO()
    palette.save(file, "PNG", transparency=0)
    whole = file.getvalue()
    at = whole.index(b"IDAT") - 4
    damaged = whole[:at] + chunk(b"gAMA", b"x") + whole[at:]
    np.testing.assert_array_equal(read_image(io.BytesIO(damaged)), [[0, 1]])


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP", "BMP"])
def test_without_its_notes_a_picture_is_the_same(form):
    whole = encoded(form)
    np.testing.assert_array_equal(read_image(io.BytesIO(without_notes(whole))), read_image(io.BytesIO(whole)))


def test_damaged_pixels_are_refused_all_the_same():
    whole = bytearray(encoded("PNG"))
    whole[whole.index(b"IDAT") + 20] ^= 0xFF
    with pytest.raises(DataError):
        read_image(io.BytesIO(bytes(whole)))


def test_a_side_that_costs_more_than_its_pixels_is_refused():
    with pytest.raises(DataError, match="up to 32,000 a side"):
        read_image(Image.new("1", (1, 40_000)))
