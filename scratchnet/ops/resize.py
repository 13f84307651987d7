"""Resizing as two matrix products: y = R_h x R_w', one for the rows and one for the columns.

The weights are those of an antialiased linear resize, the "bilinear" of Pillow: a triangle as wide as an output
pixel (never narrower than an input pixel), normalised where the border cuts it.
"""

import numpy as np

from scratchnet.backend import Array, array_module, device_of


def resize(images: Array, size: int) -> Array:
    """images (N, H, W) float at size x size pixels: (N, size, size). The same array if it has that size already."""
    if images.shape[1:] == (size, size):
        return images
    xp = array_module(images)
    rows, columns = (
        device_of(images).upload(resize_matrix(n, size).astype(images.dtype.name)) for n in images.shape[1:]
    )
    return xp.matmul(xp.matmul(rows, images), columns.T)


def resize_matrix(size_in: int, size_out: int) -> np.ndarray:
    """(size_out, size_in) float64 weights with rows that sum to one."""
    scale = size_in / size_out
    centres_in = np.arange(size_in) + 0.5
    centres_out = (np.arange(size_out) + 0.5) * scale
    distance = np.abs(centres_out[:, None] - centres_in[None, :]) / max(scale, 1.0)
    weights = np.maximum(0.0, 1.0 - distance)
    return weights / weights.sum(axis=1, keepdims=True)
