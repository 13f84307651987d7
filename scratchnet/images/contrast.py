"""Find the ink in a picture of any colours under any light, by how far it departs from the paper around it."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image

from scratchnet.images.strokes import grown

GRID = 40  # at most this many points a side: coarse, because light changes slowly
WINDOWS = (1 / 2, 1)  # as shares of the picture; windows this large are mostly paper
NEAR = 1 / 6  # of the picture: the window once the ink is known and painted over
CELLS = 16  # grid points across a window
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


def best_contrast(colours: np.ndarray) -> Contrast:
    """Separate ink and paper of a picture (H, W, 3), float from 0 to 1, in the view that shows them most clearly."""
    return smoothed(max(_views(colours), key=lambda view: view.clarity))


def _views(colours: np.ndarray) -> Iterator[Contrast]:
    """Separate ink and paper in several ways, for `best_contrast` to choose from.

    Large windows are mostly paper even where a broad pen leaves little of it; small ones follow the edge of a shadow.
    If the ink is lighter than the paper, the negative is tried as well, because noise is large relative to dark paper
    but small relative to light paper.
    """
    for window in WINDOWS:
        paper = local_paper(colours, window)
        yield _with_better_paper(colours, paper)
        lighter = colours - paper
        if (lighter * lighter * lighter).sum() > 0:
            yield _with_better_paper(1 - colours, 1 - paper)


def _with_better_paper(colours: np.ndarray, paper: np.ndarray) -> Contrast:
    """Separate ink and paper, and refine the estimate of the paper twice by excluding the ink found so far."""
    contrast = tell_apart(departure(colours, paper))
    for _ in range(2):
        paper = paper_without(contrast.is_ink, colours, paper)
        contrast = tell_apart(departure(colours, paper))
    return contrast


def local_paper(colours: np.ndarray, window: float) -> np.ndarray:
    """The median (H, W, 3) around every pixel, over windows that measure `window` times the picture."""

    def median(channel: np.ndarray) -> np.ndarray:
        small = _on_grid(channel, min(GRID, round(CELLS / window)))
        h, w = (int(window * length / 2) for length in small.shape)
        padded = np.pad(small, ((h, h), (w, w)), mode="symmetric")
        medians = np.median(sliding_window_view(padded, (2 * h + 1, 2 * w + 1)), axis=(2, 3))
        return resampled(medians, channel.shape)

    return _by_channel(median, colours)


def departure(colours: np.ndarray, paper: np.ndarray) -> np.ndarray:
    """How far each pixel departs from its paper towards ink: (H, W), 0 for paper and 1 for black ink on any paper.

    Departures are relative to the light of the paper, so that ink departs as far in the shade. They are measured along
    one direction in colour space, that of the largest departures, so that ink need not be darker: red on green is not.
    Its sign is the one in which few pixels depart far, because most of the picture is paper, so ink may be lighter.
    """
    away = 1 - colours / np.maximum(paper, DARKEST)  # (H, W, 3)
    flat = away.reshape(-1, 3)
    moments = (flat * (flat * flat).sum(axis=1, keepdims=True)).T @ flat
    along: np.ndarray = away @ np.linalg.eigh(moments)[1][:, -1] / np.sqrt(3)
    return -along if (along * along * along).sum() < 0 else along


def tell_apart(departure: np.ndarray) -> Contrast:
    """Separate ink and paper by the threshold half-way between their means (Ridler and Calvard 1978).

    The iteration starts from above, at half the departure of the strongest ink. The threshold of Otsu (1979) satisfies
    the same equation but weights both classes by size, so that it splits the paper if little is drawn.
    """
    ordered = np.sort(departure, axis=None)
    most = ordered[-max(1, departure.size // 1000) :].mean()
    if most < FAINTEST:  # a character that is far away covers even less
        most = ordered[-max(1, departure.size // 10_000) :].mean()
    if most < FAINTEST or departure.min() > most / 2:
        return Contrast(departure, most, ink=0.0, noise=0.0, clarity=0.0)
    threshold, before = most / 2, np.inf
    while threshold < before:
        is_ink = departure > threshold
        ink, paper = departure[is_ink], departure[~is_ink]
        threshold, before = max(0.0, (ink.mean() + paper.mean()) / 2), threshold
    noise = 1.4826 * np.median(np.abs(paper - np.median(paper)))  # median absolute deviation to standard deviation
    return Contrast(departure, float(before), float(ink.mean()), float(noise), clarity(ink, paper))


def clarity(ink: np.ndarray, paper: np.ndarray) -> float:
    """The distance between the mean departures of ink and paper, relative to their spreads."""
    apart = ink.mean() - paper.mean()
    return float(apart / (ink.std() + paper.std() + apart / SHARPEST))


def paper_without(ink: np.ndarray, colours: np.ndarray, paper: np.ndarray) -> np.ndarray:
    """Estimate the paper (H, W, 3) again, with the ink and its blurred rim painted over by the current `paper`.

    A median, unlike a mean, preserves the edge of a shadow.
    """
    painted = np.where(grown(ink, 2)[:, :, None], paper, colours)
    return local_paper(painted, NEAR)


def smoothed(contrast: Contrast) -> Contrast:
    """Blur noise away if there is too much: a Gaussian of s pixels leaves 0.28 / s of it. Clear ink stays sharp."""
    if contrast.noise <= NOISE * contrast.ink:
        return contrast
    sigma = 0.28 * contrast.noise / (NOISE * contrast.ink)
    return tell_apart(blurred(contrast.departure, min(sigma, 2.0)))


def ink_above_noise(contrast: Contrast) -> np.ndarray:
    """The ink that rises above the local noise, (H, W) bool: in a dim corner, noise is large relative to the light."""
    variance = _spread(contrast.departure**2, ~grown(contrast.is_ink, 2))
    return contrast.departure > np.maximum(contrast.threshold, CLEAR * np.sqrt(np.maximum(variance, 0)))


def _by_channel(function: Callable[[np.ndarray], np.ndarray], colours: np.ndarray) -> np.ndarray:
    return np.stack([function(colours[..., channel]) for channel in range(3)], axis=2)


def _spread(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Extend the values (H, W) at `where` to a smooth surface everywhere."""
    mean = values[where].mean() if where.any() else values.mean()
    weights, weighted = _on_grid(where.astype(np.float32), GRID), _on_grid(np.where(where, values, 0), GRID)
    sigma, far = GRID / 12, 1e-3  # far from all of them, the mean prevails
    surface = (blurred(weighted, sigma) + far * mean) / (blurred(weights, sigma) + far)
    return resampled(surface, values.shape)


def _on_grid(values: np.ndarray, points: int) -> np.ndarray:
    """Values (H, W) averaged over the cells of a grid of at most `points` points a side."""
    scale = min(1.0, points / max(values.shape))
    return resampled(values, [max(1, round(scale * length)) for length in values.shape], Image.Resampling.BOX)


def resampled(values: np.ndarray, shape: Sequence[int], how: Image.Resampling = Image.Resampling.BICUBIC) -> np.ndarray:
    """Values (H, W) resized to `shape`, float32; antialiased when shrinking."""
    height, width = shape
    return np.asarray(Image.fromarray(values.astype(np.float32)).resize((width, height), how))


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
    scale = side / max(picture.size)
    size = [max(8, round(scale * length)) for length in picture.size]
    colours = np.asarray(picture.resize((size[0], size[1]), Image.Resampling.BILINEAR), np.float32) / 255
    away = departure(colours, local_paper(colours, 1))
    most = np.sort(away, axis=None)[-max(1, away.size // 50) :].mean()
    return float(np.mean((np.abs(away) > most / 4) & (away < 3 * most / 4)))
