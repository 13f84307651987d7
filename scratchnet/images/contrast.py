"""Find the ink in a picture of any colours under any light, by how far it departs from the paper around it."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image

from scratchnet.images.resize import resize_matrix
from scratchnet.images.strokes import grown

SEARCHED = 100  # pixels: the longer side of the copy in which the paper is estimated
RIM = 1  # pixels of that copy
FEW = 0.1  # of the pixels of a cell
GRID = 32  # at most this many points a side: coarse, because light changes slowly
WINDOWS = (1 / 2, 1)  # as shares of the picture; windows this large are mostly paper
NEAR = 1 / 6  # of the picture: the window once the ink is known and painted over
CELLS = 12  # grid points across a window
DARKEST = 0.05  # lower bound on the paper, so that noise on black does not pass for ink
FAINTEST = 0.06  # of the light of the paper: ink departs by more than this
CLEAR = 4.0  # standard deviations of the noise: ink departs by more than this
TRACE = 0.35  # of the threshold: faint ink departs by more than this
SHARPEST = 100.0  # the clarity of pure black and white
NOISE = 0.08  # of the departure of ink: less noise than this does no harm


class Contrast(NamedTuple):
    """Ink and paper, separated by their departure from the colour of the paper.

    departure: (H, W). threshold: the departure that separates them. ink: the mean departure of the ink. noise: the
    standard deviation of the paper. clarity: the distance between the two, relative to their spreads.
    """

    departure: np.ndarray
    threshold: float
    ink: float
    noise: float
    clarity: float

    @property
    def is_ink(self) -> np.ndarray:
        """Where the ink is: (H, W) bool."""
        return self.departure > self.threshold

    @property
    def is_faint_ink(self) -> np.ndarray:
        """Where there is at least a trace of ink that cannot be noise: (H, W) bool."""
        return self.departure > max(TRACE * self.threshold, min(CLEAR * self.noise, self.threshold))


class View(NamedTuple):
    """How to tell ink from paper: the paper on a grid (3, h, w), the direction `along` (3,) in which ink departs from
    it, and whether in the negative.
    """

    paper: np.ndarray
    along: np.ndarray
    is_negative: bool

    @classmethod
    def of(cls, colours: np.ndarray, paper: np.ndarray, is_negative: bool = False) -> "View":
        """The view of a picture (3, H, W) on this paper along the direction in colour space in which it departs most.

        Ink need not be darker: red on green is not. The sign is the one in which few pixels depart far, because most of
        the picture is paper, so ink may be lighter.
        """
        away = _departures(colours, paper, is_negative).reshape(3, -1)
        moments = (away * (away * away).sum(axis=0)) @ away.T
        along = np.linalg.eigh(moments)[1][:, -1] / np.float32(np.sqrt(3))
        return cls(paper, along * np.sign(_skew(along @ away)), is_negative)

    def departure(self, colours: np.ndarray) -> np.ndarray:
        """How far each pixel departs from its paper towards ink: (H, W), 0 for paper and 1 for black ink on any paper.

        Departures are relative to the light of the paper (in the negative, to its darkness), so that ink departs as far
        in the shade.
        """
        return np.tensordot(self.along, _departures(colours, self.paper, self.is_negative), axes=1)

    def refined(self, colours: np.ndarray) -> "View":
        """The view of a small picture (3, H, W) with its paper estimated again, without the ink that it shows."""
        ink = tell_apart(self.departure(colours)).is_ink
        return View.of(colours, paper_without(ink, colours, self.paper), self.is_negative)


def best_contrast(picture: Image.Image) -> Contrast:
    """Separate ink and paper of a picture of mode RGB, in the view that shows them most clearly.

    The view is found in a copy of SEARCHED pixels, because light changes slowly.
    """
    small = as_array(_shrunk(picture, SEARCHED))
    best = max(_views(small), key=lambda view: tell_apart(view.departure(small)).clarity)
    return smoothed(tell_apart(best.departure(as_array(picture))))


def _views(colours: np.ndarray) -> Iterator[View]:
    """Several views of a small picture (3, H, W), for `best_contrast` to choose from.

    Large windows are mostly paper even where a broad pen leaves little of it; small ones follow the edge of a shadow.
    If the ink is lighter than the paper, the negative is tried as well, because noise is large relative to dark paper
    but small relative to light paper.
    """
    for window in WINDOWS:
        paper = local_paper(colours, window)
        yield View.of(colours, paper).refined(colours).refined(colours)
        if _skew(colours - resampled(paper, colours.shape[1:])) > 0:
            yield View.of(colours, paper, is_negative=True).refined(colours).refined(colours)


def local_paper(colours: np.ndarray, window: float) -> np.ndarray:
    """The median around every point of a grid, (3, h, w), over windows that measure `window` times the picture."""
    return _medians(_on_grid(colours, round(CELLS / window)), window)


def _medians(cells: np.ndarray, window: float) -> np.ndarray:
    """The median around each of the cells (3, h, w) that cover a picture."""
    h, w = (int(window * length / 2) for length in cells.shape[1:])
    padded = np.pad(cells, ((0, 0), (h, h), (w, w)), mode="symmetric")
    around = sliding_window_view(padded, (2 * h + 1, 2 * w + 1), axis=(1, 2)).reshape(*cells.shape, -1)
    middle = around.shape[-1] // 2
    return np.partition(around, middle)[..., middle]


def _departures(colours: np.ndarray, paper: np.ndarray, is_negative: bool) -> np.ndarray:
    """How far a picture (3, H, W) departs from its paper in each colour, relative to the paper's light or darkness."""
    paper = resampled(paper, colours.shape[1:])
    return (colours - paper) / np.maximum(1 - paper if is_negative else paper, DARKEST)


