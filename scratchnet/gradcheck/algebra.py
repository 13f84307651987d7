"""What a backward must do whatever its layer computes; no difference is taken, so all of it holds to rounding.

`contract` runs with every check. The other three are for callers who know that they apply: `adjoint` for a layer that
is linear in a tensor, `batch_sum` for one that treats its samples apart, `twin_sum` for a network of two twins. They
return a Report whose properties are what held, and whose problems what did not.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scratchnet.backend import Array, Params, array_module, device_of, to_host
from scratchnet.gradcheck.numeric import same_bits
from scratchnet.gradcheck.point import Point, dot, gaussian_like, norm
from scratchnet.gradcheck.report import Report

ROUNDING = 1e-10  # relative; sums in another order differ by far less
FLOOR = 1e-13  # of the largest gradient, for those that are zero to rounding

Gradients = dict[str, Array]


def contract(point: Point, rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """(problems, properties): a line for each property of a pure forward and backward that is violated, the rest.

    The layer runs about ten times each way. Raises MalformedError when backward returns no gradients at all.
    """
    dy = gaussian_like(point.forward()[0], rng)
    if written := list(_writes(point, dy)):
        return written, []  # nothing that follows would be sure of its arguments
    y, cache = point.forward()
    gradients = {name: gradient.copy() for name, gradient in point.backward(dy, cache).items()}
    problems, held = [], ["writes to no argument"]
    for name, violations in {
        "deterministic": _deterministic(point, y, cache, dy, gradients),
        "returns no view": _views(point, dy),
        "zero for a zero cotangent": _zero(point, dy),
        "linear in the cotangent": _linear(point, dy, gradients, rng),
        "any memory layout": _layouts(point, y, dy, gradients),
        "no state between calls": _interleaved(point, dy, gradients, rng),
    }.items():
        try:
            found = list(violations)
        except Exception as error:  # whatever it is: the same calls, alone, have just passed
            found = [f"{name}: not so, {type(error).__name__} is raised: {' '.join(str(error).split())[:80]}"]
        problems += found
        held += [] if found else [name]
    return problems, held


def _deterministic(point: Point, y: Array, cache: Any, dy: Array, gradients: Gradients) -> Iterator[str]:
    if not same_bits(point.forward()[0], y):
        yield "forward is not deterministic: twice from the same arguments, it gives two results"
    for name in _differing(point.backward(dy, cache), gradients):
        yield f"backward twice from one cache gives two values of d{name}: it adds up or changes the cache"


def _writes(point: Point, dy: Array) -> Iterator[str]:
    before = {name: tensor.copy() for name, tensor in point.tensors.items()}
    y, cache = point.forward()
    for name in _differing(point.tensors, before):
        yield f"forward writes to {name}"
    dy_before, y_before, now = dy.copy(), y.copy(), {name: t.copy() for name, t in point.tensors.items()}
    point.backward(dy, cache)
    for name in _differing(point.tensors, now):
        yield f"backward writes to {name}"
    if not same_bits(y, y_before):
        yield "backward writes to y"
    if not same_bits(dy, dy_before):
        yield "backward writes to dy"
        dy[...] = dy_before
    for name, value in before.items():  # the checks that follow start from the point that was given
        if not same_bits(point.tensors[name], value):
            point.tensors[name][...] = value


def _views(point: Point, dy: Array) -> Iterator[str]:
    overlap = getattr(array_module(dy), "shares_memory", lambda a, b: False)
    for name, gradient in point.backward(dy, point.forward()[1]).items():
        for other, array in {"dy": dy, **point.tensors}.items():
            if gradient.size and overlap(gradient, array):
                yield f"d{name} shares memory with {other}: who writes to one changes the other"


def _zero(point: Point, dy: Array) -> Iterator[str]:
    for name, gradient in point.backward(dy * 0.0, point.forward()[1]).items():
        if norm(gradient) != 0:
            yield f"a cotangent of zero gives a d{name} that is not zero"


def _linear(point: Point, dy: Array, gradients: Gradients, rng: np.random.Generator) -> Iterator[str]:
    other = gaussian_like(dy, rng)
    second = point.backward(other, point.forward()[1])
    found = point.backward(0.75 * dy - 1.5 * other, point.forward()[1])
    expected = {name: 0.75 * gradient - 1.5 * second[name] for name, gradient in gradients.items()}
    for name in _apart(found, expected):
        yield f"backward is not linear in the cotangent: d{name} of a sum is not the sum of two"


def _layouts(point: Point, y: Array, dy: Array, gradients: Gradients) -> Iterator[str]:
    for layout, relay in {"Fortran-ordered": _fortran, "strided": _strided}.items():
        there = replace(
            point,
            params={name: relay(value) for name, value in point.params.items()},
            inputs=tuple(relay(x) for x in point.inputs),
        )
        try:
            found_y, cache = there.forward()
            found = there.backward(relay(dy), cache)
        except Exception as error:  # any: the same numbers in the usual order have just passed
            yield f"{layout} arrays make it raise {type(error).__name__}: {' '.join(str(error).split())[:80]}"
            continue
        for name in _apart(
            {"y": found_y} | {f"d{n}": g for n, g in found.items()},
            {"y": y} | {f"d{n}": g for n, g in gradients.items()},
        ):
            yield f"{layout} arrays give another {name}"


def _interleaved(point: Point, dy: Array, gradients: Gradients, rng: np.random.Generator) -> Iterator[str]:
    near = replace(point, inputs=tuple(x * (1 + 0.01 * gaussian_like(x, rng)) for x in point.inputs))
    alone = {name: gradient.copy() for name, gradient in near.backward(dy, near.forward()[1]).items()}
    (_, first), (_, second) = point.forward(), near.forward()
    in_turn = point.backward(dy, first), near.backward(dy, second)
    if stale := sorted(set(_differing(in_turn[0], gradients)) | set(_differing(in_turn[1], alone))):
        yield (f"stale cache: d{', d'.join(stale)} of a call changes when another forward comes before its backward")


def adjoint(layer: Any, params: Params, *inputs: Array, of: str | None = None, seed: int = 0, **options: Any) -> Report:
    """<dy, A t> = <A' dy, t> for a layer y = A t + b that is linear in the tensor `of`, the first input by default.

    A t is forward(t) - forward(0), so b drops out. A' dy is what backward gives at the tensor's own value, which is not
    t: where that matters, the layer is not linear. It holds for convolution and dense layers, in input and in weight.
    """
    rng, point = np.random.default_rng(seed), Point(layer, params, inputs, options)
    name = of or point.input_names[0]
    tensor = gaussian_like(point.tensors[name], rng)
    y, cache = point.forward()
    dy, image = gaussian_like(y, rng), point.forward({name: tensor})[0] - point.forward({name: 0.0 * tensor})[0]
    gradient = point.backward(dy, cache)[name]
    found, expected = dot(gradient, tensor), dot(dy, image)
    statement = f"backward is the adjoint of forward in {name}"
    if abs(found - expected) <= ROUNDING * norm(dy) * norm(image):
        return Report((), seed, properties=(statement,))
    return Report((), seed, (f"not so: {statement}; <A' dy, t> is {found:.9g} and <dy, A t> {expected:.9g}",))


def batch_sum(
    layer: Any, params: Params, x: Array, axis: int, out_axis: int | None = None, seed: int = 0, **options: Any
) -> Report:
    """The gradient of a batch is that of its samples one by one: dx side by side, parameters added up.

    axis, out_axis: the axis of the samples in x and in y (the same unless given). Not so for batch norm in training.
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
    added = {name: sum((part[name] for part in parts[1:]), parts[0][name]) for name in whole if name != "x"}
    found = {"x": xp.concatenate([part["x"] for part in parts], axis=axis)} | added
    statement = "the gradient of a batch is the sum over its samples"
    problems = tuple(f"not so: {statement}; see d{name}" for name in _apart(whole, found))
    return Report((), seed, problems, () if problems else (statement,))


