"""What the optimisers do to the array of one parameter, in place.

On the host an array is taken in blocks of rows that stay in the cache; on a GPU one kernel does it all.
failed: a flag () int32 of ops/finite.py on the device of the arrays; where it is raised, nothing changes.
"""

import math
from typing import NamedTuple

from scratchnet.backend import CPU, Array, array_module, blocks, device_of, for_each
from scratchnet.ops.cuda import sgd as cuda_sgd
from scratchnet.ops.finite import unless

SAFE = 1e38  # float32 can still double it


class Settings(NamedTuple):
    """The settings of one parameter in one epoch."""

    lr: float
    momentum: float
    weight_decay: float


def next_velocity(v: Array, w: Array, g: Array, settings: Settings, out: Array | None = None) -> Array:
    """momentum v - lr (g + weight_decay w)."""
    lr, momentum, weight_decay = settings
    new = array_module(v).multiply(v, momentum, out=out)
    new -= lr * g
    if weight_decay:
        new -= (lr * weight_decay) * w
    return new


def update(weight: Array, velocity: Array, gradient: Array, settings: Settings, failed: Array | None) -> None:
    """v <- momentum v - lr (g + weight_decay w), then w <- w + v."""

    def update_rows(rows: slice) -> None:
        w, v, g = weight[rows], velocity[rows], gradient[rows]
        if cuda_sgd.usable(w, v, g):
            cuda_sgd.update(w, v, g, *settings, failed)
        elif failed is None:
            next_velocity(v, w, g, settings, out=v)
            w += v
        else:
            new = next_velocity(v, w, g, settings)
            v[...], w[...] = unless(failed, v, new), unless(failed, w, w + new)

    for_each(update_rows, blocks(weight), like=weight)


def finite_after_update(weight: Array, velocity: Array, gradient: Array, settings: Settings) -> list[Array]:
    """Whether `update` would leave every element of the weight finite: a bool () for each block where that is open."""
    verdicts: list[Array] = []

    def judge_rows(rows: slice) -> None:
        w, v, g = weight[rows], velocity[rows], gradient[rows]
        if device_of(w) is CPU and _largest_after_update(w, v, g, settings) < SAFE:  # False for NaN
            return
        new = next_velocity(v, w, g, settings)
        new += w
        verdicts.append(array_module(new).isfinite(new).all())

    for_each(judge_rows, blocks(weight), like=weight)
    return verdicts


def _largest_after_update(w: Array, v: Array, g: Array, settings: Settings) -> float:
    """A bound on the elements of the updated weight, by the norms of the arrays, which are cheap to compute."""
    lr, momentum, weight_decay = settings
    v_norm, w_norm, g_norm = (math.sqrt(flat @ flat) for flat in (x.reshape(-1) for x in (v, w, g)))
    return abs(momentum) * v_norm + abs(lr) * (g_norm + weight_decay * w_norm) + w_norm


def approach(average: Array, value: Array, share: float, failed: Array | None) -> None:
    """average <- average + share (value - average)."""

    def approach_rows(rows: slice) -> None:
        a, x = average[rows], value[rows]
        if cuda_sgd.usable(a, x):
            cuda_sgd.approach(a, x, share, failed)
            return
        difference = x - a
        difference *= share
        if failed is None:
            a += difference
        else:
            a[...] = unless(failed, a, a + difference)

    for_each(approach_rows, blocks(value), like=value)