def _skew(values: np.ndarray) -> float:
    return float((values * values * values).sum())


def tell_apart(departure: np.ndarray) -> Contrast:
    """Separate ink and paper by the threshold half-way between their means (Ridler and Calvard 1978).

    The iteration starts from above, at half the departure of the strongest ink. The threshold of Otsu (1979) satisfies
    the same equation but weights both classes by size, so that it splits the paper if little is drawn.
    """
    ordered = np.sort(departure, axis=None)
    most = ordered[-max(1, departure.size // 1000) :].mean()
    if most < FAINTEST:  # a character that is far away covers even less
        most = ordered[-max(1, departure.size // 10_000) :].mean()
    if most < FAINTEST or ordered[0] > most / 2:
        return Contrast(departure, most, ink=0.0, noise=0.0, clarity=0.0)
    threshold, before = most / 2, np.inf
    while threshold < before:
        paper, ink = np.split(ordered, [np.searchsorted(ordered, threshold, side="right")])
        threshold, before = max(0.0, (ink.mean() + paper.mean()) / 2), threshold
    noise = (paper[3 * len(paper) // 4] - paper[len(paper) // 4]) / 1.349  # interquartile range to standard deviation
    return Contrast(departure, float(before), float(ink.mean()), float(noise), clarity(ink, paper))


def clarity(ink: np.ndarray, paper: np.ndarray) -> float:
    """The distance between the mean departures of ink and paper, relative to their spreads."""
    apart = ink.mean() - paper.mean()
    return float(apart / (ink.std() + paper.std() + apart / SHARPEST))


def paper_without(ink: np.ndarray, colours: np.ndarray, paper: np.ndarray) -> np.ndarray:
    """Estimate the paper (3, h, w) again, from pixels without ink; where there are few, the current `paper` counts.

    A median, unlike a mean, preserves the edge of a shadow.
    """
    clear = ~grown(ink, RIM)
    weights, weighted = _on_grid(clear.astype(np.float32), GRID), _on_grid(colours * clear, GRID)
    return _medians((weighted + FEW * resampled(paper, weights.shape)) / (weights + FEW), NEAR)


def smoothed(contrast: Contrast) -> Contrast:
    """Blur noise away if there is too much: a Gaussian of s pixels leaves 0.28 / s of it. Clear ink stays sharp."""
    if contrast.noise <= NOISE * contrast.ink:
        return contrast
    sigma = 0.28 * contrast.noise / (NOISE * contrast.ink)
    return tell_apart(blurred(contrast.departure, min(sigma, 2.0)))


def ink_above_noise(contrast: Contrast) -> np.ndarray:
    """The ink that rises above the local noise, (H, W) bool: in a dim corner, noise is large relative to the light."""
    some = np.s_[::2, ::2]  # every fourth pixel says enough about the noise
    noise = np.sqrt(_spread(contrast.departure[some] ** 2, ~grown(contrast.is_ink, 2)[some]))
    return contrast.departure > resampled(np.maximum(contrast.threshold, CLEAR * noise), contrast.departure.shape)


def _spread(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Extend the values (H, W) at `where` to a smooth surface everywhere, on a grid (h, w)."""
    weights, weighted = _on_grid(np.stack([where, values * where]), GRID)
    mean = weighted.sum() / weights.sum() if weights.any() else values.mean()
    sigma, far = GRID / 12, 1e-3  # far from all of them, the mean prevails
    return (blurred(weighted, sigma) + far * mean) / (blurred(weights, sigma) + far)


def _on_grid(values: np.ndarray, points: int) -> np.ndarray:
    """Values (..., H, W) averaged over the cells of a grid of at most `points` points a side."""
    scale = min(1.0, points / max(values.shape[-2:]))
    return resampled(values, [max(1, round(scale * length)) for length in values.shape[-2:]])


def resampled(values: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Values (..., H, W), float32, resized to `shape`; antialiased when shrinking."""
    rows, columns = (_weights(*sizes) for sizes in zip(values.shape[-2:], shape, strict=True))
    return rows @ values @ columns.T


@lru_cache(maxsize=32)
def _weights(size_in: int, size_out: int) -> np.ndarray:
    return resize_matrix(size_in, size_out).astype(np.float32)


def _shrunk(picture: Image.Image, side: int, how: Image.Resampling = Image.Resampling.BOX) -> Image.Image:
    scale = min(1.0, side / max(picture.size))
    width, height = (max(1, round(scale * length)) for length in picture.size)
    return picture.resize((width, height), how)


def as_array(picture: Image.Image) -> np.ndarray:
    """The colours (3, H, W), float32 from 0 to 1, of a picture of mode RGB."""
    return np.multiply(np.asarray(picture).transpose(2, 0, 1), np.float32(1 / 255), order="C")


def blurred(values: np.ndarray, sigma: float) -> np.ndarray:
    """Values (H, W) blurred by a Gaussian of `sigma` pixels; border values are repeated outside."""
    reach = int(np.ceil(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(values, reach, mode="edge")
    rows = sliding_window_view(padded, len(kernel), axis=0) @ kernel
    return sliding_window_view(rows, len(kernel), axis=1) @ kernel


def share_between(picture: Image.Image, side: int = 64) -> float:
    """The share of the pixels that are neither as light as the paper around them nor as dark as ink, or the reverse.

    Looked at in a copy of `side` pixels. Drawings have few such pixels, at the edges of their strokes; photos of things
    have many.
    """
    colours = as_array(_shrunk(picture, side, Image.Resampling.BILINEAR))
    away = View.of(colours, local_paper(colours, 1)).departure(colours)
    most = np.sort(away, axis=None)[-max(1, away.size // 50) :].mean()
    return float(np.mean((np.abs(away) > most / 4) & (away < 3 * most / 4)))
