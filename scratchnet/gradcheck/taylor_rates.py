"""Taylor remainders: a reading of gradients that needs no tolerance and no good step, from the world of PDEs.

Let J(h) = sum of c * forward(t + h r). As h halves, for a right gradient g and a forward smooth between the steps,

    R0 = |J(h) - J(0)|                      falls as h      (rate 1)
    R1 = |J(h) - J(0) - h g.r|              falls as h^2    (rate 2), and as h for a wrong g
    R2 = |J(h) - J(-h) - 2 h g.r|           falls as h^3    (rate 3), and as h for a wrong g

The rate is log2 of the ratio of two neighbours. Where a remainder is rounding from the start, forward is linear, or as
good as linear, along r, and the gradient is right to all digits.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from scratchnet.backend import Params
from scratchnet.errors import ScratchnetError
from scratchnet.gradcheck.faults import expect_tensor
from scratchnet.gradcheck.numeric import scale_of
from scratchnet.gradcheck.point import dot, gaussian_like
from scratchnet.gradcheck.structures import point_of

STEPS = tuple(1e-2 * 2.0**-k for k in range(12))
ROUNDING = 1e3 * np.finfo(float).eps  # relative to the terms of a remainder
LAST = 3  # rates, at the smallest steps above rounding, where a small mistake stands out from the curvature
SLACK = 0.25  # of a rate: 1.75 is as good as 2


@dataclass(frozen=True)
class Taylor:
    """Remainders of the expansion along a direction, order 1 or 2, at halved steps. True if they fall as they should.

    rate: the median over the smallest steps at which the remainder is above rounding; infinite if it never is.
    """

    name: str
    order: int
    steps: tuple[float, ...]
    remainders: tuple[float, ...]
    rate: float

    @property
    def expected(self) -> int:
        """The rate of a right gradient."""
        return self.order + 1

    def __bool__(self) -> bool:
        return self.rate >= self.expected - SLACK

    def __str__(self) -> str:
        if math.isinf(self.rate):
            return f"ok    {self.name}: the remainder is rounding at every step: forward is linear here"
        meaning = "" if self else "; 1 is the rate of a wrong gradient" if self.rate < 1.5 else "; is a kink nearby?"
        verdict = f"{'ok  ' if self else 'FAIL'}  {self.name}: remainder of order {self.order}"
        return f"{verdict} falls at rate {self.rate:.2f}, expected {self.expected}{meaning}"


def taylor(
    layer: Any, params: Params, *inputs: Any, of: str | None = None, order: int = 1, seed: int = 0, **options: Any
) -> Taylor:
    """The rate at which the Taylor remainder of one tensor falls, along a random direction with a random cotangent.

    layer, params, inputs and options as for `check`; `of` is an input or a parameter, by default the first input.
    order: 1 for J(h) - J(0), 2 for the symmetric J(h) - J(-h). Raises ScratchnetError for a tensor that is not there,
    another order, or no gradient of the tensor.
    """
    if order not in (1, 2):
        raise ScratchnetError(f"order is {order}, expected 1 or 2")
    rng, point = np.random.default_rng(seed), point_of(layer, params, inputs, options)
    name = point.named([of])[0] if of else next(iter(point.tensors))
    expect_tensor(point, name)
    y, cache = point.forward()
    dy = gaussian_like(y, rng)
    gradient = point.backward(dy, cache).get(name)
    if gradient is None:
        raise ScratchnetError(f"backward returned no gradient for {name}")
    direction = gaussian_like(gradient, rng) * scale_of(point.tensors[name])
    slope = dot(gradient, direction)

    def remainder(h: float) -> tuple[float, bool]:
        ends = [dot(dy, point.at_step(name, side * h * direction)[0]) for side in ((1,) if order == 1 else (1, -1))]
        values = [ends[0], dot(dy, y) if order == 1 else ends[1]]
        rest = abs(values[0] - values[1] - order * h * slope)
        return rest, bool(rest > ROUNDING * max(map(abs, values)))

    found = [remainder(h) for h in STEPS]
    rates = [
        math.log2(large / small) for (large, above), (small, still) in pairwise(found) if above and still and small
    ]
    rate = float(np.median(rates[-LAST:])) if rates else math.inf
    return Taylor(name, order, STEPS, tuple(rest for rest, _ in found), rate)
