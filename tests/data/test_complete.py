"""No drawing, character, alphabet or run is left out without a word."""

import struct

import pytest
from disk import assert_same, little_memory, pack, png, refusal_of, unpack

from scratchnet.data.omniglot import load_omniglot, read_runs

GREEK = "images_background/Greek"


@pytest.mark.parametrize(
    "stranger",
    [
        f"{GREEK}/character02/0002_05.jpg",
        f"{GREEK}/character02/0002-05.png",
        f"{GREEK}/character02/copy of 0002_03.png",
        f"{GREEK}/character02/old/0002_03.png",
        f"{GREEK}/charakter04/0004_01.png",
        f"{GREEK}/0004_01.png/0004_01.png",
        f"{GREEK}/character{'1' * 5000}/0001_01.png",
    ],
)
def test_a_picture_among_the_drawings_that_is_none_is_named(stranger, files, tmp_path):
    message = refusal_of(load_omniglot, pack(tmp_path / "a.zip", files | {stranger: png(1)}))
    assert stranger[:100] in message
    assert "expected ALPHABET/characterNN/XXXX_YY.png" in message


@pytest.mark.parametrize(
    "other", ["overview.png", "images_background/overview.jpg", "docs/grid.png", f"{GREEK}/README"]
)
def test_what_lies_beside_the_drawings_is_no_harm(other, files, tmp_path):
    expected = load_omniglot(pack(tmp_path / "a.zip", files))
    assert_same(load_omniglot(pack(tmp_path / "b.zip", files | {other: b"x"})), expected)


@pytest.mark.parametrize(
    "empty", [f"{GREEK}/character04/", "images_background/Latin/", "images_background/Latin/character01/"]
)
def test_an_empty_folder_among_them_is_named(empty, files, tmp_path):
    assert empty.rstrip("/") in refusal_of(load_omniglot, pack(tmp_path / "a.zip", files | {empty: b""}))
    folder = unpack(tmp_path / "folder", files)
    (folder / empty).mkdir(parents=True)
    assert empty.rstrip("/") in refusal_of(load_omniglot, folder)


def test_what_is_missing_is_counted_and_the_first_of_it_named(files, tmp_path):
    for drawer in (2, 3, 4):
        del files[f"{GREEK}/character02/0002_{drawer:02}.png"]
    del files[f"{GREEK}/character03/0003_01.png"]
    message = refusal_of(load_omniglot, pack(tmp_path / "a.zip", files))
    assert "Greek/character02 lacks drawer 02, Greek/character02 lacks drawer 03" in message
    assert "and 1 more" in message


def test_drawings_of_many_characters_by_many_drawers_are_no_product(tmp_path):
    files = {f"images_background/Greek/character{i}/0_{i}.png": png(1) for i in range(1500)}
    with little_memory():
        assert "2,248,497 more" in refusal_of(load_omniglot, pack(tmp_path / "a.zip", files))


def listed(content):
    """The places of the entries in the directory of a zip."""
    at, places = content.index(b"PK\1\2"), []
    while content[at : at + 4] == b"PK\1\2":
        places.append(at)
        at += 46 + sum(struct.unpack_from("<3H", content, at + 28))
    return places


@pytest.mark.parametrize("field", [28, 30, 32], ids=["name", "extra", "comment"])
@pytest.mark.parametrize("skipped", [1, 4, 12])
def test_no_length_in_the_directory_of_a_zip_makes_drawings_vanish(field, skipped, files, tmp_path):
    path = pack(tmp_path / "a.zip", files)
    content = path.read_bytes()
    places = [*listed(content), content.rindex(b"PK\5\6")]
    for entry, end, following in zip(places, places[1:], places[1 + skipped :], strict=False):
        changed = bytearray(content)
        length = struct.unpack_from("<H", content, entry + field)[0] + following - end
        struct.pack_into("<H", changed, entry + field, length)
        struct.pack_into("<2H", changed, places[-1] + 8, *[len(files) - skipped] * 2)  # a lie that fits
        path.write_bytes(changed)
        refusal_of(load_omniglot, path)


@pytest.mark.parametrize("lost", ["run02/class_labels.txt", None])
def test_pictures_of_a_run_that_no_labels_name_are_refused(lost, runs, tmp_path):
    if lost:
        del runs[lost]
    else:
        runs["run02/class_labels.txt"] = runs["run02/class_labels.txt"].split(b"\n")[0]
    message = refusal_of(read_runs, pack(tmp_path / "a.zip", runs))
    assert "run02/test/item" in message
    assert "no class_labels.txt lists" in message
    assert "run02" in refusal_of(read_runs, unpack(tmp_path / "folder", runs))


def test_a_query_twice_is_refused(runs, tmp_path):
    runs["run01/class_labels.txt"] *= 2
    assert "has a query twice" in refusal_of(read_runs, pack(tmp_path / "a.zip", runs))


def test_labels_without_end_are_refused(runs, tmp_path):
    runs["run01/class_labels.txt"] = b"a b\n" * 100_000
    assert "more than 131,072 bytes" in refusal_of(read_runs, pack(tmp_path / "a.zip", runs))


def test_labels_as_windows_writes_them_are_read(runs, tmp_path):
    expected = read_runs(pack(tmp_path / "a.zip", runs))
    for run in ("run01", "run02"):
        labels = runs[f"{run}/class_labels.txt"]
        runs[f"{run}/class_labels.txt"] = b"\xef\xbb\xbf" + labels.replace(b"\n", b"\r\n")
    found = read_runs(pack(tmp_path / "b.zip", runs))
    assert [run.target.tolist() for run in found] == [run.target.tolist() for run in expected]


def test_a_folder_that_holds_something_else_says_what(tmp_path):
    folder = unpack(tmp_path / "folder", {"photos/a.jpg": b"", "readme.txt": b""})
    assert "it holds photos, readme.txt" in refusal_of(load_omniglot, folder)
    assert "it holds photos, readme.txt" in refusal_of(read_runs, folder)
