"""Framing: crop and scale each image to its ink, so that position and size on the page do not matter.

The network's "ink" frame. Like `resize`, it is a matrix product from the left and one from the right, but each image
has its own window, and anything outside the picture counts as paper. It is preprocessing and has no backward.
"""

import numpy as np

from scratchnet.backend import Array, array_module, device_of, for_each, to_host
from scratchnet.images.resize import triangles, window_pixels

SPREADS = 3.6  # side of the window, in root mean square distances of the ink from its centre of gravity
LEAST_SIDE = 0.19  # of the height of the picture, so that a dot is not magnified to fill the frame
BLOCK = 16  # images at a time, so that their weights stay in the cache of the processor


def frame_ink(images: Array, size: int) -> Array:
    """Frame each of the images (N, H, W), float, ink 1 and paper 0, to its ink: (N, size, size).

    The window is a square around the centre of gravity of the ink. An image without ink is resized as a whole.
    """
    xp, N = array_module(images), images.shape[0]
    low, high = (device_of(images).upload(edge.astype(images.dtype.name)) for edge in ink_windows(images))
    framed = xp.empty((N, size, size), dtype=images.dtype)

    def frame(start: int) -> None:
        some = slice(start, min(start + BLOCK, N))
        rows, columns = (
            _weights(low[some, axis], high[some, axis], length, size) for axis, length in enumerate(images.shape[1:])
        )
        xp.matmul(xp.matmul(rows, images[some]), columns.swapaxes(1, 2), out=framed[some])

    for_each(frame, range(0, N, BLOCK), like=images)
    return framed


def ink_windows(images: Array) -> tuple[np.ndarray, np.ndarray]:
    """Where the windows of images (N, H, W) begin and end, in pixels from the top and from the left: (N, 2) each.

    Centre and side follow from the moments of the ink: its centre of gravity, and SPREADS times the root mean square
    distance from it. A bounding box would follow the longest stray stroke.
    """
    shape = np.array(images.shape[1:])
    ink = to_host(array_module(images).concatenate([images.sum(axis=2), images.sum(axis=1)], axis=1))  # (N, H + W)
    moments = [_mean_and_variance(lines) for lines in np.split(ink, shape[:1], axis=1)]  # of rows, of columns
    middle, variance = (np.stack(parts, axis=1) for parts in zip(*moments, strict=True))  # (N, 2) each
    side = np.maximum(SPREADS * np.sqrt(variance.sum(axis=1, keepdims=True)), LEAST_SIDE * shape[0])
    some_ink = np.isfinite(side)
    return np.where(some_ink, middle - side / 2, 0.0), np.where(some_ink, middle + side / 2, shape)


def _mean_and_variance(ink: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean and variance (N,) of the position of the ink (N, lines) along the lines; NaN without ink."""
    positions = np.arange(ink.shape[1]) + 0.5
    with np.errstate(invalid="ignore"):
        share = ink.astype(np.float64) / ink.sum(axis=1, keepdims=True, dtype=np.float64)
    mean = share @ positions
    return mean, np.maximum(share @ positions**2 - mean**2, 0.0)


def _weights(low: Array, high: Array, size_in: int, size_out: int) -> Array:
    """Weights (N, size_out, size_in) of the input pixels in windows from low to high (N,) on endless paper."""
    centres, reach = window_pixels(low, high, size_out)
    return triangles(centres, reach, size_in) / _endless_sum(centres, reach)[:, :, None]


def _endless_sum(centres: Array, reach: Array) -> Array:
    """The sum of the weights of each triangle over an endless row of pixels, on both sides of its centre.

    On one side, the nearest pixel lies at distance d and the others follow one pixel apart. The n pixels within reach
    have weights 1 - (d + k) / reach, which sum to n (1 - (d + (n - 1) / 2) / reach).
    """
    xp = array_module(centres, reach)
    before = (centres - 0.5) % 1.0
    total = xp.zeros_like(centres)
    for d in (before, 1.0 - before):
        n = xp.floor(reach - d) + 1.0
        total += n * (1.0 - (d + (n - 1.0) / 2) / reach)
    return total
