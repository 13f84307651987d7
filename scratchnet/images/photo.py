"""A photo or a scan of one character as clean ink: what a network that frames the ink reads.

A drawing of Omniglot is black on white, and one pen has drawn all of them. A user's own picture is dark on light or
light on dark, in colours, under uneven light, with noise, and drawn with any pen. In order:

1.  `to_working_size`: a large picture is made smaller, a tiny one larger.
2.  `contrast.local_paper`: the colour of the paper is the median of the surroundings, everywhere.
3.  `contrast.departure`: each pixel departs from its paper by a share, in the direction of colours in which few depart
    far. That is ink: darker or lighter, whichever there is less of.
4.  `contrast.tell_apart`: ink departs more than half as far as ink does on average.
5.  `contrast.paper_without`: twice more from 3, with the paper that is left when the ink is painted over.
6.  `contrast.smoothed`: noise is blurred away as far as it is in the way. What has then no contrast is refused.
7.  `contrast.ink_above_noise`: in a dim corner, ink has to rise above the noise there.
8.  `without_ruling`: printed lines go, a box or a frame; then `without_edges`, `without_specks`: the rim of the table
    and the dust, but not the dot on an i.
9.  `close_up`: a character that is small in a large picture is looked at again, from near.
10. `with_usual_pen`: a pen far thinner or thicker than Omniglot's is replaced by that one.

What is clean already, as Omniglot's drawings are, comes out as it went in.
"""

from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from scratchnet.errors import DataError
from scratchnet.images.contrast import CLEAR, FAINTEST, best_contrast, blurred, clarity, ink_above_noise, resampled
from scratchnet.images.pictures import name_of, read_colours
from scratchnet.images.ruling import MANY, without_ruling
from scratchnet.images.strokes import box_sizes, extent, grown, middle_lines, parts, pruned, stroke_width, thickened

LARGEST, SMALLEST = 400, 100  # pixels of the longer side, to work with
OUTLINED = 2.4  # clarity: of strokes out of focus 2.5, of light that fades on a blank page 2 to 2.7
RIM = 0.5  # of its own length, or of a side of the picture: what lies along the border for longer was not drawn
REST = 0.1  # of the longer side: the least that has to be left without it
ALIKE = 0.75  # pens of one character, the thinner as a share of the thicker
DUST = 0.3  # of a pen's width squared: what covers less is no dot
PIECES = 30  # in how many a character may be
FAR = 0.4  # of the picture: what is smaller is looked at from near
PEN = 0.075  # of the character's longer side: Omniglot's pen, with 0.067 to 0.088 in half of its drawings
TOO_THIN, TOO_THICK = 2 / 3, 7 / 4  # of that: a pen beyond is replaced, as in 3 % of them
PAGE = 20  # pens: the side of Omniglot's page
LEAST_PEN = 4  # pixels: what a dot is drawn with
LINES = 180  # pixels of the longer side of what is thinned


class _NoCharacterError(Exception):
    """Why there is no character in a picture."""


def read_character(source: Path | str | BinaryIO | Image.Image, *, name: str = "") -> np.ndarray:
    """The one character in a picture, (H, W) float32: ink 1 and paper 0, whatever it was drawn with, and on what.

    Raises DataError when the picture cannot be read (as `read_image`), and when it shows no character.
    """
    picture = read_colours(source, name=name)
    try:
        ink, seen = find_character(to_working_size(picture))
        if near := close_up(picture, ink):
            ink, seen = find_character(to_working_size(near), many=1)  # no stroke goes across all of it
        if seen < OUTLINED:
            raise _NoCharacterError("there is only light and shade, without an outline")
    except _NoCharacterError as why:
        raise DataError(
            f"{name or name_of(source)} shows no character, {why}: give a picture of one, dark on light or "
            "light on dark"
        ) from None
    return with_usual_pen(ink)


def to_working_size(picture: Image.Image) -> Image.Image:
    """The picture at a size at which a step takes milliseconds, and at which lines are a few pixels wide."""
    longer = max(picture.size)
    scale = LARGEST / longer if longer > LARGEST else float(np.ceil(SMALLEST / longer))
    if scale == 1:
        return picture
    width, height = (max(1, round(scale * length)) for length in picture.size)
    how = Image.Resampling.BILINEAR if scale < 1 else Image.Resampling.BICUBIC  # antialiased where it gets smaller
    return picture.resize((width, height), how)


def find_character(picture: Image.Image, many: int = MANY) -> tuple[np.ndarray, float]:
    """Where the ink of the character is, (H, W) bool, and with what clarity it is seen. Steps 2 to 8; `many` lines are
    ruling."""
    contrast = best_contrast(np.asarray(picture, np.float32) / 255)
    if contrast.ink < FAINTEST:
        raise _NoCharacterError("nothing stands out from the paper")
    if contrast.ink < CLEAR * contrast.noise:
        raise _NoCharacterError("nothing stands out from the noise")
    ink = ink_above_noise(contrast)
    try:
        drawn = without_ruling(ink, contrast.is_faint_ink, many)
    except ValueError as why:
        raise _NoCharacterError(str(why)) from None
    lines, seen = ink & ~drawn, contrast.clarity
    if lines.any():
        seen = clarity(contrast.departure[drawn], contrast.departure[~(ink | grown(lines, 2))])
    return without_specks(without_edges(drawn)), seen


