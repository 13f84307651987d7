"""Identities that hold for some layers only, to rounding and without differences.

`adjoint` applies to a layer that is linear in a tensor, `batch_sum` to one that treats samples independently, and
`twin_sum` to a network with twins. Each returns a Report: the identity appears in its properties if it holds, and in
its problems if it does not.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scratchnet.backend import Array, Params, array_module
from scratchnet.gradcheck.contract import FLOOR, ROUNDING, beyond_rounding
from scratchnet.gradcheck.faults import expect_tensor
from scratchnet.gradcheck.numeric import same_bits
from scratchnet.gradcheck.point import Point, dot, gaussian_like, norm
from scratchnet.gradcheck.report import Report


def adjoint(layer: Any, params: Params, *inputs: Array, of: str | None = None, seed: int = 0, **options: Any) -> Report:
    """Check <dy, A t> = <A' dy, t> for a layer y = A t + b that is linear in the tensor `of`.

    A t is forward(t) - forward(0), so b drops out. A' dy is the gradient that backward returns at the tensor's current
    value, which is not t; if that matters, the layer is not linear. Convolution and dense layers are linear in the
    input and in the weight.

    layer, params, inputs and options as for `check`; `of` names an input or a parameter, by default the first input.
    Raises ScratchnetError for arrays that are not float64, or if `of` names no tensor.
    """
    rng, point = np.random.default_rng(seed), Point(layer, params, inputs, options)
    name = of or point.input_names[0]
    expect_tensor(point, name)
    tensor = gaussian_like(point.tensors[name], rng)
    y, cache = point.forward()
    dy, image = gaussian_like(y, rng), point.forward({name: tensor})[0] - point.forward({name: 0.0 * tensor})[0]
    gradient = point.backward(dy, cache)[name]
    by_backward, by_forward = dot(gradient, tensor), dot(dy, image)
    if abs(by_backward - by_forward) <= ROUNDING * norm(dy) * norm(image):
        return Report((), seed, properties=(f"backward is the adjoint of forward in {name}",))
    problem = f"backward is not the adjoint of forward in {name}"
    return Report((), seed, (f"{problem}: <A' dy, t> = {by_backward:.9g}, <dy, A t> = {by_forward:.9g}",))


def batch_sum(
    layer: Any, params: Params, x: Array, *, axis: int, out_axis: int | None = None, seed: int = 0, **options: Any
) -> Report:
    """Check that the gradients of a batch are those of its samples: dx concatenated, parameter gradients summed.

    axis, out_axis: the sample axis of x and of y, the same by default. Batch norm in training mode fails, as it should.
    layer, params and options as for `check`. Raises ScratchnetError for arrays that are not float64.
    """
    out_axis = axis if out_axis is None else out_axis
    rng, point = np.random.default_rng(seed), Point(layer, params, (x,), options)
    y, cache = point.forward()
    dy = gaussian_like(y, rng)
    whole = point.backward(dy, cache)
    parts = []
    for sample in range(x.shape[axis]):
        one = replace(point, inputs=(_slice(x, axis, sample),))
        parts.append(one.backward(_slice(dy, out_axis, sample), one.forward()[1]))
    xp = array_module(x)
    summed = {name: sum((part[name] for part in parts[1:]), parts[0][name]) for name in whole if name != "x"}
    joined = {"x": xp.concatenate([part["x"] for part in parts], axis=axis)} | summed
    problems = tuple(
        f"the gradient of a batch is not the sum over its samples: see d{name}"
        for name in beyond_rounding(whole, joined)
    )
    return Report((), seed, problems, () if problems else ("the gradient of a batch is the sum over its samples",))


def twin_sum(
    network_with: Callable[[Callable[[Any], Any]], Any],
    params: Params,
    a: Array,
    b: Array,
    *,
    seed: int = 0,
    **options: Any,
) -> Report:
    """Check that shared parameters get the sum of both twins' gradients, each taken with the other twin detached.

    network_with(wrap) returns the network with wrap(head) in place of its head, the layer that takes both embeddings:
    `lambda wrap: replace(net, head=wrap(net.head))`. The head's own parameters have the same gradient in all three
    runs. a, b: the inputs of the two twins, float64. Raises ScratchnetError for arrays that are not float64.
    """
    networks = [
        network_with(wrap) for wrap in (lambda head: head, lambda head: OneTwin(head, 0), lambda head: OneTwin(head, 1))
    ]
    points = [Point(network, params, (a, b), options) for network in networks]
    dy = gaussian_like(points[0].forward()[0], np.random.default_rng(seed))
    both, first, second = (point.backward(dy, point.forward()[1]) for point in points)
    untouched = {name for name in both if same_bits(first[name], both[name]) and same_bits(second[name], both[name])}
    shared = {name: gradient for name, gradient in both.items() if name not in untouched}
    problems = [
        f"d{name} is not the sum of both twins' gradients"
        for name in beyond_rounding(shared, {name: first[name] + second[name] for name in shared})
    ]
    for number, single in enumerate((first, second), start=1):
        largest = max((norm(gradient) for gradient in both.values()), default=0.0)
        silent = [
            name
            for name in shared
            if name in params and norm(shared[name]) > FLOOR * largest and norm(single[name]) <= FLOOR * largest
        ]
        if silent:
            problems.append(f"twin {number} contributes nothing to d{', d'.join(silent)}: only one twin is counted")
    if not any(name in params for name in shared):
        problems.append("no parameter depends on either twin's cotangent: backward reaches only the head")
    statement = "shared parameters get the sum of both twins' gradients"
    return Report((), seed, tuple(problems), () if problems else (statement,))


@dataclass(frozen=True)
class OneTwin:
    """A two-input layer that passes a gradient to one of its inputs only."""

    layer: Any
    twin: int

    def forward(self, params: Params, *inputs: Array, **options: Any) -> tuple[Array, Any]:
        """As the wrapped layer."""
        return self.layer.forward(params, *inputs, **options)

    def backward(self, dy: Array, cache: Any) -> tuple[tuple[Array, ...], Params]:
        """(dx1, dx2), zero for the other twin, and the gradients of the parameters."""
        dinputs, grads = self.layer.backward(dy, cache)
        return tuple(dx if i == self.twin else 0.0 * dx for i, dx in enumerate(dinputs)), grads


def _slice(array: Array, axis: int, sample: int) -> Array:
    return array[(slice(None),) * axis + (slice(sample, sample + 1),)]
