"""Updates of parameters in blocks of rows that stay in a processor's cache, on all threads."""

import math
from collections.abc import Sequence

from scratchnet.backend import Array, array_module, blocks, for_each
from scratchnet.ops.finite import flag_unless, unless
from scratchnet.ops.update import Settings, Update

SAFE = 1e38  # float32 can still double it


def sgd(weight: Array, velocity: Array, gradient: Array, settings: Settings, failed: Array | None) -> None:
    """As `update.sgd`."""

    def rows_of(rows: slice) -> None:
        w, v, g = weight[rows], velocity[rows], gradient[rows]
        if failed is None:
            _next_velocity(v, w, g, settings, out=v)
            w += v
        else:
            new = _next_velocity(v, w, g, settings)
            v[...], w[...] = unless(failed, v, new), unless(failed, w, w + new)

    for_each(rows_of, blocks(weight), like=weight)


def flag_sgd(updates: Sequence[Update], failed: Array) -> None:
    """As `update.flag_sgd`."""
    flag_unless([verdict for each in updates for verdict in _finite_after(*each)], failed)


def _finite_after(weight: Array, velocity: Array, gradient: Array, settings: Settings) -> list[Array]:
    """Whether `sgd` would leave the weight finite: a bool () for each block of rows whose norms leave that open."""
    verdicts: list[Array] = []

    def rows_of(rows: slice) -> None:
        w, v, g = weight[rows], velocity[rows], gradient[rows]
        if not _largest_after(w, v, g, settings) < SAFE:  # or NaN
            new = _next_velocity(v, w, g, settings)
            new += w
            verdicts.append(array_module(new).isfinite(new).all())

    for_each(rows_of, blocks(weight), like=weight)
    return verdicts


def average(mean: Array, value: Array, share: float, failed: Array | None) -> None:
    """As `update.average`."""

    def rows_of(rows: slice) -> None:
        a, x = mean[rows], value[rows]
        difference = x - a
        difference *= share
        if failed is None:
            a += difference
        else:
            a[...] = unless(failed, a, a + difference)

    for_each(rows_of, blocks(value), like=value)


def _next_velocity(v: Array, w: Array, g: Array, settings: Settings, out: Array | None = None) -> Array:
    lr, momentum, weight_decay = settings
    new = array_module(v).multiply(v, momentum, out=out)
    new -= lr * g
    if weight_decay:
        new -= (lr * weight_decay) * w
    return new


def _largest_after(w: Array, v: Array, g: Array, settings: Settings) -> float:
    """A bound on the elements of the updated weight, by the norms of the arrays, which are cheap to compute."""
    lr, momentum, weight_decay = settings
    v_norm, w_norm, g_norm = (math.sqrt(flat @ flat) for flat in (x.reshape(-1) for x in (v, w, g)))
    return abs(momentum) * v_norm + abs(lr) * (g_norm + weight_decay * w_norm) + w_norm
