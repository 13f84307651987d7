"""Strict reading of zips: the directory at the end of the file must account for every byte before it.

zipfile reads only what the directory lists: if damage to one length makes the directory skip a member, that member is
silently missing. Here the members, sorted by position, must follow each other without gaps from the first byte of the
file to the directory, and each must begin with a header that agrees with the directory. So a member cannot be hidden,
listed twice, or overlap another. All sizes are bounded before anything is read.
"""

import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

STORED, DEFLATED = 0, 8
STREAMED, ENCRYPTED = 1 << 3, 1 | 1 << 6 | 1 << 13  # flags
LONGEST_TRAILER = 24  # bytes after a member that was written as a stream
PER_MEMBER = 256  # bytes of the directory per member, at most, on average
UNIX = (3, 19)  # systems that keep the file mode in the upper half of the external attributes
FOLDER_OR_FILE = (0, 0o040000, 0o100000)

_END = struct.Struct("<4s4H2LH")  # signature, disk, its disk, members here, members, size, offset, comment
_END64_PLACE = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LISTED = struct.Struct("<4s6H3L5H2L")
_HEADER = struct.Struct("<4s5H3L2H")


class Member(NamedTuple):
    """A file in a zip: `packed` bytes from `start`, `size` bytes once unpacked."""

    name: str
    method: int
    crc: int
    packed: int
    size: int
    start: int


class _Listed(NamedTuple):
    """A member as listed in the directory."""

    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int


def read_directory(file: BinaryIO, most: int) -> list[Member]:
    """The members of a zip in the order of its directory, including folders, whose names end in "/".

    Raises ValueError, with the reason, if there are more than `most` members or more than PER_MEMBER bytes of directory
    for each; if the zip is damaged, truncated or encrypted; if a member is a link, or compressed by a method other than
    deflate; or if the directory lists less than the file holds.
    """
    total, start, size = _find_directory(file)
    if total > most or size > most * PER_MEMBER:
        raise ValueError(f"its directory lists more than {most:,} files, or is too long for them")
    file.seek(start)
    listed = list(_listed(file.read(size), total))
    [(name, times)] = Counter(member.raw_name for member in listed).most_common(1) or [(b"", 1)]
    if times > 1:
        raise ValueError(f"it holds {_decode(name)} twice")
    starts = _check_headers(file, listed, start)
    return [Member(_decode(m.raw_name), m.method, m.crc, m.packed, m.size, starts[m.offset]) for m in listed]


def read_member(file: BinaryIO, member: Member) -> bytes:
    """The content of a member; bound its `size` before the call. Raises ValueError if it is damaged."""
    file.seek(member.start)
    content = file.read(member.packed)
    if member.method == DEFLATED:
        content = inflate(content, member.size, -zlib.MAX_WBITS)
    if len(content) != member.size or zlib.crc32(content) != member.crc:
        raise ValueError("its checksum is wrong")
    return content


def inflate(packed: bytes, size: int, wbits: int) -> bytes:
    """Inflate `packed`, which must yield exactly `size` bytes and be used up. Raises ValueError otherwise."""
    stream = zlib.decompressobj(wbits)
    try:
        content = stream.decompress(packed, size + 1)  # one more, to detect excess data
    except zlib.error as cause:
        raise ValueError(f"it is damaged, {cause}") from cause
    if len(content) != size or not stream.eof or stream.unused_data:
        raise ValueError(f"it does not unpack to {size:,} bytes")
    return content


def _find_directory(file: BinaryIO) -> tuple[int, int, int]:
    """The number of members, and the offset and size in bytes of the directory, which the end records must follow."""
    length = file.seek(0, 2)
    tail_start = max(0, length - _END.size - 0xFFFF)
    file.seek(tail_start)
    tail = file.read(length - tail_start)
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) - at < _END.size:
        raise ValueError("it has no directory at its end, and may be cut off")
    _, disk, first_disk, here, total, size, start, comment = _END.unpack_from(tail, at)
    if len(tail) - at - _END.size != comment:
        raise ValueError("its end is damaged")
    end = tail_start + at
    if tail[max(0, at - _END64_PLACE.size) : at][:4] == b"PK\6\7":
        end, total64, size64, start64 = _read_end64(file, end)
        if any(
            short not in (long, limit)
            for short, long, limit in (
                (total, total64, 0xFFFF),
                (size, size64, 0xFFFFFFFF),
                (start, start64, 0xFFFFFFFF),
            )
        ):
            raise ValueError("the records at its end contradict each other")
        here, total, size, start = total64, total64, size64, start64
    if disk or first_disk or here != total or start + size != end:
        raise ValueError("its directory does not reach its end: it is damaged, or one part of several")
    return total, start, size


def _read_end64(file: BinaryIO, end: int) -> tuple[int, int, int, int]:
    """Where the 64-bit records begin, and the number of members, the size and the offset of the directory they give."""
    at = end - _END64_PLACE.size - _END64.size
    if at < 0:
        raise ValueError("its end is damaged")
    file.seek(at)
    record, place = file.read(_END64.size), file.read(_END64_PLACE.size)
    signature, length, _, _, disk, first_disk, here, total, size, start = _END64.unpack(record)
    _, place_disk, place_at, disks = _END64_PLACE.unpack(place)
    if (signature, length, place_at) != (b"PK\6\6", _END64.size - 12, at) or here != total:
        raise ValueError("its end is damaged")
    if disk or first_disk or place_disk or disks != 1:
        raise ValueError("it is one part of several")
    return at, total, size, start


