"""Resizing as two matrix products, y = R_h x R_w', one for the rows and one for the columns.

The network's "page" frame. The weights are those of an antialiased linear resize, Pillow's "bilinear": a triangle that
reaches one output pixel to either side (at least one input pixel), normalised where the border cuts it off. It is
preprocessing and has no backward.
"""

import numpy as np

from scratchnet.backend import Array, array_module, device_of


def resize(images: Array, size: int) -> Array:
    """Resize images (N, H, W), float, to (N, size, size). Returns the same array if it already has that size."""
    if images.shape[1:] == (size, size):
        return images
    xp = array_module(images)
    rows, columns = (
        device_of(images).upload(resize_matrix(n, size).astype(images.dtype.name)) for n in images.shape[1:]
    )
    return xp.matmul(xp.matmul(rows, images), columns.T)


def resize_matrix(size_in: int, size_out: int) -> np.ndarray:
    """Weights (size_out, size_in), float64, for the whole picture as the window; each row sums to one."""
    centres, reach = window_pixels(np.zeros(1), np.full(1, float(size_in)), size_out)
    weights = triangles(centres, reach, size_in)[0]
    return weights / weights.sum(axis=1, keepdims=True)


def window_pixels(low: Array, high: Array, size_out: int) -> tuple[Array, Array]:
    """Divide windows from low to high (N,), in input pixels, into size_out pixels each.

    Returns the centres (N, size_out) of the pixels, and the reach (N, 1) of their triangles to either side.
    """
    xp = array_module(low, high)
    pixel = (high - low)[:, None] / size_out
    centres = low[:, None] + (xp.arange(size_out, dtype=low.dtype) + 0.5) * pixel
    return centres, xp.maximum(pixel, 1.0)


def triangles(centres: Array, reach: Array, size_in: int) -> Array:
    """The unnormalised weights (N, size_out, size_in) of the input pixels in triangles around `centres`."""
    xp = array_module(centres, reach)
    centres_in = xp.arange(size_in, dtype=centres.dtype) + 0.5
    distance = xp.abs(centres[:, :, None] - centres_in)
    return xp.maximum(1.0 - distance / reach[:, :, None], 0.0)
