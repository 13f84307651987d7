"""Ways to damage a file, each drawn from a generator of random numbers.

`damage` changes the bytes as they are. `forge` writes a file anew with right checksums, but of other content.
"""

import io
import json
import random
import re
import struct
import warnings
import zipfile
import zlib
from typing import Any

SIGNATURES = re.compile(
    rb"PK\x01\x02|PK\x03\x04|PK\x05\x06|PK\x06\x06|PK\x07\x08|\x93NUMPY|IHDR"
    rb"|\x00\x00\x08[\x01\x03]|\x1f\x8b"
)
NUMBERS = (0, 1, 2, 8, 127, 255, 2**15, 2**16 - 1, 2**20, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)
DESCRIPTION = "description.json.npy"


def damage(content: bytes, rng: random.Random) -> bytes:
    """The content with one kind of damage, or two at once."""
    kinds = (_flip, _flip, _truncate, _overwrite, _insert, _delete, _swap, _repeat, _edit, _edit, _edit, _grow)
    for _ in range(rng.choice((1, 1, 1, 2))):
        content = rng.choice(kinds)(content, rng)
    return content


def _flip(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _truncate(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _span(content: bytes, rng: random.Random) -> tuple[int, int]:
    start = rng.randrange(len(content) + 1)
    return start, min(len(content), start + rng.choice((1, 2, 4, 8, 46, 200, 1000)))


def _overwrite(content: bytes, rng: random.Random) -> bytes:
    start, end = _span(content, rng)
    length = end - start
    return content[:start] + rng.choice((bytes(length), b"\xff" * length, rng.randbytes(length))) + content[end:]


def _insert(content: bytes, rng: random.Random) -> bytes:
    start, end = _span(content, rng)
    return content[:start] + rng.randbytes(end - start) + content[start:]


def _delete(content: bytes, rng: random.Random) -> bytes:
    start, end = _span(content, rng)
    return content[:start] + content[end:]


def _swap(content: bytes, rng: random.Random) -> bytes:
    (a, b), (c, d) = sorted((_span(content, rng), _span(content, rng)))
    return content if b > c else content[:a] + content[c:d] + content[b:c] + content[a:b] + content[d:]


def _repeat(content: bytes, rng: random.Random) -> bytes:
    start, end = _span(content, rng)
    return content[:end] + content[start:end] + content[end:]


def _edit(content: bytes, rng: random.Random) -> bytes:
    """Another number in a header, near a signature."""
    places = [match.start() for match in SIGNATURES.finditer(content)]
    if not places:
        return _flip(content, rng)
    at, width = rng.choice(places) + rng.randrange(56), rng.choice((1, 2, 4, 8))
    old = int.from_bytes(content[at : at + width], "little")
    new = rng.choice((*NUMBERS, old + 1, old - 1, 2 * old, old ^ 1 << rng.randrange(8 * width))) % 256**width
    return content[:at] + new.to_bytes(width, rng.choice(("little", "little", "big"))) + content[at + width :]


def _grow(content: bytes, rng: random.Random) -> bytes:
    more = rng.randbytes(rng.choice((1, 22, 1000)))
    return rng.choice((content + more, more + content, content + content))


def relist(content: bytes, rng: random.Random) -> bytes:
    """A zip with another length somewhere in its directory, where one can make it skip members."""
    end = content.rindex(b"PK\5\6")
    at, places = struct.unpack_from("<L", content, end + 16)[0], [end + 8, end + 10, end + 12, end + 20]
    entries = []
    while content[at : at + 4] == b"PK\1\2":
        lengths = struct.unpack_from("<3H", content, at + 28)
        entries.append(at)
        places += [at + 28, at + 30, at + 32]
        at += 46 + sum(lengths)
    place = rng.choice(places)
    skipped = rng.choice(entries) - rng.choice(entries)
    old = int.from_bytes(content[place : place + 2], "little")
    new = rng.choice((old + abs(skipped), old + 1, old - 1, rng.randrange(1 << 16))) % (1 << 16)
    return content[:place] + new.to_bytes(2, "little") + content[place + 2 :]


def forge_zip(content: bytes, rng: random.Random) -> bytes:
    """A zip of other members, all of it intact: one left out, doubled, renamed, exchanged, emptied or made vast."""
    members = _members(content)
    if DESCRIPTION in members and rng.random() < 0.6:
        members[DESCRIPTION] = _forge_description(members[DESCRIPTION], rng)
        return _packed(list(members.items()))
    names = list(members)
    a, b = rng.choice(names), rng.choice(names)
    kind = rng.randrange(8)
    if kind == 0:
        del members[a]
    elif kind == 1:
        members[a], members[b] = members[b], members[a]
    elif kind == 2:
        members[a] = rng.choice((b"", bytes(1 << 25), rng.randbytes(300)))
    elif kind == 3:
        other = rng.choice((a.upper(), a + "/", "../" + a, "", "/", a + "\0b", "\x1b[31m\n", "x" * 60_000))
        members[other] = members.pop(a)
    elif kind == 4:
        members[a] = forge_array(members[a], rng) if a.endswith(".npy") else forge_png(members[a], rng)
    elif kind == 5:
        members |= {f"{i}.npy": b"" for i in range(20_000)}
    pairs = list(members.items())
    if kind == 6:
        pairs.append((a, rng.choice(list(members.values()))))
    elif kind == 7:
        rng.shuffle(pairs)
    return _packed(pairs, rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)))


