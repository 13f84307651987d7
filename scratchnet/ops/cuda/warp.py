"""Launches of warp.cu."""

from scratchnet.backend import Array, array_module
from scratchnet.ops.cuda import blocks_for, contiguous, launch


def warp(images: Array, maps: Array, displacement: Array | None) -> Array:
    """images (N, H, W) through the maps (N, 2, 3), which are on the device, and displacements (N, 2, H, W)."""
    warped = array_module(images).empty(images.shape, dtype=images.dtype)
    launch(
        "warp.cu",
        "warp",
        blocks_for(warped.size),
        contiguous(images),
        contiguous(maps),
        None if displacement is None else contiguous(displacement),
        warped,
        *images.shape,
    )
    return warped
