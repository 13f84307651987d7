"""Omniglot is read from zips and folders alike, in an order that depends on names alone, and never by halves."""

import tracemalloc

import numpy as np
import pytest
from disk import SIZE, assert_same, bitmap, pack, png, refusal_of, unpack

from scratchnet.data import archive
from scratchnet.data.alphabets import Alphabet
from scratchnet.data.locate import find_data
from scratchnet.data.omniglot import load_omniglot, read_runs
from scratchnet.data.splits import paper_split
from scratchnet.errors import DataError


def test_every_drawing_comes_to_its_place(files, tmp_path):
    arcadian, greek = load_omniglot(pack(tmp_path / "a.zip", files))
    assert (arcadian.name, greek.name) == ("Arcadian", "Greek")
    for alphabet, size in ((arcadian, 11), (greek, 3)):
        assert alphabet.images.shape == (size, 4, SIZE, SIZE - 1)
        assert alphabet.images.dtype == bool
        for character in range(size):
            for drawer in range(4):
                number = 1000 * ord(alphabet.name[0]) + 10 * (character + 1) + drawer + 1
                np.testing.assert_array_equal(alphabet.images[character, drawer], bitmap(number))


def test_the_order_in_the_archive_does_not_matter(files, tmp_path):
    names = list(files)
    np.random.default_rng(0).shuffle(names)
    shuffled = pack(tmp_path / "shuffled.zip", {name: files[name] for name in names})
    assert_same(load_omniglot(shuffled), load_omniglot(pack(tmp_path / "a.zip", files)))


def test_characters_are_ordered_by_number_even_without_leading_zeros(files, tmp_path):
    plain = {name.replace("character0", "character"): content for name, content in files.items()}
    assert_same(load_omniglot(pack(tmp_path / "b.zip", plain)), load_omniglot(pack(tmp_path / "a.zip", files)))


def test_zips_and_folders_in_both_layouts_give_the_same(files, tmp_path):
    expected = load_omniglot(pack(tmp_path / "a.zip", files))
    folder = unpack(tmp_path / "omniglot-py", files)
    assert_same(load_omniglot(folder), expected)
    assert_same(load_omniglot(folder / "images_background"), expected)
    assert_same(load_omniglot(str(find_data(tmp_path, "images_background"))), expected)


def test_what_operating_systems_leave_behind_is_ignored(files, tmp_path):
    expected = load_omniglot(pack(tmp_path / "a.zip", files))
    litter = {
        f"__MACOSX/{next(iter(files))}": b"junk",
        "images_background/Greek/character01/._0001_01.png": b"junk",
        "images_background/.DS_Store": b"junk",
        "images_background/Greek/Thumbs.db": b"junk",
        "images_background/Greek/": b"",
        "images_background/Icon\r": b"",
        "images_background/Greek/character01/@eaDir/0001_01.png/SYNOPHOTO_THUMB_M.jpg": b"junk",
        "images_background/Greek/desktop.ini": b"junk",
    }
    assert_same(load_omniglot(pack(tmp_path / "b.zip", files | litter)), expected)


def test_a_missing_drawing_is_named(files, tmp_path):
    del files["images_background/Greek/character02/0002_03.png"]
    message = refusal_of(load_omniglot, pack(tmp_path / "a.zip", files))
    assert "Greek/character02" in message
    assert "drawer 03" in message


def test_a_drawer_missing_from_a_whole_alphabet_is_noticed(files, tmp_path):
    for character in (1, 2, 3):
        del files[f"images_background/Greek/character{character:02}/{character:04}_04.png"]
    assert "drawer 04" in refusal_of(load_omniglot, pack(tmp_path / "a.zip", files))


def test_one_drawing_twice_is_refused(files, tmp_path):
    files["images_background/Greek/character02/0099_03.png"] = png(0)
    message = refusal_of(load_omniglot, pack(tmp_path / "a.zip", files))
    assert "0099_03.png" in message
    assert "0002_03.png" in message


def test_images_of_different_sizes_are_refused(files, tmp_path):
    files["images_background/Greek/character02/0002_03.png"] = png(7, grow=1)
    message = refusal_of(load_omniglot, pack(tmp_path / "a.zip", files))
    assert "0002_03.png" in message
    assert f"({SIZE + 1}, {SIZE})" in message
    assert f"({SIZE}, {SIZE - 1})" in message


def test_two_sets_in_one_folder_are_refused(files, tmp_path):
    unpack(tmp_path / "both", files)
    unpack(tmp_path / "both", {name.replace("background", "evaluation"): png(1) for name in files})
    assert "images_background, images_evaluation" in refusal_of(load_omniglot, tmp_path / "both")


