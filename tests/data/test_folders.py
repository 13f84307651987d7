"""Which folder is one's own, and what is found in it."""

import unicodedata

import pytest
from disk import unpack

from scratchnet.data.folders import find_pictures, pictures_in
from scratchnet.data.locate import is_own
from scratchnet.errors import DataError, ScratchnetError


def files_in(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def found_in(folder, *names, **options):
    found = find_pictures(files_in(folder, *names), **options)
    return [(picture.alphabet, picture.label, picture.file.name) for picture in found.pictures]


def test_a_folder_for_each_class_is_one_alphabet(tmp_path):
    folder = tmp_path / "letters"
    assert found_in(folder, "b/2.jpg", "a/x.PNG", "b/1.tiff") == [
        ("letters", "a", "x.PNG"),
        ("letters", "b", "1.tiff"),
        ("letters", "b", "2.jpg"),
    ]


def test_folders_around_the_classes_are_alphabets_and_may_be_nested(tmp_path):
    found = found_in(tmp_path, "Latin/a/1.png", "Greek/old/a/1.png", "Greek/new/a/1.png")
    assert found == [("Greek/new", "a", "1.png"), ("Greek/old", "a", "1.png"), ("Latin", "a", "1.png")]
    assert len(find_pictures(tmp_path).classes) == 3


def test_what_is_no_picture_by_its_name_is_left_out_and_counted(tmp_path):
    files_in(tmp_path, "a/1.png", "a/notes.txt", "b/2.png", "list.csv", "more.csv", "LICENSE", "a/.hidden.png")
    found = find_pictures(tmp_path)
    assert [picture.file.name for picture in found.pictures] == ["1.png", "2.png"]
    assert found.left_out() == "4 files that are no pictures (.csv 2, no suffix 1, .txt 1)"


def test_a_pattern_says_who_drew_a_picture(tmp_path):
    files_in(tmp_path, "a/x_07.png", "a/x_12.png", "b/y_07.png")
    found = find_pictures(tmp_path, writers=r"_(\d+)")
    assert [picture.drawer for picture in found.pictures] == ["07", "12", "07"]
    files_in(tmp_path, "b/nobody.png")
    with pytest.raises(DataError, match=r"nobody\.png: '_\(\\\\d\+\)' finds no writer in its name"):
        find_pictures(tmp_path, writers=r"_(\d+)")


@pytest.mark.parametrize(("pattern", "message"), [("(", "is no regular expression"), ("a.", "has 0 groups")])
def test_a_pattern_that_names_nobody_is_refused(tmp_path, pattern, message):
    with pytest.raises(ScratchnetError, match=message):
        find_pictures(files_in(tmp_path, "a/1.png"), writers=pattern)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "holds no pictures, it holds nothing: expected a folder for each class"),
        (["a/b.txt"], "holds no pictures, it holds a: expected a folder for each class"),
        (["1.png", "a/2.png"], r"1\.png in .* belong to no class"),
        (["1.png", "2.png"], r"1\.png, 2\.png in .* belong to no class"),
        (["a/1.png", "a/bad/2.png"], "a holds pictures, and a/bad in it hold pictures as well"),
    ],
)
def test_pictures_that_belong_to_no_class_are_refused(tmp_path, names, message):
    with pytest.raises(DataError, match=message):
        find_pictures(files_in(tmp_path, *names))


def test_a_folder_without_folders_has_a_picture_for_each_class_where_that_will_do(tmp_path):
    found = found_in(tmp_path, "b.png", "a.jpg", flat=True)
    assert [(label, name) for _, label, name in found] == [("a", "a.jpg"), ("b", "b.png")]
    files_in(tmp_path, "a.png")
    with pytest.raises(DataError, match=r"two images of class a, a\.jpg and a\.png: make a folder for each class"):
        find_pictures(tmp_path, flat=True)


def test_a_name_is_found_on_disk_as_it_is_spelled_there(tmp_path):
    """Names are compared in their composed form, and macOS writes the other one."""
    name = unicodedata.normalize("NFD", "é")
    (found,) = find_pictures(files_in(tmp_path, f"{name}/1.png")).pictures
    assert found.file.exists()
    assert found.label == unicodedata.normalize("NFC", name)


def test_all_pictures_of_a_folder_are_found_at_any_depth(tmp_path):
    files_in(tmp_path, "b.png", "a/1.jpg", "a/b/2.gif", "c.txt")
    assert [str(path.relative_to(tmp_path)) for path in pictures_in(tmp_path)] == ["a/1.jpg", "a/b/2.gif", "b.png"]
    with pytest.raises(DataError, match="holds no pictures"):
        pictures_in(files_in(tmp_path / "none", "a.txt"))


@pytest.mark.parametrize(
    ("names", "own"),
    [
        (["a/1.png"], True),
        (["Latin/character1/drawing.png"], True),  # not the names of Lake's files
        (["images_background/Latin/character01/0001_01.png"], False),
        (["Latin/character01/0001_01.png"], False),
        (["python/images_background.zip"], False),
        (["omniglot-py/images_evaluation/Latin/character01/0001_01.png"], False),
        (["images_background_small1.zip"], False),
        (["run01/class_labels.txt"], False),
        (["t10k-images-idx3-ubyte.gz"], False),
        ([], False),
    ],
)
def test_a_folder_is_ones_own_unless_it_has_the_names_of_omniglot_or_mnist(tmp_path, names, own):
    assert is_own(files_in(tmp_path, *names)) is own


def test_no_folder_and_the_files_of_a_set_are_not_ones_own(tmp_path, files):
    assert not is_own(None)
    assert not is_own(tmp_path / "absent")
    folder = unpack(tmp_path / "data", files)
    assert not is_own(folder)
    assert not is_own(folder / "images_background")
    with pytest.raises(DataError, match="absent is not a folder: expected a folder for each class"):
        find_pictures(tmp_path / "absent")
