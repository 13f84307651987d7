"""Launches of sgd.cu. Arrays change in place, so none may be a copy: `usable` also requires row-major order.

failed: a flag () int32 on the device; None where it has already been read and was not raised.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from scratchnet.backend import Array, device_of
from scratchnet.ops import cuda
from scratchnet.ops.cuda import NAMES, blocks_for, launch

FLAG_BLOCKS = 1024  # per array at most; in larger arrays each thread takes several elements


def usable(*arrays: Array) -> bool:
    return cuda.usable(*arrays) and all(array.flags.c_contiguous for array in arrays)


class Entry(NamedTuple):
    """An array and what a step adds to it, or an array alone."""

    weight: Array
    velocity: Array | None = None
    gradient: Array | None = None
    lr: float = 0.0
    momentum: float = 0.0
    weight_decay: float = 0.0


def flag(entries: Sequence[Entry], failed: Array) -> None:
    """Raise `failed` where `update` would leave a NaN or an infinity in a weight, or an array alone holds one.

    One launch for all of each precision. The arrays are `usable`.
    """
    for real in NAMES:
        if alike := [entry for entry in entries if entry.weight.dtype.name == real]:
            _flag_alike(alike, failed)


def _flag_alike(entries: Sequence[Entry], failed: Array) -> None:
    first = entries[0].weight
    arrays = [(entry.weight, entry.velocity, entry.gradient) for entry in entries]
    table = [[*(0 if array is None else array.data.ptr for array in three), three[0].size] for three in arrays]
    settings = [[entry.lr, entry.momentum, entry.lr * entry.weight_decay] for entry in entries]
    upload = device_of(first).upload
    blocks = min(FLAG_BLOCKS, blocks_for(max(weight.size for weight, *_ in arrays)))
    launch(
        "sgd.cu",
        "sgd_flag",
        (blocks, len(entries)),
        upload(np.array(settings, first.dtype)),
        upload(np.array(table, np.int64)),
        failed,
    )


def update(
    weight: Array,
    velocity: Array,
    gradient: Array,
    lr: float,
    momentum: float,
    weight_decay: float,
    failed: Array | None,
) -> None:
    """v <- momentum v - lr (g + weight_decay w), then w <- w + v, for arrays of one shape; nothing if `failed`."""
    settings = (float(lr), float(momentum), float(lr * weight_decay))
    launch("sgd.cu", "sgd_update", blocks_for(weight.size), weight, velocity, gradient, failed, *settings, weight.size)


def approach(average: Array, value: Array, share: float, failed: Array | None) -> None:
    """average <- average + share (value - average), for arrays of one shape; nothing if `failed`."""
    launch("sgd.cu", "sgd_approach", blocks_for(average.size), average, value, failed, float(share), average.size)
