"""A photo or a scan of one character as clean ink: what a network that frames the ink reads.

A drawing of Omniglot is black on white, and one pen has drawn all of them. A user's own picture is dark on light or
light on dark, in colours, under uneven light, with noise, and drawn with any pen. In order:

1.  `to_working_size`: a large picture is made smaller, a tiny one larger.
2.  `local_paper`: the colour of the paper is the median of the surroundings, everywhere.
3.  `departure`: every pixel departs from its paper, in the direction of colours in which ink does, by a share of it.
4.  `tell_apart`: ink is what departs more than half as far as ink does on average. No contrast, no character.
5.  `paper_without`: once more, with the paper measured where there is no ink.
6.  `smoothed`: noise is blurred away as far as it is in the way.
7.  `ink_by_light`: ink in the shadow departs less than ink in the light: the threshold follows.
8.  `without_edges`, `without_specks`: the rim of the table goes, and the dust, but not the dot on an i.
9.  `close_up`: a character that is small in a large picture is looked at again, from near.
10. `with_usual_pen`: a pen far thinner or thicker than Omniglot's is replaced by that one.

What is clean already, as Omniglot's drawings are, comes out as it went in.
"""

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image

from scratchnet.errors import DataError
from scratchnet.images import name_of, read_colours
from scratchnet.strokes import grown, middle_lines, parts, pruned, stroke_width, thickened

LARGEST, SMALLEST = 400, 100    # pixels of the longer side, to work with
GRID = 32                       # pixels of the longer side on which light is looked at: it changes slowly
WINDOWS = (1 / 2, 1)            # of the picture, in which paper is what there is most of
DARKEST = 0.05                  # a paper below counts as this, so that noise on black is not taken for ink
CONTRAST = 0.06                 # ink departs from its paper by this share at least,
CLEAR = 4.0                     # and by so many standard deviations of the noise
NOISE = 0.08                    # of the contrast: what is in nobody's way
RIM = 0.4                       # of the shorter side: what lies along the border for longer was not drawn
REST = 0.1                      # of the longer side: the least that has to be left without it
DUST = 0.3                      # of a pen's width squared: what covers less is no dot
PIECES = 30                     # in how many a character may be
FAR = 0.4                       # of the picture: what is smaller is looked at from near
PEN = 0.075                     # of the character's longer side: Omniglot's pen; 0.067 to 0.088 in half its drawings
TOO_THIN, TOO_THICK = 2 / 3, 3 / 2  # of that: a pen beyond is replaced
PAGE = 20                       # pens: the side of Omniglot's page
LEAST_PEN = 4                   # pixels: what a dot is drawn with
LINES = 180                     # pixels of the longer side of what is thinned


class _NoCharacterError(Exception):
    """Why there is no character in a picture."""


class Contrast(NamedTuple):
    """Ink and paper by their departure from the paper's colour, (H, W).

    threshold: between them. ink: how far ink departs on average. noise: the standard deviation of the paper.
    clarity: how far apart they are, in their own widths.
    """

    departure: np.ndarray
    threshold: float
    ink: float
    noise: float
    clarity: float

    @property
    def is_ink(self) -> np.ndarray:
        return self.departure > self.threshold


def read_character(source: Path | str | BinaryIO | Image.Image, name: str = "") -> np.ndarray:
    """The one character in a picture, (H, W) float32: ink 1 and paper 0, whatever it was drawn with, and on what.

    Raises DataError when the picture cannot be read (as `read_image`), and when it shows no character.
    """
    picture = read_colours(source, name)
    try:
        ink = find_character(to_working_size(picture))
        if near := close_up(picture, ink):
            ink = find_character(to_working_size(near))
    except _NoCharacterError as why:
        raise DataError(f"{name or name_of(source)} shows no character: {why}, expected one, dark on light or light on "
                        "dark") from None
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


def find_character(picture: Image.Image) -> np.ndarray:
    """Where the ink of the character is: (H, W) bool. Steps 2 to 8."""
    colours = np.asarray(picture, np.float32) / 255
    contrast = smoothed(max((_seen_in(colours, window) for window in WINDOWS), key=lambda found: found.clarity))
    if contrast.ink < CONTRAST:
        raise _NoCharacterError("nothing stands out from the paper")
    if contrast.ink < CLEAR * contrast.noise:
        raise _NoCharacterError("nothing stands out from the noise")
    return without_specks(without_edges(ink_by_light(contrast)))