def twin_sum(
    network_with: Callable[[Callable[[Any], Any]], Any],
    params: Params,
    a: Array,
    b: Array,
    seed: int = 0,
    **options: Any,
) -> Report:
    """What both twins share has the sum of their two gradients, each taken with the other twin's cotangent stopped.

    network_with(wrap) is the network with wrap(head) in the place of its head, the layer that takes both embeddings:
    `lambda wrap: replace(net, head=wrap(net.head))`. Parameters of the head itself are the same in all three.
    """
    networks = [
        network_with(wrap) for wrap in (lambda head: head, lambda head: OneTwin(head, 0), lambda head: OneTwin(head, 1))
    ]
    points = [Point(network, params, (a, b), options) for network in networks]
    dy = gaussian_like(points[0].forward()[0], np.random.default_rng(seed))
    both, first, second = (point.backward(dy, point.forward()[1]) for point in points)
    untouched = {name for name in both if same_bits(first[name], both[name]) and same_bits(second[name], both[name])}
    shared = {name: gradient for name, gradient in both.items() if name not in untouched}
    statement = "both twins together have the sum of their single gradients"
    problems = [
        f"not so: {statement}; see d{name}"
        for name in _apart(shared, {name: first[name] + second[name] for name in shared})
    ]
    for number, single in enumerate((first, second), start=1):
        largest = max((norm(gradient) for gradient in both.values()), default=0.0)
        silent = [
            name
            for name in shared
            if name in params and norm(shared[name]) > FLOOR * largest and norm(single[name]) <= FLOOR * largest
        ]
        problems += [f"twin {number} adds nothing to d{', d'.join(silent)}: only one twin is counted"] if silent else []
    if not any(name in params for name in shared):
        problems.append("no parameter depends on the cotangent of a twin: only the head was reached")
    return Report((), seed, tuple(problems), () if problems else (statement,))


