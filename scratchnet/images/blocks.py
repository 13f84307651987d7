"""Strip the optional blocks from image files, to rescue a sound picture from damaged metadata.

PNG, JPEG, GIF and WebP files are sequences of blocks. Only a few hold the picture; camera notes, colour profiles, texts
and previews may be damaged, and a decoder that reads all of them then refuses the whole file.
"""

import zlib
from collections.abc import Iterator

PNG, GIFS, JPEG = b"\x89PNG\r\n\x1a\n", (b"GIF87a", b"GIF89a"), b"\xff\xd8"
PNG_PICTURE = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
TRANSPARENT = {0: 2, 2: 6}  # bytes of the tRNS chunk of a PNG, by colour type; up to 256 with a palette
WEBP_PICTURE = (b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF")
WEBP_FLAGS = 0x12  # of VP8X: keeps alpha and animation, clears profile, EXIF and XMP


def without_notes(file: bytes) -> bytes:
    """The image file with only the blocks that make up the picture; files of other formats are returned unchanged.

    Raises ValueError or IndexError if the blocks cannot be followed to the end of the picture.
    """
    if file.startswith(PNG):
        return PNG + b"".join(_png(file))
    if file.startswith(JPEG):
        return JPEG + b"".join(_jpeg(file))
    if file.startswith(GIFS):
        return b"".join(_gif(file))
    if file[:4] == b"RIFF" and file[8:12] == b"WEBP":
        picture = b"WEBP" + b"".join(_webp(file))
        return b"RIFF" + len(picture).to_bytes(4, "little") + picture
    return file


def _png(file: bytes) -> Iterator[bytes]:
    """The chunks of the picture and, if intact, the transparent colours and the EXIF note."""
    at, kind = len(PNG), b""
    while kind != b"IEND":
        length, kind = int.from_bytes(file[at : at + 4]), file[at + 4 : at + 8]
        end = at + 12 + length
        chunk = file[at:end]
        if len(chunk) < 12 + length:
            raise ValueError("a chunk extends beyond the end of the file")
        whole = zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:])
        if kind in PNG_PICTURE or (whole and (kind == b"eXIf" or (kind == b"tRNS" and _fits(file[25], length)))):
            yield chunk
        at = end


def _fits(colour_type: int, length: int) -> bool:
    return 0 < length <= 256 if colour_type == 3 else TRANSPARENT.get(colour_type) == length


def _jpeg(file: bytes) -> Iterator[bytes]:
    """All segments except those of applications and comments; Adobe's stays, as it gives the colour transform."""
    at = len(JPEG)
    while True:
        while file[at + 1] == 0xFF:  # a fill byte
            at += 1
        marker = file[at + 1]
        if file[at] != 0xFF:
            raise ValueError("a segment does not begin where the previous one ends")
        if marker == 0xDA:  # the pixels
            yield file[at:]
            return
        end = at + 2 + int.from_bytes(file[at + 2 : at + 4])
        segment = file[at:end]
        is_colours = marker == 0xEE and segment[4:9] == b"Adobe" and len(segment) >= 16
        if is_colours or not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            yield segment
        at = end


def _gif(file: bytes) -> Iterator[bytes]:
    """The header and the first image, with the extension that gives its transparent colour."""
    at = 13 + _palette(file[10])
    yield file[:at]
    while file[at] == 0x21:
        end = _sub_blocks_end(file, at + 2)
        if file[at + 1] == 0xF9 and file[at + 2] == 4:
            yield file[at:end]
        at = end
    if file[at] != 0x2C:
        raise ValueError("the image is missing")
    pixels = at + 10 + _palette(file[at + 9])
    yield file[at : _sub_blocks_end(file, pixels + 1)] + b";"


def _palette(flags: int) -> int:
    """The size in bytes of a GIF palette, from its flags."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _sub_blocks_end(file: bytes, at: int) -> int:
    while file[at]:
        at += 1 + file[at]
    return at + 1


def _webp(file: bytes) -> Iterator[bytes]:
    """The chunks of the picture, and the extended header with the flags of the others cleared."""
    at = 12
    while at + 8 <= len(file):
        kind, length = file[at : at + 4], int.from_bytes(file[at + 4 : at + 8], "little")
        end = at + 8 + length + length % 2
        if kind == b"VP8X":
            yield file[at : at + 8] + bytes([file[at + 8] & WEBP_FLAGS]) + file[at + 9 : end]
        elif kind in WEBP_PICTURE:
            yield file[at:end]
        at = end


def webp_size(head: bytes) -> tuple[int, int]:
    """The width and height that the first 30 bytes of a WebP claim; (0, 0) for any other file."""
    kind, bits = head[8:16], int.from_bytes(head[21:25], "little")
    if head[:4] != b"RIFF":
        return 0, 0
    if kind == b"WEBPVP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if kind == b"WEBPVP8L":
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"WEBPVP8 ":
        return int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF
    return 0, 0
