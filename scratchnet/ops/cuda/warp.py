"""Launches of warp.cu."""

from scratchnet.backend import Array, array_module
from scratchnet.ops.cuda import blocks_for, contiguous, launch


def sample(images: Array, maps: Array, displacement: Array | None) -> Array:
    """As `images.warp.sample`."""
    warped = array_module(images).empty(images.shape, dtype=images.dtype)
    shifts = None if displacement is None else contiguous(displacement)
    arrays = contiguous(images), contiguous(maps), shifts, warped
    launch("warp.cu", "warp", blocks_for(warped.size), *arrays, *images.shape)
    return warped