def _members(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _packed(pairs: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(file, "w", method) as archive:  # of doubled names
        for name, content in pairs:
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return file.getvalue()


def _forge_description(member: bytes, rng: random.Random) -> bytes:
    head = 10 + int.from_bytes(member[8:10], "little")
    text = forge_json(member[head:], rng)
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({len(text)},), }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + text


def forge_array(member: bytes, rng: random.Random) -> bytes:
    """An array with another header of the same length."""
    old, new = rng.choice(
        (
            (rb"\((\d+),", b"(1%d," % rng.choice((0, 10**9))),
            (rb"False", b"True"),
            (rb"\(", b"(" * rng.choice((2, 90))),
            (rb"<f4", rng.choice((b"<f2", b"<f8", b">f4", b"|O8", b"|V4", b"<U1"))),
            (rb"'shape': \(", b"'shape': (0, "),
            (rb"NUMPY\x01", b"NUMPY\x03"),
        )
    )
    return re.sub(old, lambda _: new, member, count=1)


def forge_png(content: bytes, rng: random.Random) -> bytes:
    """A PNG that claims another size or kind, its checksum right."""
    at = content.find(b"IHDR")
    if at < 0 or len(content) < at + 21:
        return content
    header = bytearray(content[at : at + 17])
    if rng.random() < 0.7:
        for field in rng.choice(((4,), (8,), (4, 8))):
            side = rng.choice((0, 1, 300, 2000, 8000, 30_000, 64_000_000, 2**31 - 1))
            header[field : field + 4] = side.to_bytes(4, "big")
    else:
        header[12:14] = bytes((rng.choice((1, 2, 4, 8, 16)), rng.choice((0, 2, 3, 4, 6))))
    return content[:at] + header + zlib.crc32(header).to_bytes(4, "big") + content[at + 21 :]


def forge_json(text: bytes, rng: random.Random) -> bytes:
    """JSON with one value of another type or size, one name more or less, or none at all."""
    if rng.random() < 0.15:
        doubled = text.replace(b"{", b'{"version": 2, "version": 3, ', 1)
        return rng.choice(
            (
                b"",
                b"[" * 100_000,
                b'{"a":' * 50_000,
                b"1" * 5000,
                b"NaN",
                b'"\xff"',
                b"[0," * 400_000,
                b"[" + b"[]," * 1_000_000 + b"[]]",
                doubled,
            )
        )
    value = json.loads(text)
    parents: list[tuple[Any, Any]] = []
    _collect(value, parents)
    if parents:
        parent, key = rng.choice(parents)
        if rng.random() < 0.15 and isinstance(parent, dict):
            parent[rng.choice(("", "\n\x1b[31m", "colour"))] = parent.pop(key)
        else:
            parent[key] = _another(parent[key], rng)
    return json.dumps(value).encode()


def _collect(value: Any, parents: list[tuple[Any, Any]]) -> None:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        parents.append((value, key))
        _collect(inner, parents)


def _another(old: Any, rng: random.Random) -> Any:
    deep: Any = []
    for _ in range(rng.choice((3, 200))):
        deep = [deep]
    return rng.choice(
        (
            None,
            True,
            False,
            0,
            -1,
            1,
            3,
            3000,
            10**6,
            10**18,
            10**30,
            10**4000,
            0.5,
            -0.0,
            1e308,
            float("nan"),
            float("inf"),
            "",
            "x",
            "\n\x1b[31m",
            "é" * 10_000,
            [],
            {},
            [old],
            {"a": old},
            deep,
            [None] * 1000,
            str(old)[:1000],
        )
    )