@dataclass(frozen=True)
class OneTwin:
    """A layer of two inputs that hands a gradient to one of them only."""

    layer: Any
    twin: int

    def forward(self, params: Params, *inputs: Array, **options: Any) -> tuple[Array, Any]:
        return self.layer.forward(params, *inputs, **options)

    def backward(self, dy: Array, cache: Any) -> tuple[tuple[Array, ...], Params]:
        dinputs, grads = self.layer.backward(dy, cache)
        return tuple(dx if i == self.twin else 0.0 * dx for i, dx in enumerate(dinputs)), grads


def _differing(found: Mapping[str, Array], expected: Mapping[str, Array]) -> list[str]:
    """Names whose arrays differ in a bit."""
    return [name for name, array in expected.items() if name not in found or not same_bits(found[name], array)]


def _apart(found: Mapping[str, Array], expected: Mapping[str, Array]) -> list[str]:
    """Names whose arrays differ by more than rounding."""
    largest = max((norm(array) for array in expected.values()), default=0.0)
    return [
        name
        for name, array in expected.items()
        if name not in found
        or found[name].shape != array.shape
        or not norm(found[name] - array) <= ROUNDING * norm(array) + FLOOR * largest
    ]


def _fortran(array: Array) -> Array:
    return device_of(array).upload(np.asfortranarray(to_host(array)))


def _strided(array: Array) -> Array:
    """Every second number of an array twice as long; upload first, a copy would close the gaps."""
    return device_of(array).upload(np.repeat(to_host(array), 2, axis=-1))[..., ::2] if array.ndim else array


def _slice(array: Array, axis: int, sample: int) -> Array:
    return array[(slice(None),) * axis + (slice(sample, sample + 1),)]