@pytest.mark.parametrize("read", [load_omniglot, read_runs])
def test_an_archive_of_something_else_is_refused(read, tmp_path):
    refusal_of(read, pack(tmp_path / "a.zip", {"readme.txt": b"hello"}))
    refusal_of(read, unpack(tmp_path / "folder", {"readme.txt": b"hello"}))


@pytest.mark.parametrize("read", [load_omniglot, read_runs])
def test_what_is_missing_empty_or_no_zip_is_one_clear_line(read, tmp_path):
    assert "no file" in refusal_of(read, tmp_path / "absent.zip")
    for name, content in {"empty.zip": b"", "text.zip": b"not a zip\n"}.items():
        (tmp_path / name).write_bytes(content)
        assert "not an intact zip" in refusal_of(read, tmp_path / name)


def test_a_truncated_zip_is_one_clear_line_at_any_length(files, tmp_path):
    path = pack(tmp_path / "a.zip", files)
    whole = path.read_bytes()
    for length in range(0, len(whole), len(whole) // 50):
        path.write_bytes(whole[:length])
        refusal_of(load_omniglot, path)


def test_a_damaged_drawing_is_named(files, tmp_path):
    name = "images_background/Greek/character02/0002_03.png"
    files[name] = files[name][:45]
    assert name in refusal_of(load_omniglot, pack(tmp_path / "a.zip", files))


def test_flipped_bytes_are_refused_or_harmless_but_never_another_exception(files, tmp_path):
    rng = np.random.default_rng(2)
    path = pack(tmp_path / "a.zip", files)
    expected = load_omniglot(path)
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    refusals = []
    for _ in range(100):
        damaged = whole.copy()
        damaged[rng.integers(0, len(whole), 2)] ^= 1 << 5
        path.write_bytes(damaged.tobytes())
        try:
            alphabets = load_omniglot(path)
        except DataError as refusal:
            refusals.append(str(refusal))
        else:  # a flip in a name can rename an alphabet, but no drawing changes
            assert sum(alphabet.images.sum() for alphabet in alphabets) == sum(a.images.sum() for a in expected)
    assert refusals
    assert "\n" not in "".join(refusals)


def test_an_encrypted_zip_is_refused(files, tmp_path):
    path = pack(tmp_path / "a.zip", files)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1  # the flag of the first entry of the directory
    path.write_bytes(content)
    assert "encrypted: unpack" in refusal_of(load_omniglot, path)


def test_too_many_files_are_refused(files, tmp_path, monkeypatch):
    packed, folder = pack(tmp_path / "a.zip", files), unpack(tmp_path / "folder", files)
    monkeypatch.setattr(archive, "MAX_FILES", len(files))
    assert_same(load_omniglot(packed), load_omniglot(folder))
    monkeypatch.setattr(archive, "MAX_FILES", len(files) - 1)
    assert "files" in refusal_of(load_omniglot, packed)
    assert "files" in refusal_of(load_omniglot, folder)


def test_a_zip_that_declares_too_many_bytes_is_refused(files, tmp_path):
    path = pack(tmp_path / "a.zip", files | {"images_background/zeros": bytes(archive.MAX_BYTES)})
    assert "bytes" in refusal_of(load_omniglot, path)


def test_a_zip_that_declares_too_few_bytes_fills_no_memory(files, tmp_path):
    name, length = "images_background/Greek/character01/0001_01.png", 1 << 26
    path = pack(tmp_path / "a.zip", files | {name: bytes(length)})
    path.write_bytes(path.read_bytes().replace(length.to_bytes(4, "little"), (100).to_bytes(4, "little")))
    tracemalloc.start()
    try:
        assert name in refusal_of(load_omniglot, path)
        assert tracemalloc.get_traced_memory()[1] < length // 8
    finally:
        tracemalloc.stop()


def test_drawings_of_too_many_pixels_in_all_are_refused(files, tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MAX_PIXELS", len(files) * SIZE * (SIZE - 1) - 1)
    assert "too many" in refusal_of(load_omniglot, pack(tmp_path / "a.zip", files))


def test_a_run_pairs_each_query_with_its_support(runs, tmp_path):
    for path in (pack(tmp_path / "all_runs.zip", runs), unpack(tmp_path / "all_runs", runs)):
        first, second = read_runs(path)
        assert (first.name, second.name) == ("run01", "run02")
        assert first.target.tolist() == [1, 2, 0]
        assert second.target.tolist() == [0, 2, 1]
        assert first.support.shape == first.query.shape == (3, SIZE, SIZE - 1)
        for run in (first, second):
            for position in range(3):
                np.testing.assert_array_equal(run.support[position], bitmap(position + 1))
                np.testing.assert_array_equal(run.query[position], bitmap(100 + run.target[position] + 1))


def test_runs_may_lie_in_a_folder_inside_the_zip(runs, tmp_path):
    nested = {f"all_runs/{name}": content for name, content in runs.items()}
    first, _ = read_runs(pack(tmp_path / "a.zip", nested))
    assert first.target.tolist() == [1, 2, 0]


@pytest.mark.parametrize("missing", ["run02/test/item02.png", "run02/training/class03.png"])
def test_a_missing_image_of_a_run_is_named(runs, tmp_path, missing):
    del runs[missing]
    assert missing in refusal_of(read_runs, pack(tmp_path / "a.zip", runs))


@pytest.mark.parametrize(
    "labels", [b"", b"run01/test/item01.png\n", b"a b c\n", b"\xff\xfe\x00 \x80\n", b"../../secret.png /etc/passwd\n"]
)
def test_labels_that_pair_nothing_are_refused(runs, tmp_path, labels):
    runs["run01/class_labels.txt"] = labels
    (tmp_path / "secret.png").write_bytes(png(1))
    refusal_of(read_runs, pack(tmp_path / "a.zip", runs))
    refusal_of(read_runs, unpack(tmp_path / "folder", runs))


def numbered(names: str, drawers: int = 20) -> list[Alphabet]:
    """Alphabets of two characters whose images, of one pixel, lie in numbered order of the drawers."""
    images = (np.arange(drawers) / 64).reshape(1, drawers, 1, 1).repeat(2, axis=0)
    return [Alphabet(name, images) for name in names]


def test_the_split_of_the_paper_has_its_alphabets_and_drawers():
    background, evaluation = numbered("abcdefghijklmnopqrstuvwxyzABCD"), numbered("0123456789!%&/()=?+#")
    split = paper_split(background, evaluation, rng=np.random.default_rng(0))
    assert [len(part) for part in (split.train, split.validation, split.test)] == [30, 10, 10]
    assert [alphabet.name for alphabet in split.train] == [alphabet.name for alphabet in background]
    drawn_apart = {alphabet.name for alphabet in split.validation} ^ {alphabet.name for alphabet in split.test}
    assert drawn_apart == {alphabet.name for alphabet in evaluation}
    for part, drawers in ((split.train, range(12)), (split.validation, range(12, 16)), (split.test, range(16, 20))):
        for alphabet in part:
            assert alphabet.characters == 2
            assert (64 * alphabet.images[0, :, 0, 0]).tolist() == list(drawers)


def test_the_seed_alone_decides_which_alphabets_validate():
    evaluation = numbered("0123456789!%&/()=?+#")
    halves = [
        [alphabet.name for alphabet in paper_split([], evaluation, rng=np.random.default_rng(seed)).validation]
        for seed in (0, 0, 1)
    ]
    assert halves[0] == halves[1] != halves[2]


def test_the_alphabets_to_test_on_can_be_named():
    split = paper_split([], numbered("abcd"), rng=np.random.default_rng(0), test=("d", "b"))
    assert [alphabet.name for alphabet in split.validation] == ["a", "c"]
    assert [alphabet.name for alphabet in split.test] == ["d", "b"]
    with pytest.raises(DataError, match="no alphabet called e"):
        paper_split([], numbered("abcd"), rng=np.random.default_rng(0), test=("e",))


def test_the_split_needs_twenty_drawers():
    with pytest.raises(DataError, match="a has 19 drawers"):
        paper_split(numbered("a", drawers=19), [], rng=np.random.default_rng(0))


def test_the_real_background_set_is_complete(real_data):
    alphabets = load_omniglot(find_data(real_data, "images_background.zip", "images_background"))
    assert len(alphabets) == 30
    assert sum(alphabet.characters for alphabet in alphabets) == 964
    assert [alphabet.name for alphabet in alphabets] == sorted(alphabet.name for alphabet in alphabets)
    for alphabet in alphabets:
        assert alphabet.drawers == 20
        assert alphabet.images.shape[2:] == (105, 105)
        ink = alphabet.images.mean(axis=(2, 3))
        assert ink.min() > 0
        assert ink.max() < 0.5


def test_the_real_runs_are_twenty_times_twenty_trials(real_data):
    runs = read_runs(find_data(real_data, "all_runs.zip", "all_runs"))
    assert [run.name for run in runs] == [f"run{number:02}" for number in range(1, 21)]
    for run in runs:
        assert run.support.shape == run.query.shape == (20, 105, 105)
        assert sorted(run.target.tolist()) == list(range(20))
    assert runs[0].target.tolist() == [7, 8, 1, 18, 9, 17, 12, 0, 3, 10, 16, 2, 19, 6, 11, 4, 5, 14, 13, 15]