def _seen_in(colours: np.ndarray, window: float) -> Contrast:
    """Steps 2 to 5, for one size of the surroundings.

    Large ones are still mostly paper where a broad pen leaves little of it; small ones follow the edge of a shadow.
    """
    paper = local_paper(colours, window)
    if _skew(colours - paper) > 0:  # ink is what there is less of, and here it is the lighter
        colours, paper = 1 - colours, 1 - paper
    first = tell_apart(departure(colours, paper))
    return tell_apart(departure(colours, paper_without(first.is_ink, colours)))


def local_paper(colours: np.ndarray, window: float) -> np.ndarray:
    """The median of the surroundings of every pixel (H, W, 3), which are `window` pictures high and wide."""

    def median(channel: np.ndarray) -> np.ndarray:
        small = _on_grid(channel)
        h, w = (int(window * length / 2) for length in small.shape)
        padded = np.pad(small, ((h, h), (w, w)), mode="symmetric")
        medians = np.median(sliding_window_view(padded, (2 * h + 1, 2 * w + 1)), axis=(2, 3))
        return _resampled(medians, channel.shape)

    return _by_channel(median, colours)


def departure(colours: np.ndarray, paper: np.ndarray) -> np.ndarray:
    """How far each pixel departs from its paper towards ink: (H, W), paper 0, and 1 for black ink on white.

    By a share of the paper's light: so ink departs as far in the shadow. And in one direction of the three colours,
    that of the largest departures: so ink need not be darker, as red on green is not.
    """
    away = 1 - colours / np.maximum(paper, DARKEST)                                         # (H, W, 3)
    flat = away.reshape(-1, 3)
    moments = (flat * (flat * flat).sum(axis=1, keepdims=True)).T @ flat
    along: np.ndarray = away @ np.linalg.eigh(moments)[1][:, -1] / np.sqrt(3)
    return -along if _skew(along) < 0 else along


