"""Turn a photo or a scan of one character into clean ink, the input of a network that frames the ink.

Omniglot's drawings are black on white, all drawn with the same pen. A user's picture may be dark on light or light on
dark, in any colours, unevenly lit and noisy, and drawn with any pen. The steps are:

1.  `to_working_size`: shrink a large picture, enlarge a tiny one. Steps 2 to 5 look at a still smaller copy first.
2.  `contrast.local_paper`: estimate the colour of the paper everywhere as the median of the surroundings.
3.  `contrast.View`: measure how far each pixel departs from its paper, relative to it, in the direction of colour in
    which few pixels depart far. Those are ink: darker or lighter, whichever is rarer.
4.  `contrast.tell_apart`: ink departs more than half as far as ink does on average.
5.  `contrast.paper_without`: repeat from 3 twice, with paper estimated from the pixels that are not ink.
6.  `contrast.smoothed`: blur the noise away if there is too much of it. Refuse a picture without contrast.
7.  `contrast.ink_above_noise`: in a dim corner, ink must rise above the local noise.
8.  `without_ruling`: remove printed lines, boxes and frames; then, with `without_edges` and `without_specks`, the edge
    of the table and dust, but not the dot on an i.
9.  `close_up`: if the character is small in a large picture, start again with the part around it.
10. `with_usual_pen`: redraw a character whose pen is far thinner or thicker than Omniglot's.

A picture that is clean already, as Omniglot's drawings are, comes out unchanged.
"""

import numpy as np
from PIL import Image

from scratchnet.backend import one_blas_thread
from scratchnet.errors import DataError
from scratchnet.images.contrast import CLEAR, FAINTEST, best_contrast, blurred, clarity, ink_above_noise, resampled
from scratchnet.images.pictures import Source, name_of, read_colours
from scratchnet.images.ruling import MANY, without_ruling
from scratchnet.images.strokes import box_sizes, extent, grown, middle_lines, parts, pruned, stroke_width, thickened

LARGEST, SMALLEST = 400, 100  # pixels: the working size of the longer side
OUTLINED = 2.4  # clarity; strokes out of focus have 2.5, light that fades across a blank page 2 to 2.7
RIM = 0.5  # of a part's length, or of a side: a part that follows the border for longer was not drawn
REST = 0.1  # of the longer side: the least size of what remains without such parts
ALIKE = 0.75  # ratio of stroke widths, thinner to thicker, that count as one pen
DUST = 0.3  # of the squared width of the pen: the least area of a dot
PIECES = 30  # the most parts of a character
FAR = 0.25  # of the picture: smaller characters are enlarged
PEN = 0.075  # of the longer side of a character: Omniglot's pen, 0.067 to 0.088 in half of its drawings
TOO_THIN, TOO_THICK = 2 / 3, 7 / 4  # of PEN: pens outside this range are replaced, in 3 % of its drawings
PAGE = 20  # widths of the pen: the side of Omniglot's page
LEAST_PEN = 4  # pixels: used to draw a dot
LINES = 180  # pixels: the longer side of a character while it is thinned


class _NoCharacterError(Exception):
    """A picture shows no character; the message says why."""


def read_character(source: Source, *, name: str = "") -> np.ndarray:
    """Read the one character in a picture as ink (H, W), float32, ink 1 and paper 0, whatever the pen and the paper.

    source: a path, the bytes of a file, an open binary file or a Pillow image. name: what to call it in error messages.
    Raises DataError if the picture cannot be read (as `read_image`), or if it shows no character.
    """
    name = name or name_of(source)
    picture = read_colours(source, name=name, enough=LARGEST)
    try:
        with one_blas_thread():  # for products as small as these
            ink, seen = find_character(to_working_size(picture))
            if near := close_up(source, picture, ink, name):
                ink, seen = find_character(to_working_size(near), many=1)  # there, no stroke spans the picture
        if seen < OUTLINED:
            raise _NoCharacterError("there is only light and shade, without an outline")
    except _NoCharacterError as why:
        raise DataError(
            f"{name} shows no character, {why}: give a picture of one, dark on light or light on dark"
        ) from None
    return with_usual_pen(ink)


def to_working_size(picture: Image.Image) -> Image.Image:
    """The picture at a size at which each step takes milliseconds and lines are a few pixels wide."""
    longer = max(picture.size)
    scale = LARGEST / longer if longer > LARGEST else float(np.ceil(SMALLEST / longer))
    if scale == 1:
        return picture
    width, height = (max(1, round(scale * length)) for length in picture.size)
    how = Image.Resampling.BILINEAR if scale < 1 else Image.Resampling.BICUBIC  # antialiased when shrinking
    return picture.resize((width, height), how)


def find_character(picture: Image.Image, many: int = MANY) -> tuple[np.ndarray, float]:
    """Steps 2 to 8: the ink of the character, (H, W) bool, and its clarity; `many` parallel lines are ruling."""
    contrast = best_contrast(picture)
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
    return without_specks(without_edges(parts(drawn))), seen


