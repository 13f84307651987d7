"""Zips are read strictly: the directory lists exactly what the file holds, or there is an error."""

import io
import struct
import zipfile
from contextlib import suppress

import numpy as np
import pytest

from scratchnet.files import zips

FILES = {"a/": b"", "a/one.txt": b"one " * 50, "a/two.bin": bytes(range(256)), "three": b"", "Straße/vier": b"4" * 9}


class Stream(io.BytesIO):
    """An output that cannot seek, like a pipe, so that lengths follow the contents."""

    def seekable(self):
        return False

    def tell(self):
        raise OSError("a stream")

    seek = tell


def pack(files=FILES, method=zipfile.ZIP_DEFLATED, file=None, **options):
    file = file or io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            with archive.open(info, "w", **options) as member:
                member.write(content)
    return file.getvalue()


def read(content, most=100):
    file = io.BytesIO(content)
    return {member.name: zips.read_member(file, member) for member in zips.read_directory(file, most)}


def refusal_of(content, most=100):
    try:
        read(content, most)
    except ValueError as refusal:
        return str(refusal)
    return pytest.fail("it was read")


@pytest.mark.parametrize(
    "content",
    [
        pack(),
        pack(method=zipfile.ZIP_STORED),
        pack(force_zip64=True),
        pack(file=Stream()),
        pack({}),
        pack(file=Stream(), force_zip64=True),
    ],
    ids=["deflated", "stored", "64 bits", "streamed", "empty", "streamed in 64 bits"],
)
def test_intact_zips_give_what_is_in_them(content):
    assert read(content) == ({} if len(content) == 22 else FILES)


def test_more_files_than_16_bits_count_are_read():
    names = [f"{i}" for i in range(65_540)]
    assert list(read(pack(dict.fromkeys(names, b""), zipfile.ZIP_STORED), most=70_000)) == names


def test_a_comment_is_no_harm():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a", b"1")
        archive.comment = b"packed by hand" * 4000
    assert read(file.getvalue()) == {"a": b"1"}


@pytest.mark.parametrize(
    "content", [pack(), pack(file=Stream()), pack(force_zip64=True)], ids=["deflated", "streamed", "64 bits"]
)
def test_no_changed_byte_hides_or_changes_a_file(content):
    for position in range(len(content)):
        for bits in (0x01, 0x10, 0x80, 0xFF):
            changed = bytearray(content)
            changed[position] ^= bits
            with suppress(ValueError):
                assert read(bytes(changed)) == FILES


def test_no_length_in_the_directory_hides_a_file():
    content = pack()
    start = content.index(b"PK\1\2")
    refused = 0
    for position in range(start, len(content) - 1):
        old = struct.unpack_from("<H", content, position)[0]
        for new in {0, 0xFFFF, *range(old, min(old + 300, 0xFFFF), 1)} - {old}:
            changed = content[:position] + struct.pack("<H", new) + content[position + 2 :]
            try:
                assert read(changed) == FILES
            except ValueError:
                refused += 1
    assert refused > 10_000


def without_listing(content, name):
    """The zip with one file left out of its directory, which is otherwise intact."""
    start, end = content.index(b"PK\1\2"), content.rindex(b"PK\5\6")
    listed, at = [], start
    while at < end:
        lengths = struct.unpack_from("<3H", content, at + 28)
        listed.append(content[at : at + 46 + sum(lengths)])
        at += len(listed[-1])
    kept = [entry for entry in listed if entry[46 : 46 + len(name)] != name]
    assert len(kept) == len(listed) - 1
    directory = b"".join(kept)
    record = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, len(kept), len(kept), len(directory), start, 0)
    return content[:start] + directory + record


@pytest.mark.parametrize("name", [b"a/one.txt", b"a/two.bin", b"three", "Straße/vier".encode()])
def test_a_file_that_the_directory_leaves_out_is_noticed_wherever_it_lies(name):
    content = without_listing(pack(), name)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert len(archive.namelist()) == len(FILES) - 1  # without a word
    assert "the directory does not list" in refusal_of(content) or "than its directory lists" in refusal_of(content)


def test_bytes_before_between_and_behind_are_noticed():
    content = pack()
    assert refusal_of(b"#!/bin/sh\n" + content)
    assert refusal_of(content + b"\n")
    start = content.index(b"PK\1\2")
    wider = bytearray(content[:start] + b"more" + content[start:])
    wider[-6:-2] = struct.pack("<L", start + 4)
    assert "holds 4 bytes more than its directory lists" in refusal_of(bytes(wider))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_twice_is_refused_with_the_name():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("a", "b", "a"):
            archive.writestr(name, b"1")
    assert "it holds a twice" in refusal_of(file.getvalue())


def test_two_names_for_the_same_bytes_are_refused():
    content = pack({"one": b"1" * 40, "two": b"2" * 40}, zipfile.ZIP_STORED)
    entry = content.rindex(b"PK\1\2")
    overlapping = content[: entry + 42] + bytes(4) + content[entry + 46 :]
    assert "overlaps" in refusal_of(overlapping)


def member_with(name="a", **fields):
    info = zipfile.ZipInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(info, b"target", fields.get("compress_type"))
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (member_with(external_attr=0o120777 << 16, create_system=3), "a is a link"),
        (member_with(external_attr=0o010644 << 16, create_system=3), "a is a link or a device"),
        (member_with(compress_type=zipfile.ZIP_BZIP2), "a is compressed by a method other than deflate"),
        (member_with(compress_type=zipfile.ZIP_LZMA), "a is compressed by a method other than deflate"),
        (member_with("/"), "a file without a name"),
        (member_with("a/"), "a/ is a folder with content"),
        (b"", "no directory at its end"),
        (b"PK\5\6" + bytes(18) + b"x", "its end is damaged"),
    ],
)
def test_what_is_no_plain_file_is_refused_with_the_reason(content, message):
    assert message in refusal_of(content)


def test_encryption_is_refused():
    content = bytearray(pack())
    content[content.index(b"PK\1\2") + 8] |= 1
    assert "encrypted: unpack it" in refusal_of(bytes(content))


def test_the_directory_is_bounded_before_it_is_read():
    assert "more than 4 files" in refusal_of(pack(), most=4)
    lying = bytearray(pack({f"{i:0200}": b"" for i in range(300)}))
    struct.pack_into("<2H", lying, len(lying) - 14, 3, 3)
    assert "more than 3 files" in refusal_of(bytes(lying), most=3)
    lying = bytearray(pack({f"{i}": b"" for i in range(30)}))
    struct.pack_into("<2H", lying, len(lying) - 14, 20, 20)
    assert "holds more than it counts" in refusal_of(bytes(lying), most=20)


def test_a_file_that_unpacks_to_more_than_it_says_is_cut_off_there():
    content = pack({"a": bytes(1 << 20)})
    size = (1 << 20).to_bytes(4, "little")
    lying = content.replace(size, (100).to_bytes(4, "little"))
    assert "does not unpack to 100 bytes" in refusal_of(lying)


def test_random_damage_is_refused_or_harmless():
    rng = np.random.default_rng(4)
    content = np.frombuffer(pack(), np.uint8)
    for _ in range(2000):
        changed = content.copy()
        start = rng.integers(len(content))
        changed[start : start + rng.integers(1, 60)] = rng.integers(256)
        with suppress(ValueError):
            assert read(changed.tobytes()) == FILES