def tell_apart(departure: np.ndarray) -> Contrast:
    """Ink and paper by the threshold half-way between their means (Ridler and Calvard 1978).

    Found from above: half as much as the ink that departs most. The threshold of Otsu (1979) satisfies the same
    equation, but weighs both classes by their size, and where little is drawn it divides the paper.
    """
    most = np.sort(departure, axis=None)[-max(1, departure.size // 1000) :].mean()
    if most <= 0:
        return Contrast(departure, 0.0, 0.0, 0.0, 0.0)
    threshold, before = most / 2, np.inf
    while threshold < before:
        is_ink = departure > threshold
        ink, paper = departure[is_ink], departure[~is_ink]
        threshold, before = (ink.mean() + paper.mean()) / 2, threshold
    noise = 1.4826 * np.median(np.abs(paper - np.median(paper)))  # the median departure, as a standard deviation
    clarity = (ink.mean() - paper.mean()) / (ink.std() + paper.std() + 1e-6)
    return Contrast(departure, float(before), float(ink.mean()), float(noise), float(clarity))


def paper_without(ink: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """The colour of the paper everywhere, (H, W, 3), from where there is no ink, nor any blurred rim of it."""
    is_paper = ~grown(ink, 2)
    return _by_channel(lambda channel: _spread(channel, is_paper), colours)


def smoothed(contrast: Contrast) -> Contrast:
    """The contrast with the noise blurred away: a Gaussian of s pixels leaves 0.28 / s of it. Clear ink stays sharp."""
    noise = contrast.noise / contrast.ink
    if noise <= NOISE:
        return contrast
    return tell_apart(_blurred(contrast.departure, min(2.0, 0.28 * noise / NOISE)))


def ink_by_light(contrast: Contrast) -> np.ndarray:
    """What departs at least half as far as the ink around it: (H, W) bool."""
    ink = _spread(contrast.departure, contrast.is_ink)
    noise = np.sqrt(np.maximum(_spread(contrast.departure**2, ~contrast.is_ink), 0))
    return contrast.departure > np.maximum(ink / 2, CLEAR * noise)


def without_edges(ink: np.ndarray) -> np.ndarray:
    """The ink without what lies along the border, a table or a shadow, if something is left then.

    A character may touch the border, and in a picture cut to it some do along a whole side.
    """
    numbers = parts(ink)
    border = np.concatenate([numbers[0], numbers[-1], numbers[:, 0], numbers[:, -1]])
    at_border = np.bincount(border, minlength=numbers.max() + 1)
    inside = ink & (at_border <= RIM * min(ink.shape))[numbers]
    return inside if inside.any() and max(_box(inside)[1]) >= REST * max(ink.shape) else ink


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
        raise _NoCharacterError(f"it is in {found} pieces")
    return is_dot[numbers]


def close_up(picture: Image.Image, ink: np.ndarray) -> Image.Image | None:
    """The part of the picture about the ink found on a smaller copy of it; None where the copy shows it well."""
    scale = max(picture.size) / max(ink.shape)
    (top, left), size = _box(ink)
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
    pens = pen / max(_box(ink)[1]) / PEN
    if TOO_THIN <= pens <= TOO_THICK:
        return _on_page(ink.astype(np.float32), min(max(ink.shape), PAGE * pen))
    if pens > TOO_THICK:
        ink, pen = _lines(ink, pen), 1.0
    between = max(_box(ink)[1]) - pen  # the middles of the outermost strokes; the character is one pen larger
    new_pen = max(PEN / (1 - PEN) * between, LEAST_PEN)
    reach = int(np.ceil(new_pen))
    return _on_page(thickened(np.pad(ink, reach), (new_pen - pen) / 2), PAGE * new_pen)


def _lines(ink: np.ndarray, pen: float) -> np.ndarray:
    """The middle lines of the strokes, at a scale at which they are LINES pixels high or wide."""
    (top, left), (height, width) = _box(ink)
    scale, rim = LINES / max(height, width), int(np.ceil(pen))
    whole = np.pad(ink[top : top + height, left : left + width], rim).astype(np.float32)
    shape = [max(1, round(scale * length)) for length in whole.shape]
    smooth = _blurred(_resampled(whole, shape), max(0.5, scale * pen / 8)) > 0.5  # a rough outline makes branches
    return pruned(middle_lines(smooth), int(scale * pen / 2))


def _on_page(ink: np.ndarray, page: float) -> np.ndarray:
    """The ink in the middle of a square page of so many pixels, or as many as it needs."""
    (top, left), size = _box(ink > 0)
    side = max(*size, round(page))
    sheet = np.zeros((side, side), np.float32)
    y, x = ((side - length) // 2 for length in size)
    sheet[y : y + size[0], x : x + size[1]] = ink[top : top + size[0], left : left + size[1]]
    return sheet


def _box(ink: np.ndarray) -> tuple[tuple[int, int], tuple[int, int]]:
    """Where the ink begins, (row, column), and its height and width."""
    rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
    return (int(rows[0]), int(columns[0])), (int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1)


def _skew(departure: np.ndarray) -> float:
    """To which side the few depart far from the many, who depart a little to both."""
    return float((departure * departure * departure).sum())


def _by_channel(function: Callable[[np.ndarray], np.ndarray], colours: np.ndarray) -> np.ndarray:
    return np.stack([function(colours[..., channel]) for channel in range(3)], axis=2)


def _spread(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """The values (H, W) at the places `where`, as a smooth surface everywhere."""
    mean = values[where].mean() if where.any() else values.mean()
    weights, weighted = _on_grid(where.astype(np.float32)), _on_grid(np.where(where, values, 0))
    sigma, far = GRID / 12, 1e-3  # far from all of them the mean counts
    surface = (_blurred(weighted, sigma) + far * mean) / (_blurred(weights, sigma) + far)
    return _resampled(surface, values.shape)


def _on_grid(values: np.ndarray) -> np.ndarray:
    """Values (H, W) on a grid of at most GRID points a side, each the mean of its cell."""
    scale = min(1.0, GRID / max(values.shape))
    return _resampled(values, [max(1, round(scale * length)) for length in values.shape], Image.Resampling.BOX)


def _resampled(
    values: np.ndarray, shape: tuple[int, ...] | list[int], how: Image.Resampling = Image.Resampling.BICUBIC
) -> np.ndarray:
    height, width = shape
    return np.asarray(Image.fromarray(values.astype(np.float32)).resize((width, height), how))


def _blurred(values: np.ndarray, sigma: float) -> np.ndarray:
    """Values (H, W) blurred by a Gaussian, with those at the border repeated outside."""
    reach = int(np.ceil(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(values, reach, mode="edge")
    rows = sliding_window_view(padded, len(kernel), axis=0) @ kernel
    return sliding_window_view(rows, len(kernel), axis=1) @ kernel
