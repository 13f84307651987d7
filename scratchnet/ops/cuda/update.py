"""Updates of parameters on a GPU, one kernel each, and one for the flag of a whole step: launches of sgd.cu.

Arrays change in place, so none may be a copy: those that are not in row-major order are left to the definition.
"""

from collections.abc import Sequence

import numpy as np

from scratchnet.backend import Array, device_of
from scratchnet.ops import finite, update
from scratchnet.ops.accelerated import definition_of
from scratchnet.ops.cuda import NAMES, blocks_for, launch
from scratchnet.ops.update import Settings, Update

FLAG_BLOCKS = 1024  # for each array at most: threads go on through what is larger
Row = tuple[Array, Array | None, Array | None, Settings]  # an array and what a step adds to it, or an array alone


def sgd(weight: Array, velocity: Array, gradient: Array, settings: Settings, failed: Array | None) -> None:
    """As `update.sgd`."""
    if not _in_order(weight, velocity, gradient):
        definition_of(update.sgd)(weight, velocity, gradient, settings, failed)
        return
    factors = _factors(settings)
    launch("sgd.cu", "sgd_update", blocks_for(weight.size), weight, velocity, gradient, failed, *factors, weight.size)


def average(mean: Array, value: Array, share: float, failed: Array | None) -> None:
    """As `update.average`."""
    if not _in_order(mean, value):
        definition_of(update.average)(mean, value, share, failed)
        return
    launch("sgd.cu", "sgd_approach", blocks_for(mean.size), mean, value, failed, float(share), mean.size)


def flag_sgd(updates: Sequence[Update], failed: Array) -> None:
    """As `update.flag_sgd`."""
    others = [each for each in updates if not _in_order(*each[:3])]
    _flag([(*each,) for each in updates if _in_order(*each[:3])], failed)
    definition_of(update.flag_sgd)(others, failed)


def flag_not_finite(arrays: Sequence[Array], failed: Array) -> None:
    """As `finite.flag_not_finite`."""
    alone = Settings(0.0, 0.0, 0.0)
    _flag([(array, None, None, alone) for array in arrays if _in_order(array)], failed)
    definition_of(finite.flag_not_finite)([array for array in arrays if not _in_order(array)], failed)


def _flag(rows: Sequence[Row], failed: Array) -> None:
    """Raise the flag where a weight, or what it would become, is not finite: one launch for all of each precision."""
    for real in NAMES:
        if alike := [row for row in rows if row[0].dtype.name == real]:
            first = alike[0][0]
            table = [[*(0 if array is None else array.data.ptr for array in row[:3]), row[0].size] for row in alike]
            factors = [_factors(settings) for *_, settings in alike]
            upload = device_of(first).upload
            blocks = min(FLAG_BLOCKS, blocks_for(max(weight.size for weight, *_ in alike)))
            arguments = upload(np.array(factors, first.dtype)), upload(np.array(table, np.int64)), failed
            launch("sgd.cu", "sgd_flag", (blocks, len(alike)), *arguments)


def _factors(settings: Settings) -> tuple[float, float, float]:
    """lr, momentum and lr weight_decay, as the kernels take them."""
    lr, momentum, weight_decay = settings
    return float(lr), float(momentum), float(lr * weight_decay)


def _in_order(*arrays: Array) -> bool:
    return all(array.flags.c_contiguous for array in arrays)
