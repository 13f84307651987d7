"""Pictures of one's own are read whatever they look like, and what is kept out of training is said."""

import shutil

import numpy as np
import pytest
from own import write_own
from PIL import Image

from scratchnet.data.glyphs import generate_alphabets
from scratchnet.data.own import PAGE, read_own, split_own
from scratchnet.data.uneven import uneven
from scratchnet.errors import DataError
from scratchnet.images.contrast import share_between
from scratchnet.images.photo import read_character
from scratchnet.images.resize import resize

COUNTS = {"one": 1, "two": 2, "three": 3, "eight": 8}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_own(tmp_path_factory.mktemp("own"), COUNTS)


def test_every_picture_is_read_whatever_its_size_colour_and_format(folder):
    own = read_own(folder)
    (alphabet,) = own.alphabets
    assert dict(zip(alphabet.classes, own.counts, strict=True)) == {"eight": 8, "one": 1, "three": 3, "two": 2}
    assert alphabet.images.shape == (14, PAGE, PAGE)
    assert own.summary() == [
        f"{folder}: 14 pictures of 4 classes, 1 to 8 a class",
        "1 class has one picture, which is only a support",
    ]
    file = next((folder / "one").iterdir())
    expected = resize(read_character(file)[None], PAGE)[0]
    np.testing.assert_allclose(alphabet.images[alphabet.table[1, 0]], expected, atol=1e-3)


def test_a_damaged_picture_is_named_and_can_be_skipped(folder, tmp_path):
    copy = write_own(tmp_path / "own", COUNTS)
    for name in ("eight/w3x.png", "two/blank.png"):
        (copy / name).write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"w3x\.png is empty or not an image .* \(and 1 more like it\).*--skip-damaged"):
        read_own(copy)
    own = read_own(copy, skip_damaged=True)
    assert len(own.damaged) == 2
    assert sum(own.counts) == 14
    assert any(line.startswith("skipped: 2 that cannot be read, ") for line in own.summary())
    np.testing.assert_array_equal(own.alphabets[0].images, read_own(folder).alphabets[0].images)


def test_a_class_whose_pictures_are_all_damaged_is_gone_and_a_folder_of_them_is_refused(tmp_path):
    folder = write_own(tmp_path / "own", {"a": 2, "b": 2})
    for file in (folder / "a").iterdir():
        file.write_bytes(b"")
    assert read_own(folder, skip_damaged=True).alphabets[0].classes == ("b",)
    for file in (folder / "b").iterdir():
        file.write_bytes(b"")
    with pytest.raises(DataError, match="holds no picture that can be read"):
        read_own(folder, skip_damaged=True)


def texture(seed):
    """Smooth noise, as a photo of a thing may be."""
    noise = np.random.default_rng(seed).random((9, 9)) * 255
    return Image.fromarray(noise.astype(np.uint8)).resize((90, 70), Image.Resampling.BICUBIC)


def test_what_is_neither_ink_nor_paper_is_noticed_and_grey_takes_it_as_it_is(tmp_path, folder):
    for number in range(6):
        (tmp_path / f"{number % 2}").mkdir(exist_ok=True)
        texture(number).save(tmp_path / f"{number % 2}" / f"{number}.png")
    with pytest.raises(DataError, match=r"shows no character, .*or take all pictures as they are with --pictures grey"):
        read_own(tmp_path)
    write_own(tmp_path, {"a": 1, "b": 2})
    as_ink = read_own(tmp_path, skip_damaged=True)
    assert "6 pictures are neither dark on light nor light on dark: --pictures grey" in as_ink.summary()[-1]
    for drawn in "ab":
        shutil.rmtree(tmp_path / drawn)
    own = read_own(tmp_path, frame="grey")
    assert len(own.summary()) == 1
    expected = resize(np.asarray(1 - np.asarray(texture(0), np.float32) / 255)[None] * 127 / 255, PAGE)[0]
    np.testing.assert_allclose(own.alphabets[0].images[0], expected, atol=1e-3)
    assert read_own(folder).greyish == 0


def test_drawings_have_few_pixels_between_ink_and_paper_and_textures_many(folder):
    drawn = [share_between(Image.open(file).convert("RGB")) for file in folder.glob("*/*")]
    mixed = [share_between(texture(seed).convert("RGB")) for seed in range(10)]
    assert max(drawn) < 0.15
    assert min(mixed) > 0.3


def test_paper_that_a_network_of_whole_pages_cannot_know_is_refused_by_the_name_of_the_file(tmp_path):
    folder = write_own(tmp_path, {"a": 3, "b": 3})  # some are light on dark
    with pytest.raises(DataError, match=r"\.\w+ has paper 1 and ink 0"):
        read_own(folder, frame="page")


def even(classes, count):
    (alphabet,) = generate_alphabets(1, characters=classes, drawers=count, image_size=20, seed=3)
    return [uneven(alphabet)]


def images_of(alphabets):
    return {image.tobytes() for alphabet in alphabets for image in alphabet.drawings}


@pytest.mark.parametrize(
    ("classes", "count", "keep_out", "said"),
    [
        (30, 4, "auto", "6 of 30 classes"),
        (10, 5, "auto", "10 of 50 pictures, of 10 classes that all train"),
        (10, 2, "auto", "2 of 10 classes"),  # too few pictures to keep any of them out
        (30, 5, "drawings", "30 of 150 pictures, of 30 classes that all train"),
        (30, 5, "none", "nothing is kept out"),
        (3, 2, "auto", "nothing is kept out"),
    ],
)
def test_what_is_kept_out_is_never_trained_on_and_nothing_is_lost(classes, count, keep_out, said):
    own = even(classes, count)
    split, what = split_own(own, keep_out=keep_out)
    assert said in what
    asked = {
        image.tobytes()
        for alphabet in split.validation
        for image in (alphabet.images if alphabet.asked is None else alphabet.images[alphabet.asked])
    }
    assert not asked & images_of(split.train)
    assert asked | images_of(split.train) == images_of(own)
    again, _ = split_own(own, keep_out=keep_out)
    assert images_of(again.train) == images_of(split.train)
