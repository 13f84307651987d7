"""Launches of sgd.cu. Arrays change in place, so none may be a copy: `usable` asks for row-major order, too.

failed: a flag () int32 on the device; None where it has been read already, and was not raised.
"""

from scratchnet.backend import Array
from scratchnet.ops import cuda
from scratchnet.ops.cuda import blocks_for, launch


def usable(*arrays: Array) -> bool:
    return cuda.usable(*arrays) and all(array.flags.c_contiguous for array in arrays)


def flag(
    weight: Array, velocity: Array, gradient: Array, lr: float, momentum: float, weight_decay: float, failed: Array
) -> None:
    """Raise `failed` where `update` would leave a NaN or an infinity in the weight."""
    settings = (float(lr), float(momentum), float(2 * lr * weight_decay))
    launch("sgd.cu", "sgd_flag", blocks_for(weight.size), weight, velocity, gradient, failed, *settings, weight.size)


def update(
    weight: Array, velocity: Array, gradient: Array, lr: float, momentum: float, weight_decay: float,
    failed: Array | None,
) -> None:
    """v <- momentum v - lr (g + 2 weight_decay w), then w <- w + v, for arrays of one shape; nothing if `failed`."""
    settings = (float(lr), float(momentum), float(2 * lr * weight_decay))
    launch("sgd.cu", "sgd_update", blocks_for(weight.size), weight, velocity, gradient, failed, *settings, weight.size)


def approach(average: Array, value: Array, share: float, failed: Array | None) -> None:
    """average <- average + share (value - average), for arrays of one shape; nothing if `failed`."""
    launch("sgd.cu", "sgd_approach", blocks_for(average.size), average, value, failed, float(share), average.size)