def without_edges(numbers: np.ndarray) -> np.ndarray:
    """The parts (H, W), by number, without those along the border, such as a table or a shadow, if any are left inside.

    In a picture cropped to the character, strokes also follow the border; but there, the others touch it as well.
    """
    borders = numbers[0], numbers[-1], numbers[:, 0], numbers[:, -1]
    touching = np.max([np.bincount(border, minlength=numbers.max() + 1) for border in borders], axis=0)
    longer = box_sizes(numbers).max(axis=1)
    lies_along = touching > RIM * np.minimum(longer, min(numbers.shape))
    main = np.where(lies_along, 0, longer).argmax()
    if touching[main] or longer[main] < REST * max(numbers.shape):
        return numbers
    pen = stroke_width(numbers == main)
    left = np.arange(len(longer))
    left[[part for part in np.flatnonzero(lies_along) if not _is_stroke(numbers == part, pen)]] = 0
    return left[numbers]


def _is_stroke(ink: np.ndarray, pen: float) -> bool:
    """Whether ink along the border was drawn with this pen and does not form a frame: then the picture is cropped."""
    all_around = all(border.any() for border in (ink[0], ink[-1], ink[:, 0], ink[:, -1]))
    return not all_around and ALIKE * pen < stroke_width(ink) < pen / ALIKE


def without_specks(numbers: np.ndarray) -> np.ndarray:
    """The ink (H, W) bool of the parts, given by number, that are at least as large as a dot of the pen."""
    areas = np.bincount(numbers.ravel())
    areas[0] = 0
    pen = stroke_width((areas > areas.max() / 20)[numbers])
    is_dot = areas >= max(DUST * pen**2, 4)
    dots = np.count_nonzero(is_dot)
    if not dots:
        raise _NoCharacterError("there are only specks")
    if dots > PIECES:
        raise _NoCharacterError(f"there are {dots} marks")
    return is_dot[numbers]


def close_up(source: Source, picture: Image.Image, ink: np.ndarray, name: str) -> Image.Image | None:
    """The part of the picture around the ink found in a smaller copy, or None if the copy shows it well enough.

    What was perhaps decoded at a fraction of its size is decoded again, so that this part has its pixels.
    """
    (top, left), size = extent(ink)
    if max(size) >= FAR * max(ink.shape) or max(picture.size) < LARGEST:
        return None
    around = 0.6 * max(size)
    corners = np.array([left - around, top - around, left + size[1] + around, top + size[0] + around])
    if max(picture.size) < 4 * LARGEST:  # as is an eighth of almost any JPEG
        picture = read_colours(source, name=name, enough=LARGEST * max(ink.shape) // (max(size) + 2 * round(around)))
    scale = max(picture.size) / max(ink.shape)
    x0, y0, x1, y1 = np.clip(np.rint(corners * scale), 0, [*picture.size, *picture.size]).astype(int).tolist()
    return picture.crop((x0, y0, x1, y1)) if scale > 1 else None


def with_usual_pen(ink: np.ndarray) -> np.ndarray:
    """Place the ink (H, W) bool on a page of Omniglot's proportions, redrawn if the pen differs: (S, S) float32.

    Strokes that are too thin are thickened; strokes that are too thick are first thinned to lines.
    """
    (top, left), (height, width) = extent(ink)
    pen, page = stroke_width(ink), max(ink.shape)
    ink = ink[top : top + height, left : left + width]
    pens = pen / max(ink.shape) / PEN
    if TOO_THIN <= pens <= TOO_THICK:
        return _on_page(ink.astype(np.float32), min(page, PAGE * pen))
    if pens > TOO_THICK:
        ink, pen = _lines(ink, pen), 1.0
    between = max(extent(ink)[1]) - pen  # between the middles of the outermost strokes; the character is one pen larger
    new_pen = max(PEN / (1 - PEN) * between, LEAST_PEN)
    reach = int(np.ceil(new_pen))
    return _on_page(thickened(np.pad(ink, reach), (new_pen - pen) / 2), PAGE * new_pen)


def _lines(ink: np.ndarray, pen: float) -> np.ndarray:
    """The centre lines of ink cut to its extent, scaled so that the character is LINES pixels high or wide."""
    scale, rim = LINES / max(ink.shape), int(np.ceil(pen))
    whole = np.pad(ink, rim).astype(np.float32)
    shape = [max(1, round(scale * length)) for length in whole.shape]
    smooth = blurred(resampled(whole, shape), max(0.5, scale * pen / 8)) > 0.5  # a rough outline would cause branches
    return pruned(middle_lines(smooth), int(scale * pen / 2))


def _on_page(ink: np.ndarray, page: float) -> np.ndarray:
    """The ink in the middle of a square page of `page` pixels a side, or more if it needs them."""
    (top, left), size = extent(ink > 0)
    side = max(*size, round(page))
    sheet = np.zeros((side, side), np.float32)
    y, x = ((side - length) // 2 for length in size)
    sheet[y : y + size[0], x : x + size[1]] = ink[top : top + size[0], left : left + size[1]]
    return sheet
