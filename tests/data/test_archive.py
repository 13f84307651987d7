"""Zips and folders that claim more than they hold, or hold something other than files, are refused unread."""

import io
import os
import socket
import unicodedata
import zipfile

import numpy as np
import pytest
from disk import assert_same, little_memory, pack, png, refusal_of, unpack
from PIL import Image

from scratchnet.data import archive
from scratchnet.data.mnist import load_mnist
from scratchnet.data.omniglot import load_omniglot, read_runs
from scratchnet.errors import DataError

FIRST = "images_background/Greek/character01/0001_01.png"


def blank(height, width):
    file = io.BytesIO()
    Image.fromarray(np.ones((height, width), bool)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("name", ["drawing.png", "jpeg.png"])
def test_a_drawing_of_many_pixels_is_refused_before_it_is_decoded(name, files, tmp_path, monkeypatch):
    content = io.BytesIO()
    Image.new("L", (8000, 8000)).save(content, "PNG" if name == "drawing.png" else "JPEG")
    monkeypatch.setattr(archive, "read_bitmap", lambda *_: pytest.fail("it was decoded"))
    for path in (
        pack(tmp_path / "a.zip", {FIRST: content.getvalue()}),
        unpack(tmp_path / "folder", {FIRST: content.getvalue()}),
    ):
        assert "is 8000 x 8000 pixels" in refusal_of(load_omniglot, path)


def test_drawings_of_many_pixels_together_are_refused(tmp_path):
    drawing = blank(1000, 1000)
    files = {FIRST.replace("_01", f"_{i:02}"): drawing for i in range(1, 70)}
    with little_memory():
        assert "too many pixels for drawings" in refusal_of(load_omniglot, pack(tmp_path / "a.zip", files))
        assert "too many pixels for drawings" in refusal_of(load_omniglot, unpack(tmp_path / "folder", files))


def test_a_zip_of_zeros_is_refused(files, tmp_path):
    zeros = {f"images_background/{i}": bytes(1 << 22) for i in range(20)}
    assert "unpack to far more than expected" in refusal_of(load_omniglot, pack(tmp_path / "a.zip", files | zeros))


def test_a_vast_file_in_a_folder_is_not_read_whole(files, tmp_path):
    folder = unpack(tmp_path / "folder", files)
    os.truncate(folder / FIRST, 3 << 30)
    with little_memory():
        message = refusal_of(load_omniglot, folder)
    assert FIRST in message
    assert "more than 16,777,216 bytes" in message


@pytest.fixture(params=["pipe", "socket", "device", "dangling link"])
def no_file(request, monkeypatch):
    """Make something at a path that would block, never end, or lead nowhere."""

    def make(path):
        path.unlink(missing_ok=True)
        if request.param == "pipe":
            os.mkfifo(path)
        elif request.param == "socket":
            monkeypatch.chdir(path.parent)  # their paths are short
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(path.name)
        else:
            path.symlink_to("/dev/zero" if request.param == "device" else "nowhere")

    if os.name == "nt":
        pytest.skip("needs pipes, sockets and devices in folders")
    return make


def test_what_is_no_file_is_refused_at_once(no_file, files, runs, tmp_path):
    folder = unpack(tmp_path / "folder", files)
    no_file(folder / FIRST)
    assert FIRST in refusal_of(load_omniglot, folder)
    folder = unpack(tmp_path / "runs", runs)
    no_file(folder / "run01" / "class_labels.txt")
    assert "class_labels.txt" in refusal_of(read_runs, folder)
    no_file(tmp_path / "a.zip")
    assert "a.zip" in refusal_of(load_omniglot, tmp_path / "a.zip")
    no_file(tmp_path / "t10k-images-idx3-ubyte")
    with pytest.raises(DataError, match="t10k-images"):
        load_mnist(tmp_path)


def test_folders_without_end_are_refused(files, tmp_path):
    deep = tmp_path / "folder" / "/".join("d" * 20)
    unpack(deep, files)
    assert "deep" in refusal_of(load_omniglot, tmp_path / "folder")


def test_links_to_folders_are_followed_but_not_in_circles(files, tmp_path):
    expected = load_omniglot(unpack(tmp_path / "real", files))
    linked = tmp_path / "images_background"
    linked.mkdir()
    for alphabet in (tmp_path / "real" / "images_background").iterdir():
        (linked / alphabet.name).symlink_to(alphabet)
    (linked / "up").symlink_to(tmp_path)
    (tmp_path / "up").symlink_to(linked)
    (linked / "up").unlink()
    (linked / "here").symlink_to(linked)
    (linked / "here").unlink()
    assert_same(load_omniglot(linked), expected)
    (linked / "Greek" / "back").symlink_to(linked)
    assert_same(load_omniglot(linked), expected)


def test_a_folder_that_cannot_be_read_is_named(files, tmp_path, monkeypatch):
    folder, scandir = unpack(tmp_path / "folder", files), os.scandir

    def guarded(path):
        if str(path).endswith("Greek"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.raises(DataError, match=r"Greek cannot be read \(Permission denied\)"):
        load_omniglot(folder)


def test_endings_and_folders_in_capitals_count(files, tmp_path):
    expected = load_omniglot(pack(tmp_path / "a.zip", files))
    capitals = {name.replace(".png", ".PNG").replace("character", "Character"): files[name] for name in files}
    assert_same(load_omniglot(pack(tmp_path / "b.zip", capitals)), expected)
    assert_same(load_omniglot(unpack(tmp_path / "folder", capitals)), expected)


def test_backslashes_and_dots_in_a_zip_separate_folders(files, tmp_path):
    expected = load_omniglot(pack(tmp_path / "a.zip", files))
    for change in (lambda name: name.replace("/", "\\"), lambda name: f"./{name}"):
        assert_same(load_omniglot(pack(tmp_path / "b.zip", {change(n): c for n, c in files.items()})), expected)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("other", [FIRST, FIRST.replace("/", "\\"), f"./{FIRST}", FIRST.replace("/", "//")])
def test_one_name_twice_is_refused_however_it_is_spelt(other, files, tmp_path):
    path = pack(tmp_path / "a.zip", files)
    with zipfile.ZipFile(path, "a") as zipped:
        zipped.writestr(other, png(0))
    assert f"{FIRST} twice" in refusal_of(load_omniglot, path)


def test_names_that_look_the_same_are_the_same(tmp_path):
    composed = "images_background/Caf\u00e9/character01/0001_01.png"
    other = unicodedata.normalize("NFD", composed)
    assert other != composed
    twice = {composed: png(1), other: png(2)}
    assert "twice" in refusal_of(load_omniglot, pack(tmp_path / "a.zip", twice))
    assert "twice" in refusal_of(load_omniglot, unpack(tmp_path / "folder", twice))
    assert_same(
        load_omniglot(pack(tmp_path / "b.zip", {composed: png(1)})),
        load_omniglot(unpack(tmp_path / "other", {other: png(1)})),
    )


@pytest.mark.parametrize("name", ["../escaped.png", "a/../../escaped.png", "/"])
def test_a_name_that_leads_out_or_nowhere_is_refused(name, files, tmp_path):
    assert "it holds a file" in refusal_of(load_omniglot, pack(tmp_path / "a.zip", files | {name: b""}))


def test_an_alphabet_whose_name_cannot_be_printed_is_refused_on_one_line(files, tmp_path):
    odd = {FIRST.replace("Greek", "Two\nLines\x1b[31m"): png(1)}
    assert "called Two\\nLines\\x1b[31m" in refusal_of(load_omniglot, pack(tmp_path / "a.zip", files | odd))