def without_edges(ink: np.ndarray) -> np.ndarray:
    """The ink without what lies along the border, such as a table or a shadow, if a character is left inside.

    In a picture cut to the character, strokes lie along the border, too; but there, what is left touches it as well.
    """
    numbers = parts(ink)
    borders = numbers[0], numbers[-1], numbers[:, 0], numbers[:, -1]
    touching = np.max([np.bincount(border, minlength=numbers.max() + 1) for border in borders], axis=0)
    longer = box_sizes(numbers).max(axis=1)
    lies_along = touching > RIM * np.minimum(longer, min(ink.shape))
    main = np.where(lies_along, 0, longer).argmax()
    if touching[main] or longer[main] < REST * max(ink.shape):
        return ink
    pen = stroke_width(numbers == main)
    edges = [part for part in np.flatnonzero(lies_along) if not _is_stroke(numbers == part, pen)]
    return ink & ~np.isin(numbers, edges)


def _is_stroke(ink: np.ndarray, pen: float) -> bool:
    """Whether ink along the border was drawn with this pen, and is no frame all around: then the picture was cut."""
    all_around = all(border.any() for border in (ink[0], ink[-1], ink[:, 0], ink[:, -1]))
    return not all_around and ALIKE * pen < stroke_width(ink) < pen / ALIKE


def without_specks(ink: np.ndarray) -> np.ndarray:
    """The ink without what is smaller than a dot of the pen."""
    numbers = parts(ink)
    areas = np.bincount(numbers.ravel())
    areas[0] = 0
    pen = stroke_width((areas > areas.max() / 20)[numbers])
    is_dot = areas >= max(DUST * pen**2, 4)
    found = np.count_nonzero(is_dot)
    if not found:
        raise _NoCharacterError("there are only specks")
    if found > PIECES:
        raise _NoCharacterError(f"there are {found} marks")
    return is_dot[numbers]


def close_up(picture: Image.Image, ink: np.ndarray) -> Image.Image | None:
    """The part of the picture about the ink found on a smaller copy of it; None where the copy shows it well."""
    scale = max(picture.size) / max(ink.shape)
    (top, left), size = extent(ink)
    if scale <= 1 or max(size) >= FAR * max(ink.shape):
        return None
    around = 0.6 * max(size)
    corners = np.array([left - around, top - around, left + size[1] + around, top + size[0] + around]) * scale
    limits = np.array([*picture.size, *picture.size])
    x0, y0, x1, y1 = np.clip(np.rint(corners), 0, limits).astype(int).tolist()
    return picture.crop((x0, y0, x1, y1))


def with_usual_pen(ink: np.ndarray) -> np.ndarray:
    """The ink on a page of Omniglot's proportions, and if its pen is not like Omniglot's, redrawn: (S, S) float32.

    Strokes that are too thin are thickened; those that are too thick are thinned to lines first.
    """
    pen = stroke_width(ink)
    pens = pen / max(extent(ink)[1]) / PEN
    if TOO_THIN <= pens <= TOO_THICK:
        return _on_page(ink.astype(np.float32), min(max(ink.shape), PAGE * pen))
    if pens > TOO_THICK:
        ink, pen = _lines(ink, pen), 1.0
    between = max(extent(ink)[1]) - pen  # the middles of the outermost strokes; the character is one pen larger
    new_pen = max(PEN / (1 - PEN) * between, LEAST_PEN)
    reach = int(np.ceil(new_pen))
    return _on_page(thickened(np.pad(ink, reach), (new_pen - pen) / 2), PAGE * new_pen)


def _lines(ink: np.ndarray, pen: float) -> np.ndarray:
    """The middle lines of the strokes, at a scale at which they are LINES pixels high or wide."""
    (top, left), (height, width) = extent(ink)
    scale, rim = LINES / max(height, width), int(np.ceil(pen))
    whole = np.pad(ink[top : top + height, left : left + width], rim).astype(np.float32)
    shape = [max(1, round(scale * length)) for length in whole.shape]
    smooth = blurred(resampled(whole, shape), max(0.5, scale * pen / 8)) > 0.5  # a rough outline makes branches
    return pruned(middle_lines(smooth), int(scale * pen / 2))


def _on_page(ink: np.ndarray, page: float) -> np.ndarray:
    """The ink in the middle of a square page of so many pixels, or as many as it needs."""
    (top, left), size = extent(ink > 0)
    side = max(*size, round(page))
    sheet = np.zeros((side, side), np.float32)
    y, x = ((side - length) // 2 for length in size)
    sheet[y : y + size[0], x : x + size[1]] = ink[top : top + size[0], left : left + size[1]]
    return sheet
