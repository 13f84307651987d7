"""Pictures become ink between 0 and 1, and anything else a clear message of one line."""

import io
import os
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scratchnet.errors import DataError
from scratchnet.images import pictures as images
from scratchnet.images.pictures import FORMATS, MAX_PIXELS, read_bitmap, read_colours, read_image


def encode(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def png_that_claims(width: int, height: int) -> bytes:
    """A PNG with a header and next to no pixels: to decode it would be another error."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.fixture
def drawing() -> np.ndarray:
    """Grey values, (H, W) = (5, 7) uint8, no two rows or columns alike."""
    return np.random.default_rng(0).integers(0, 256, (5, 7), dtype=np.uint8)


def one_line(refusal: pytest.ExceptionInfo[DataError]) -> str:
    message = str(refusal.value)
    assert "\n" not in message
    assert ": " in message
    return message


def test_ink_is_one_minus_grey():
    ink = read_image(Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)))
    assert ink.dtype == np.float32
    assert ink.shape == (16, 16)
    assert ink[0, 0] == 1
    assert ink[15, 15] == 0
    np.testing.assert_allclose(ink.ravel(), 1 - np.arange(256) / 255, atol=1e-6)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "I;16"])
def test_black_is_ink_and_white_is_paper_in_every_mode(mode):
    black_left = Image.fromarray(np.array([[0, 255], [0, 255]], np.uint8))
    if mode == "I;16":
        picture = Image.fromarray(np.array([[0, 65535], [0, 65535]], np.uint16))
    else:
        picture = black_left.convert("RGB").convert(mode)
    assert picture.mode == mode
    np.testing.assert_array_equal(read_image(picture), [[1, 0], [1, 0]])


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_shows_the_same_picture(form):
    rows, columns = np.mgrid[:24, :32]
    grey = (4 * rows + 4 * columns).astype(np.uint8)  # smooth, so that JPEG keeps it
    ink = read_image(io.BytesIO(encode(Image.fromarray(grey), form)))
    np.testing.assert_allclose(ink, 1 - grey / 255, atol=0.04)


def test_paths_open_files_and_pillow_images_give_the_same(drawing, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encode(Image.fromarray(drawing)))
    with open(path, "rb") as file, Image.open(path) as image:
        for source in (path, str(path), file, image):
            np.testing.assert_allclose(read_image(source), 1 - drawing / 255, atol=1e-6)


def test_what_is_transparent_is_paper():
    picture = Image.new("RGBA", (3, 1), (0, 0, 0, 0))
    picture.putpixel((1, 0), (0, 0, 0, 255))
    picture.putpixel((2, 0), (0, 0, 0, 51))
    np.testing.assert_allclose(read_image(io.BytesIO(encode(picture))), [[0, 1, 0.2]], atol=0.01)


def test_a_transparent_colour_of_a_palette_is_paper():
    picture = Image.new("P", (2, 1))
    picture.putpalette([0, 0, 0, 0, 0, 0])
    picture.putpixel((1, 0), 1)
    file = io.BytesIO(encode(picture, transparency=0))
    np.testing.assert_array_equal(read_image(file), [[0, 1]])


def test_sixteen_bits_are_scaled_and_not_clipped():
    grey = np.array([[0, 13107, 65535]], np.uint16)
    np.testing.assert_allclose(read_image(io.BytesIO(encode(Image.fromarray(grey)))), [[1, 0.8, 0]], atol=1e-6)


def test_a_photograph_is_turned_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # Orientation: the camera was turned by a quarter
    grey = np.full((8, 16), 255, np.uint8)
    grey[:, :8] = 0  # ink on the left, which is the top once it is upright
    ink = read_image(io.BytesIO(encode(Image.fromarray(grey), "JPEG", exif=exif, quality=95)))
    assert ink.shape == (16, 8)
    assert ink[:7].min() > 0.9
    assert ink[9:].max() < 0.1


@pytest.mark.parametrize(
    ("enough", "expected"), [(0, (803, 402)), (402, (803, 402)), (401, (402, 201)), (200, (201, 101)), (1, (101, 51))]
)
def test_a_jpeg_is_decoded_no_larger_than_a_power_of_two_needs(enough, expected, tmp_path):
    path = tmp_path / "sheet.jpg"
    Image.new("RGB", (803, 402), (10, 200, 30)).save(path)
    for source in (path, path.read_bytes(), io.BytesIO(path.read_bytes())):
        assert read_colours(source, enough=enough).size == expected
    with Image.open(path) as image:
        assert read_colours(image, enough=enough).size == (803, 402)  # it is the caller's


@pytest.mark.parametrize("mode", ["L", "CMYK", "YCbCr", "RGB"])
def test_a_jpeg_of_any_mode_looks_the_same_at_half_its_size(mode, rng):
    rough = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize((512, 512))
    turned = Image.Exif()
    turned[images.ORIENTATION] = 6
    file = encode(rough.convert(mode), "JPEG", quality=95, exif=turned)
    half = read_colours(file, enough=256)
    whole = read_colours(file).resize((256, 256), Image.Resampling.BOX)
    assert half.mode == "RGB"
    assert np.abs(np.asarray(half, int) - np.asarray(whole, int)).mean() < 2
    assert read_colours(encode(rough.convert("RGB"), "PNG"), enough=16).size == (512, 512)


def test_the_image_of_the_caller_stays_usable_and_as_it_was(drawing, tmp_path):
    frames = [Image.fromarray(drawing), Image.fromarray(255 - drawing)]
    frames[0].save(tmp_path / "two.gif", save_all=True, append_images=frames[1:])
    with Image.open(tmp_path / "two.gif") as image:
        first = read_image(image)
        image.seek(1)
        assert not np.array_equal(read_image(image), first)


def test_a_bitmap_is_true_where_there_is_ink(drawing):
    bits = drawing < 128
    bitmap = read_bitmap(io.BytesIO(encode(Image.fromarray(~bits))))
    assert bitmap.dtype == bool
    np.testing.assert_array_equal(bitmap, bits)
    np.testing.assert_array_equal(read_bitmap(Image.fromarray(drawing)), bits)


@pytest.mark.parametrize("read", [read_image, read_bitmap])
@pytest.mark.parametrize(
    "content",
    [b"", b"this is a text\n", b"\x89PNG\r\n\x1a\n", png_that_claims(4, 4), b"8BPS\0\1" + bytes(50)],
    ids=["empty", "text", "signature only", "no pixels", "a format that is not allowed"],
)
def test_a_file_that_is_no_picture_is_one_clear_line_with_its_name(read, content, tmp_path):
    path = tmp_path / "sign.png"
    path.write_bytes(content)
    with pytest.raises(DataError) as refusal:
        read(path)
    assert str(path) in one_line(refusal)


def test_a_truncated_picture_is_refused_unless_all_pixels_are_there(drawing):
    whole = encode(Image.fromarray(drawing))
    pixels_end = whole.index(b"IEND") - 20  # then come checksums and the end mark
    for length in range(pixels_end):
        with pytest.raises(DataError, match=r"cut\.png") as refusal:
            read_image(io.BytesIO(whole[:length]), name="cut.png")
        one_line(refusal)
    for length in range(pixels_end + 8, len(whole)):
        np.testing.assert_array_equal(read_image(io.BytesIO(whole[:length])), read_image(io.BytesIO(whole)))


@pytest.mark.parametrize("form", ["PNG", "BMP", "GIF", "JPEG", "WEBP"])
def test_damage_is_refused_or_read_but_never_another_exception(drawing, form):
    rng = np.random.default_rng(1)
    whole = np.frombuffer(encode(Image.fromarray(drawing), form), np.uint8)
    refusals = []
    for _ in range(200):
        damaged = whole.copy()
        damaged[rng.integers(0, len(whole), 3)] = rng.integers(0, 256, 3)
        try:
            assert read_image(io.BytesIO(damaged.tobytes())).size <= MAX_PIXELS
        except DataError as refusal:
            refusals.append(str(refusal))
    assert refusals
    assert "\n" not in "".join(refusals)


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path):
    with pytest.raises(DataError, match=r"no file .*absent\.png") as refusal:
        read_image(tmp_path / "absent.png")
    one_line(refusal)
    with pytest.raises(DataError, match="folder") as refusal:
        read_image(str(tmp_path))
    one_line(refusal)


@pytest.mark.parametrize(
    "side", [8_001, 12_000, 60_000]
)  # Pillow accepts the first, warns about the second, and refuses the third
def test_too_many_pixels_are_refused_before_they_are_decoded(side, tmp_path):
    path = tmp_path / "vast.png"
    path.write_bytes(png_that_claims(side, side))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DataError, match="scale it down") as refusal:
            read_image(path)
    assert str(path) in one_line(refusal)


def test_an_image_without_pixels_is_refused():
    with pytest.raises(DataError, match="0 x 5"):
        read_image(Image.new("L", (0, 5)))


def test_a_given_name_stands_for_the_source():
    with pytest.raises(DataError, match=r"0394_01\.png in images_background\.zip"):
        read_bitmap(io.BytesIO(b""), name="0394_01.png in images_background.zip")


def test_an_open_file_is_named_by_its_path(tmp_path: Path):
    (tmp_path / "empty.png").touch()
    with open(tmp_path / "empty.png", "rb") as file, pytest.raises(DataError, match=r"empty\.png"):
        read_image(file)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16", "F", "CMYK"])
def test_a_vast_picture_is_averaged_over_squares_of_pixels(mode, monkeypatch):
    monkeypatch.setattr(images, "LARGE", 3000)
    step = np.zeros((1100, 60), np.uint8)
    step[:, 30:] = 255
    step = Image.fromarray(step)
    ink = read_image(Image.fromarray(np.asarray(step, np.uint16) * 257) if mode == "I;16" else step.convert(mode))
    assert ink.shape == (220, 12)
    np.testing.assert_allclose(ink, np.repeat([[1.0, 0.0]], 6, axis=1) * np.ones((220, 1)), atol=0.02)


def test_what_is_no_file_is_refused_at_once(tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("needs pipes in folders")
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png cannot be read .*it is a pipe"):
        read_image(tmp_path / "a.png")
    with pytest.raises(DataError, match="is a folder"):
        read_image(tmp_path)


@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"exif": b"Exif\0\0"}], ids=["VP8", "VP8L", "VP8X"])
def test_a_webp_is_refused_by_its_size_before_it_is_opened(options, monkeypatch):
    content = encode(Image.new("RGB", (70, 90), "white"), "WEBP", **options)
    assert read_image(io.BytesIO(content)).shape == (90, 70)
    monkeypatch.setattr(images, "MAX_WEBP", 70 * 90 - 2 * len(content))
    monkeypatch.setattr(images, "WEBP_DENSITY", 2)
    assert read_image(io.BytesIO(content)).shape == (90, 70)
    monkeypatch.setattr(images, "MAX_WEBP", 70 * 90 - 2 * len(content) - 1)
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("it was opened"))
    with pytest.raises(DataError, match=r"has 6,300 pixels, expected up to 6,299 in a WEBP"):
        read_image(io.BytesIO(content))


def test_warnings_come_back_when_the_last_of_several_threads_is_done():
    """The order in which two threads overlap; it leaves the library's catch_warnings with the warnings off."""
    before = list(warnings.filters)
    quiet = images._no_warnings
    quiet.__enter__()
    quiet.__enter__()
    quiet.__exit__()  # the first one
    with warnings.catch_warnings(record=True) as seen:
        warnings.warn("still off", stacklevel=1)
    assert not seen
    quiet.__exit__()
    assert warnings.filters == before