def _listed(directory: bytes, total: int) -> Iterator[_Listed]:
    at = 0
    for _ in range(total):
        if len(directory) - at < _LISTED.size:
            raise ValueError("its directory is damaged")
        (
            signature,
            system,
            _,
            flags,
            method,
            _,
            _,
            crc,
            packed,
            size,
            name_length,
            extra_length,
            comment_length,
            disk,
            _,
            attributes,
            offset,
        ) = _LISTED.unpack_from(directory, at)
        at += _LISTED.size
        name = directory[at : at + name_length]
        extra = directory[at + name_length : at + name_length + extra_length]
        at += name_length + extra_length + comment_length
        if signature != b"PK\1\2" or at > len(directory) or disk not in (0, 0xFFFF):
            raise ValueError("its directory is damaged")
        size, packed, offset = _widened(extra, size, packed, offset)
        member = _Listed(name, flags, method, crc, packed, size, offset)
        _expect_plain(member, attributes >> 16 if system >> 8 in UNIX else 0)
        yield member
    if at != len(directory):
        raise ValueError("its directory holds more than it counts")


def _expect_plain(member: _Listed, mode: int) -> None:
    name = _decode(member.raw_name)
    if not name.strip("/\\") or "\0" in name:
        raise ValueError("it holds a file without a name" if "\0" not in name else f"it holds a file called {name}")
    if member.flags & ENCRYPTED:
        raise ValueError(f"{name} is encrypted: unpack it and give the folder")
    if member.method not in (STORED, DEFLATED):
        raise ValueError(f"{name} is compressed by a method other than deflate: compress it again")
    if mode & 0o170000 not in FOLDER_OR_FILE:
        raise ValueError(f"{name} is a link or a device")
    if member.method == STORED and member.packed != member.size:
        raise ValueError(f"{name} has two lengths")
    if name.endswith("/") and member.size:
        raise ValueError(f"{name} is a folder with content")


def _check_headers(file: BinaryIO, listed: list[_Listed], end: int) -> dict[int, int]:
    """Where the content of each member begins, by the offset of its header.

    Raises ValueError unless headers and contents follow each other without gaps from the start of the file to `end` and
    the headers agree with the directory.
    """
    starts, at = {}, 0
    ordered = sorted(listed, key=lambda member: member.offset)
    followers = [*(member.offset for member in ordered[1:]), end]
    for member, following in zip(ordered, followers, strict=False):
        name = _decode(member.raw_name)
        if member.offset != at:
            problem = "overlaps the member before it" if member.offset < at else "has something before it"
            raise ValueError(f"{name} {problem} that the directory does not list")
        file.seek(at)
        header = file.read(_HEADER.size + len(member.raw_name))
        if len(header) < _HEADER.size:
            raise ValueError(f"{name} is cut off")
        signature, _, flags, method, _, _, crc, packed, size, name_length, extra_length = _HEADER.unpack_from(header)
        size, packed, _ = _widened(file.read(extra_length), size, packed, 0)
        lengths = member.crc, member.packed, member.size
        later = bool(flags & STREAMED)  # the lengths follow the content, and the header may hold zeros instead
        if (
            (signature, name_length, header[_HEADER.size :]) != (b"PK\3\4", len(member.raw_name), member.raw_name)
            or (flags & (ENCRYPTED | STREAMED), method) != (member.flags & STREAMED, member.method)
            or any(
                given != length and not (later and given == 0)
                for given, length in zip((crc, packed, size), lengths, strict=True)
            )
        ):
            raise ValueError(f"{name} is damaged, its header and the directory contradict each other")
        starts[member.offset] = at + _HEADER.size + name_length + extra_length
        at = starts[member.offset] + member.packed
        if later and following - at <= LONGEST_TRAILER:  # otherwise there is more than a trailer
            file.seek(at)
            if file.read(following - at) not in _trailers(lengths):
                raise ValueError(f"{name} is damaged, it ends with other lengths than the directory has")
            at = following
    if at != end:
        raise ValueError(f"it holds {end - at:,} bytes more than its directory lists")
    return starts


def _trailers(lengths: tuple[int, int, int]) -> list[bytes]:
    """The forms in which the checksum and lengths may follow a member written as a stream."""
    forms = [struct.pack("<L2Q", *lengths)]
    if max(lengths) <= 0xFFFFFFFF:
        forms.append(struct.pack("<3L", *lengths))
    return forms + [b"PK\7\x08" + form for form in forms]


def _widened(extra: bytes, size: int, packed: int, offset: int) -> tuple[int, int, int]:
    """The two lengths and the offset, each from the 64-bit extra field if its 32-bit value says so."""
    values = [size, packed, offset]
    if 0xFFFFFFFF not in values:
        return size, packed, offset
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            wide = extra[at + 4 : at + 4 + length]
            for i, value in enumerate(values):
                if value == 0xFFFFFFFF:
                    if len(wide) < 8:
                        raise ValueError("a 64-bit length in it is cut off")
                    values[i], wide = int.from_bytes(wide[:8], "little"), wide[8:]
            break
        at += 4 + length
    return values[0], values[1], values[2]


def _decode(name: bytes) -> str:
    """Decode as UTF-8, which all but old tools write whatever the flag says, or else by the code page of DOS."""
    try:
        return name.decode()
    except UnicodeDecodeError:
        return name.decode("cp437")
