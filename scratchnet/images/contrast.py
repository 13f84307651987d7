"""What is ink in a picture of any colours, under any light: by how far it departs from the paper around it."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image

from scratchnet.images.strokes import grown

GRID = 40  # points a side at most, on which light is looked at: it changes slowly
WINDOWS = (1 / 2, 1)  # of the picture, in which paper is what there is most of
NEAR = 1 / 6  # of the picture, in which it is once the ink is known
CELLS = 16  # in which a window is looked at
DARKEST = 0.05  # a paper below counts as this, so that noise on black is not taken for ink
FAINTEST = 0.06  # of the paper's light: what takes less away is no ink
CLEAR = 4.0  # standard deviations of the noise: what departs less is no ink
TRACE = 0.35  # of the threshold
SHARPEST = 100.0  # clarity, of black and white without a gray between them
NOISE = 0.08  # of how far ink departs: noise that is in nobody's way


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

    @property
    def is_faint_ink(self) -> np.ndarray:
        """Ink, and also what is no more than a trace of it, if it cannot be noise."""
        return self.departure > max(TRACE * self.threshold, min(CLEAR * self.noise, self.threshold))


def best_contrast(colours: np.ndarray) -> Contrast:
    """Ink and paper of a picture (H, W, 3) float, 0 to 1, in the view that shows them clearest."""
    return smoothed(max(_views(colours), key=lambda view: view.clarity))


def _views(colours: np.ndarray) -> Iterator[Contrast]:
    """Ink and paper by large surroundings, which are mostly paper even where a broad pen leaves little of it, and by
    small ones, which follow the edge of a shadow. Where ink is lighter, also in the negative, since noise is a large
    share of dark paper, but a small one of light paper.
    """
    for window in WINDOWS:
        paper = local_paper(colours, window)
        yield _with_better_paper(colours, paper)
        lighter = colours - paper
        if (lighter * lighter * lighter).sum() > 0:
            yield _with_better_paper(1 - colours, 1 - paper)


def _with_better_paper(colours: np.ndarray, paper: np.ndarray) -> Contrast:
    """Ink and paper by a first estimate of the paper, and two more without the ink found so far."""
    found = tell_apart(departure(colours, paper))
    for _ in range(2):
        paper = paper_without(found.is_ink, colours, paper)
        found = tell_apart(departure(colours, paper))
    return found


def local_paper(colours: np.ndarray, window: float) -> np.ndarray:
    """The median of the surroundings of every pixel (H, W, 3), which are `window` pictures high and wide."""

    def median(channel: np.ndarray) -> np.ndarray:
        small = _on_grid(channel, min(GRID, round(CELLS / window)))
        h, w = (int(window * length / 2) for length in small.shape)
        padded = np.pad(small, ((h, h), (w, w)), mode="symmetric")
        medians = np.median(sliding_window_view(padded, (2 * h + 1, 2 * w + 1)), axis=(2, 3))
        return resampled(medians, channel.shape)

    return _by_channel(median, colours)


def departure(colours: np.ndarray, paper: np.ndarray) -> np.ndarray:
    """How far each pixel departs from its paper towards ink: (H, W), paper 0, and 1 for black ink on any paper.

    By a share of the paper's light: so ink departs as far in the shadow. In one direction of the three colours, that of
    the largest departures: so ink need not be darker, as red on green is not. And to the side to which few depart far,
    since paper is what there is most of: so ink may be lighter, too.
    """
    away = 1 - colours / np.maximum(paper, DARKEST)  # (H, W, 3)
    flat = away.reshape(-1, 3)
    moments = (flat * (flat * flat).sum(axis=1, keepdims=True)).T @ flat
    along: np.ndarray = away @ np.linalg.eigh(moments)[1][:, -1] / np.sqrt(3)
    return -along if (along * along * along).sum() < 0 else along


def tell_apart(departure: np.ndarray) -> Contrast:
    """Ink and paper by the threshold half-way between their means (Ridler and Calvard 1978).

    Found from above: half as much as the ink that departs most. The threshold of Otsu (1979) satisfies the same
    equation, but weighs both classes by their size, and where little is drawn it divides the paper.
    """
    ordered = np.sort(departure, axis=None)
    most = ordered[-max(1, departure.size // 1000) :].mean()
    if most < FAINTEST:  # but a character that is far away covers less than that
        most = ordered[-max(1, departure.size // 10_000) :].mean()
    if most < FAINTEST or departure.min() > most / 2:
        return Contrast(departure, most, ink=0.0, noise=0.0, clarity=0.0)
    threshold, before = most / 2, np.inf
    while threshold < before:
        is_ink = departure > threshold
        ink, paper = departure[is_ink], departure[~is_ink]
        threshold, before = max(0.0, (ink.mean() + paper.mean()) / 2), threshold
    noise = 1.4826 * np.median(np.abs(paper - np.median(paper)))  # the median departure, as a standard deviation
    return Contrast(departure, float(before), float(ink.mean()), float(noise), clarity(ink, paper))


def clarity(ink: np.ndarray, paper: np.ndarray) -> float:
    """How far apart the departures of ink and paper are, in their own widths."""
    apart = ink.mean() - paper.mean()
    return float(apart / (ink.std() + paper.std() + apart / SHARPEST))


def paper_without(ink: np.ndarray, colours: np.ndarray, paper: np.ndarray) -> np.ndarray:
    """The colour of the paper everywhere, (H, W, 3), from a picture whose ink is painted over with the `paper` so far.

    The blurred rim of the ink is, too. A median, unlike a mean, keeps the edge of a shadow.
    """
    painted = np.where(grown(ink, 2)[:, :, None], paper, colours)
    return local_paper(painted, NEAR)


def smoothed(contrast: Contrast) -> Contrast:
    """The contrast with the noise blurred away: a Gaussian of s pixels leaves 0.28 / s of it. Clear ink stays sharp."""
    if contrast.noise <= NOISE * contrast.ink:
        return contrast
    sigma = 0.28 * contrast.noise / (NOISE * contrast.ink)
    return tell_apart(blurred(contrast.departure, min(sigma, 2.0)))


def ink_above_noise(contrast: Contrast) -> np.ndarray:
    """The ink that rises above the noise around it, (H, W) bool: in a dim corner that is a large share of the light."""
    variance = _spread(contrast.departure**2, ~grown(contrast.is_ink, 2))
    return contrast.departure > np.maximum(contrast.threshold, CLEAR * np.sqrt(np.maximum(variance, 0)))


def _by_channel(function: Callable[[np.ndarray], np.ndarray], colours: np.ndarray) -> np.ndarray:
    return np.stack([function(colours[..., channel]) for channel in range(3)], axis=2)


def _spread(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """The values (H, W) at the places `where`, as a smooth surface everywhere."""
    mean = values[where].mean() if where.any() else values.mean()
    weights, weighted = _on_grid(where.astype(np.float32), GRID), _on_grid(np.where(where, values, 0), GRID)
    sigma, far = GRID / 12, 1e-3  # far from all of them the mean counts
    surface = (blurred(weighted, sigma) + far * mean) / (blurred(weights, sigma) + far)
    return resampled(surface, values.shape)


def _on_grid(values: np.ndarray, points: int) -> np.ndarray:
    """Values (H, W) on a grid of at most so many points a side, each the mean of its cell."""
    scale = min(1.0, points / max(values.shape))
    return resampled(values, [max(1, round(scale * length)) for length in values.shape], Image.Resampling.BOX)


def resampled(values: np.ndarray, shape: Sequence[int], how: Image.Resampling = Image.Resampling.BICUBIC) -> np.ndarray:
    """Values (H, W) at another shape, float32; antialiased where it is smaller."""
    height, width = shape
    return np.asarray(Image.fromarray(values.astype(np.float32)).resize((width, height), how))


def blurred(values: np.ndarray, sigma: float) -> np.ndarray:
    """Values (H, W) blurred by a Gaussian, with those at the border repeated outside."""
    reach = int(np.ceil(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(values, reach, mode="edge")
    rows = sliding_window_view(padded, len(kernel), axis=0) @ kernel
    return sliding_window_view(rows, len(kernel), axis=1) @ kernel
