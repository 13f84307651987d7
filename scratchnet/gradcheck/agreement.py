"""Agreement of what a layer has besides forward and backward: its forward derivative, and its NaNs and infinities."""

from typing import Any

import numpy as np

from scratchnet.backend import Params, to_host
from scratchnet.errors import ScratchnetError
from scratchnet.gradcheck.contract import ROUNDING
from scratchnet.gradcheck.point import dot, gaussian_like, norm
from scratchnet.gradcheck.report import Report
from scratchnet.gradcheck.structures import point_of


def check_jvp(layer: Any, params: Params, *inputs: Any, seed: int = 0, **options: Any) -> Report:
    """Check a layer's forward derivative against its backward: <dy, J v> = <J' dy, v> for random v and dy.

    layer.jvp(tangents, cache) returns J v, shaped like y; tangents has an array for each input and parameter by name.
    Together with `check` of backward, this checks jvp. Other arguments as for `check`. Raises ScratchnetError for a
    layer without jvp.
    """
    rule = getattr(layer, "jvp", None)
    if rule is None:
        raise ScratchnetError(f"{type(layer).__name__} has no jvp: expected layer.jvp(tangents, cache), shaped like y")
    rng, point = np.random.default_rng(seed), point_of(layer, params, inputs, options)
    y, cache = point.forward()
    dy = gaussian_like(y, rng)
    gradients = point.backward(dy, cache)
    problems = []
    for name in gradients:
        tangents = {other: 0.0 * tensor for other, tensor in point.tensors.items()}
        tangents[name] = gaussian_like(point.tensors[name], rng)
        image = rule(tangents, cache)
        if tuple(image.shape) != tuple(y.shape):
            return Report((), seed, (f"jvp returned shape {tuple(image.shape)}, expected {tuple(y.shape)} like y",))
        by_jvp, by_backward = dot(dy, image), dot(gradients[name], tangents[name])
        if not abs(by_jvp - by_backward) <= ROUNDING * (norm(dy) * norm(image) + norm(gradients[name])):
            problems.append(
                f"jvp and backward disagree in {name}: <dy, J v> = {by_jvp:.9g}, <J' dy, v> = {by_backward:.9g}"
            )
    return Report((), seed, tuple(problems), () if problems else ("jvp is the adjoint of backward",))


def check_nonfinite(layer: Any, params: Params, *inputs: Any, seed: int = 0, **options: Any) -> Report:
    """Check that NaN and infinity come through: a gradient is finite where y is, and not finite where y is NaN.

    A NaN, an infinity and its negative are put into one random entry of each input. A y that stays finite must have
    finite gradients, and one with a NaN may not have finite gradients alone. Other arguments as for `check`.
    """
    rng, point = np.random.default_rng(seed), point_of(layer, params, inputs, options)
    problems = []
    for name, tensor in point.tensors.items():
        if name not in point.input_names or not tensor.size:
            continue
        index = tuple(int(rng.integers(size)) for size in tensor.shape)
        for value in (np.nan, np.inf, -np.inf):
            spoiled = tensor.copy()
            spoiled[index] = value
            with np.errstate(all="ignore"):
                y, cache = point.forward({name: spoiled})
                gradients = point.backward(gaussian_like(y, rng), cache)
            y_spoiled = not np.isfinite(to_host(y)).all()
            spoiled_names = [other for other, g in gradients.items() if not np.isfinite(to_host(g)).all()]
            if spoiled_names and not y_spoiled:
                problems.append(f"{value} in {name}{list(index)} leaves y finite, but not d{', d'.join(spoiled_names)}")
            if np.isnan(value) and y_spoiled and not spoiled_names:
                problems.append(f"{value} in {name}{list(index)} spoils y, but every gradient is finite: it is hidden")
    return Report((), seed, tuple(problems), () if problems else ("NaN and infinity come through to the gradients",))
