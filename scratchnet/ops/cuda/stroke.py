"""Launches of stroke.cu."""

from scratchnet.backend import Array, array_module
from scratchnet.ops.cuda import blocks_for, contiguous, launch


def blend_with_thick(images: Array, shares: Array) -> Array:
    """As `images.augment.blend_with_thick`."""
    thickened = array_module(images).empty(images.shape, dtype=images.dtype)
    arrays = contiguous(images), contiguous(shares), thickened
    launch("stroke.cu", "thicken", blocks_for(thickened.size), *arrays, *images.shape)
    return thickened
