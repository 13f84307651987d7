"""Warp each image of a batch by its own affine map and displacement field, with bilinear interpolation.

The mapping is inverse: each output pixel looks up where it came from, so the result has no holes. It serves data
augmentation and has no backward.
"""

import numpy as np

from scratchnet.backend import Array, array_module, device_of
from scratchnet.ops.accelerated import accelerated


def warp(images: Array, inverse: np.ndarray, *, displacement: Array | None = None) -> Array:
    """Warp images (N, H, W), float, by N affine maps; outside the image there is paper, 0. Returns (N, H, W).

    inverse: (N, 2, 3) on the host, from output to input: the value of output pixel (x, y) is read at
    inverse @ (x, y, 1), with x to the right, y down and the centre of the first pixel at (0, 0).
    displacement: (N, 2, H, W) in pixels, added to the x and y at which each output pixel is read; of the same dtype and
    on the same device as the images. The identity and a displacement of zero are exact.
    Raises BackendError if the displacement is on a different device.
    """
    array_module(*([images] if displacement is None else [images, displacement]))
    return sample(images, device_of(images).upload(inverse.astype(images.dtype.name)), displacement)


@accelerated
def sample(images: Array, maps: Array, displacement: Array | None) -> Array:
    """`warp` by maps (N, 2, 3) that are on the device of the images."""
    xp, (N, H, W) = array_module(images), images.shape
    maps = maps[:, :, :, None, None]  # (N, 2, 3, 1, 1)
    columns = xp.arange(W, dtype=images.dtype)[None, None, :]
    rows = xp.arange(H, dtype=images.dtype)[None, :, None]
    x, y = (maps[:, k, 0] * columns + maps[:, k, 1] * rows + maps[:, k, 2] for k in (0, 1))  # (N, H, W) each
    if displacement is not None:
        x, y = x + displacement[:, 0], y + displacement[:, 1]

    # Two pixels of paper on every side: look-ups outside are clipped to this border and read 0.
    paper = 2
    padded = xp.pad(images, ((0, 0), (paper, paper), (paper, paper)))
    x = xp.clip(x, -paper + 0.5, W + 0.5)
    y = xp.clip(y, -paper + 0.5, H + 0.5)
    left, top = xp.floor(x), xp.floor(y)
    right_share, lower_share = x - left, y - top
    pitch = W + 2 * paper
    first = xp.arange(N)[:, None, None] * ((H + 2 * paper) * pitch)
    corner = first + (top.astype(xp.int64) + paper) * pitch + (left.astype(xp.int64) + paper)
    pixels = padded.reshape(-1)
    upper = pixels[corner] * (1 - right_share) + pixels[corner + 1] * right_share
    lower = pixels[corner + pitch] * (1 - right_share) + pixels[corner + pitch + 1] * right_share
    return upper * (1 - lower_share) + lower * lower_share
