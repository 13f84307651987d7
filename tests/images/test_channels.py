"""Pictures of every mode are scaled so that white stays paper, and ink on a transparent sheet is found by its alpha."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageDraw

from scratchnet.errors import DataError
from scratchnet.images.photo import read_character
from scratchnet.images.pictures import read_bitmap, read_colours, read_image
from scratchnet.images.strokes import grown

SIDE = 120


@pytest.fixture
def ink() -> np.ndarray:
    """(SIDE, SIDE) bool: a cross with a foot."""
    canvas = Image.new("1", (SIDE, SIDE))
    for points in ((24, 40, 96, 48), (56, 20, 60, 100), (56, 100, 88, 100)):
        ImageDraw.Draw(canvas).line(points, fill=1, width=7)
    return np.asarray(canvas)


def lab(image: Image.Image) -> Image.Image:
    spaces = [ImageCms.createProfile(name) for name in ("sRGB", "LAB")]
    turned = ImageCms.applyTransform(image, ImageCms.buildTransform(*spaces, "RGB", "LAB"))
    assert turned is not None  # it is None only in place
    return turned


CONVERSIONS = {
    mode: (lambda image, mode=mode: image.convert(mode))
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "I", "F", "I;16")
} | {
    "PA": lambda image: image.convert("P").convert("PA"),
    "RGBa": lambda image: image.convert("RGBA").convert("RGBa"),
    "La": lambda image: image.convert("LA").convert("La"),
    "LAB": lab,
    "I;16B": lambda image: image.convert("I").convert("I;16B"),
    "I;16L": lambda image: image.convert("I").convert("I;16L"),
}


@pytest.mark.parametrize("mode", CONVERSIONS)
def test_white_is_paper_and_black_is_ink_in_every_mode(ink, mode):
    picture = CONVERSIONS[mode](Image.fromarray(~ink).convert("RGB"))
    assert picture.mode == mode
    np.testing.assert_allclose(read_image(picture), ink, atol=0.01)
    np.testing.assert_array_equal(read_bitmap(picture), ink)
    np.testing.assert_allclose(np.asarray(read_colours(picture))[..., 0], np.where(ink, 0, 255), atol=3)


@pytest.mark.parametrize(
    ("white", "dtype"),
    [(white, dtype) for white in (1, 255, 1023, 4095, 16383, 65535) for dtype in (np.int32, np.uint16)]
    + [(white, np.float32) for white in (1, 255, 65535)],
)
def test_the_white_of_any_depth_is_paper(ink, white, dtype):
    """Also where the paper is not quite white, and where resampling has gone a little beyond it."""
    for paper in (1, 0.9) + ((1.06,) if dtype != np.uint16 else ()):
        values = np.where(ink, -0.05 * white * (dtype == np.float32), paper * white)
        if white == 1 and dtype != np.float32:
            values = np.where(ink, 0, 1)
        found = read_image(Image.fromarray(values.astype(dtype)))
        assert found[ink].min() > 0.99
        assert found[~ink].max() < 0.11


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (np.nan, np.float32),
        (np.inf, np.float32),
        (-np.inf, np.float32),
        (-3, np.float32),
        (1e6, np.float32),
        (-5, np.int32),
        (100_000, np.int32),
    ],
)
def test_values_that_fit_no_scale_are_refused_in_one_line(value, dtype):
    values = np.ones((5, 5), dtype)
    values[2, 2] = value
    for read in (read_image, read_character):
        with pytest.raises(DataError, match=r"scan\.tif .* expected 0 for black and .* for white") as refusal:
            read(Image.fromarray(values), name="scan.tif")
        assert "\n" not in str(refusal.value)


COLOURS = {"white": (255, 255, 255), "black": (0, 0, 0), "yellow": (255, 240, 60), "blue": (20, 40, 200)}


def sheet(ink: np.ndarray, colour: tuple[int, int, int], under: tuple[int, int, int], opacity: int) -> Image.Image:
    """Ink of a colour on a transparent sheet whose hidden colour is `under`."""
    pixels = np.empty((*ink.shape, 4), np.uint8)
    pixels[..., :3] = np.where(ink[..., None], colour, under)
    pixels[..., 3] = np.where(ink, opacity, 0)
    return Image.fromarray(pixels)


def as_file(image: Image.Image, form: str, **options: object) -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file


@pytest.mark.parametrize("opacity", [255, 120])
@pytest.mark.parametrize("under", ["white", "black"])
@pytest.mark.parametrize("name", COLOURS)
def test_ink_of_any_colour_on_a_transparent_sheet_is_what_is_opaque(ink, name, under, opacity):
    picture = sheet(ink, COLOURS[name], COLOURS[under], opacity)
    for source in (picture, as_file(picture, "PNG"), as_file(picture, "WEBP", lossless=True)):
        np.testing.assert_allclose(read_image(source), ink * np.float32(opacity / 255), atol=0.01)
        assert (read_character(source) > 0.5).sum() == pytest.approx(ink.sum(), rel=0.05)


def test_white_ink_with_soft_edges_is_read(ink):
    large = sheet(ink, (255, 255, 255), (255, 255, 255), 255).resize((360, 360), Image.Resampling.BICUBIC)
    found = read_image(large.resize((SIDE, SIDE), Image.Resampling.BOX)) > 0.5
    assert (found & ~grown(ink)).sum() == 0
    assert (ink & ~grown(found)).sum() == 0


def test_strokes_of_several_colours_on_a_transparent_sheet_are_ink(ink):
    picture = sheet(ink, (255, 255, 255), (0, 0, 0), 255)
    picture.paste((200, 30, 30, 255), (0, 0, SIDE, 60), Image.fromarray(np.where(ink[:60], 255, 0).astype(np.uint8)))
    np.testing.assert_array_equal(read_image(picture) > 0.5, ink)


@pytest.mark.parametrize("colour", ["white", "black"])
def test_a_palette_with_a_transparent_colour_is_a_transparent_sheet(ink, colour):
    picture = Image.fromarray(ink.astype(np.uint8)).convert("P")
    picture.putpalette([90, 90, 90, *COLOURS[colour]])
    for form in ("PNG", "GIF"):
        np.testing.assert_array_equal(read_image(as_file(picture, form, transparency=0)) > 0.5, ink)


def test_a_transparent_gray_value_is_a_transparent_sheet(ink):
    deep = Image.fromarray(np.where(ink, 65535, 300).astype(np.uint16))
    for picture in (deep, Image.fromarray(np.where(ink, 255, 7).astype(np.uint8))):
        picture.info["transparency"] = 300 if picture is deep else 7
        np.testing.assert_array_equal(read_image(picture) > 0.5, ink)


@pytest.mark.parametrize("alpha", [255, 250, 120, 60])
def test_an_alpha_that_is_the_same_everywhere_is_none(ink, alpha):
    picture = Image.fromarray(~ink).convert("RGB")
    picture.putalpha(alpha)
    np.testing.assert_array_equal(read_image(picture) > 0.5, ink)


@pytest.mark.parametrize("paper", [(255, 255, 255), (30, 60, 50)], ids=["paper", "board"])
def test_a_sheet_that_was_cut_out_lies_on_more_of_its_paper(ink, paper):
    pixels = np.zeros((SIDE, SIDE, 4), np.uint8)
    pixels[..., :3] = np.where(ink[..., None], 255 - np.array(paper), paper)
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    pixels[..., 3] = 255 * (np.hypot(y, x) < 59.5)
    found = read_colours(Image.fromarray(pixels))
    np.testing.assert_array_equal(np.asarray(found)[0, 0], paper)
    assert (read_character(Image.fromarray(pixels)) > 0.5).sum() == pytest.approx(ink.sum(), rel=0.05)


def test_a_sheet_with_nothing_on_it_shows_no_character():
    for alpha in (0, 20):
        picture = Image.new("RGBA", (SIDE, SIDE), (0, 0, 0, alpha))
        assert read_image(picture).max() == 0
        with pytest.raises(DataError, match="nothing stands out from the paper"):
            read_character(picture)
