"""Launches of stroke.cu."""

from scratchnet.backend import Array, array_module
from scratchnet.ops.cuda import blocks_for, contiguous, launch


def thicken(images: Array, shares: Array) -> Array:
    """images (N, H, W) moved by their shares (N,), which are on the device, towards thicker or thinner strokes."""
    thickened = array_module(images).empty(images.shape, dtype=images.dtype)
    launch(
        "stroke.cu",
        "thicken",
        blocks_for(thickened.size),
        contiguous(images),
        contiguous(shares),
        thickened,
        *images.shape,
    )
    return thickened
