"""The contract of a pure backward, whatever its layer computes: properties that hold to rounding, with no differences.

Every check tests it: backward writes to none of its arguments, returns no views, is deterministic, linear in the
cotangent (and so zero for zero) and independent of memory layout, and keeps no state between calls.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from scratchnet.backend import Array, array_module, device_of, to_host
from scratchnet.errors import ScratchnetError
from scratchnet.gradcheck.numeric import same_bits
from scratchnet.gradcheck.point import Point, gaussian_like, norm, said

RULES = {
    "writes": "writes to no argument", "deterministic": "deterministic", "views": "returns no views",
    "zero": "zero for a zero cotangent", "linear": "linear in the cotangent", "layouts": "any memory layout",
    "state": "no state between calls",
}  # fmt: skip
SWITCH = '; if that is meant: contract={{"{}": False}}'
ROUNDING = 1e-10  # relative; a different order of summation changes far less
FLOOR = 1e-13  # relative to the largest gradient, for gradients that are zero to rounding


def contract(point: Point, rng: np.random.Generator, rules: Any = True) -> tuple[list[str], list[str]]:
    """(problems, properties): a line for each violation of the contract, and the properties that hold.

    rules: True, or {"views": False} to switch one off. Runs the layer about ten times in each direction. Raises
    MalformedError if backward returns no gradients at all.
    """
    off: set[str] = set()
    if not isinstance(rules, bool):
        from scratchnet.gradcheck.faults import switched_off  # noqa: PLC0415, needed by rules alone

        off = switched_off(rules, RULES)
    dy = gaussian_like(point.forward()[0], rng)
    written = list(_writes(point, dy))
    if written and "writes" not in off:
        return [line + SWITCH.format("writes") for line in written], []  # the other tests rely on their arguments
    y, cache = point.forward()
    grads = {name: gradient.copy() for name, gradient in point.backward(dy, cache).items()}
    problems: list[str] = []
    held = [] if written else [RULES["writes"]]
    for name, violations in {
        "deterministic": _deterministic(point, y, cache, dy, grads),
        "views": _views(point, dy),
        "zero": _zero(point, dy),
        "linear": _linear(point, dy, grads, rng),
        "layouts": _layouts(point, y, dy, grads),
        "state": _interleaved(point, dy, grads, rng),
    }.items():
        if name in off:
            continue
        try:
            violated = list(violations)
        except Exception as error:  # any exception: the same calls have just succeeded on their own
            violated = [f"{RULES[name]}: the test raised {said(error)}"]
        problems += [line + SWITCH.format(name) for line in violated]
        held += [] if violated else [RULES[name]]
    return problems, held


def _deterministic(point: Point, y: Array, cache: Any, dy: Array, grads: Mapping[str, Array]) -> Iterator[str]:
    if not same_bits(point.forward()[0], y):
        yield "forward is not deterministic: two calls with the same arguments give different results"
    for name in _differing(point.backward(dy, cache), grads):
        yield f"two backward calls on one cache give different d{name}: backward accumulates, or modifies the cache"


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
    for name, value in before.items():  # later checks start from the original point
        if not same_bits(point.tensors[name], value):
            point.tensors[name][...] = value


def _views(point: Point, dy: Array) -> Iterator[str]:
    overlap = getattr(array_module(dy), "shares_memory", lambda a, b: False)
    for name, gradient in point.backward(dy, point.forward()[1]).items():
        for other, array in {"dy": dy, **point.tensors}.items():
            if gradient.size and overlap(gradient, array):
                yield f"d{name} shares memory with {other}: writing to one changes the other"


def _zero(point: Point, dy: Array) -> Iterator[str]:
    for name, gradient in point.backward(dy * 0.0, point.forward()[1]).items():
        if norm(gradient) != 0:
            yield f"a zero cotangent gives a nonzero d{name}"


def _linear(point: Point, dy: Array, grads: Mapping[str, Array], rng: np.random.Generator) -> Iterator[str]:
    other = gaussian_like(dy, rng)
    other_grads = point.backward(other, point.forward()[1])
    actual = point.backward(0.75 * dy - 1.5 * other, point.forward()[1])
    expected = {name: 0.75 * gradient - 1.5 * other_grads[name] for name, gradient in grads.items()}
    for name in beyond_rounding(actual, expected, point, dy):
        yield f"backward is not linear in the cotangent: d{name} of a sum is not the sum of the two d{name}"


def _layouts(point: Point, y: Array, dy: Array, grads: Mapping[str, Array]) -> Iterator[str]:
    expected = {"y": y} | {f"d{name}": gradient for name, gradient in grads.items()}
    for layout, relay in {"Fortran-ordered": _fortran, "strided": _strided}.items():
        relaid = replace(
            point,
            params={name: relay(value) for name, value in point.params.items()},
            inputs=tuple(relay(x) for x in point.inputs),
        )
        try:
            relaid_y, cache = relaid.forward()
            relaid_grads = relaid.backward(relay(dy), cache)
        except Exception as error:  # any exception: the same values in C order have just succeeded
            yield f"{layout} arrays raise {said(error)}"
            continue
        actual = {"y": relaid_y} | {f"d{name}": gradient for name, gradient in relaid_grads.items()}
        for name in beyond_rounding(actual, expected, point, dy):
            yield f"{layout} arrays give a different {name}"


def _interleaved(point: Point, dy: Array, grads: Mapping[str, Array], rng: np.random.Generator) -> Iterator[str]:
    for size in (1e-2, 1e-6, 0.0):  # forward may be defined near the point alone
        near = replace(point, inputs=tuple(x * (1 + size * gaussian_like(x, rng)) for x in point.inputs))
        with suppress(ScratchnetError):
            alone = {name: gradient.copy() for name, gradient in near.backward(dy, near.forward()[1]).items()}
            break
    (_, first), (_, second) = point.forward(), near.forward()
    in_turn = point.backward(dy, first), near.backward(dy, second)
    if stale := sorted(set(_differing(in_turn[0], grads)) | set(_differing(in_turn[1], alone))):
        yield f"stale cache: d{', d'.join(stale)} changes when another forward runs before backward"


def _differing(actual: Mapping[str, Array], expected: Mapping[str, Array]) -> list[str]:
    """Names of arrays that are not bit-identical."""
    return [name for name, array in expected.items() if name not in actual or not same_bits(actual[name], array)]


def beyond_rounding(
    actual: Mapping[str, Array], expected: Mapping[str, Array], point: Point | None = None, dy: Any = None
) -> list[str]:
    """Names of arrays that differ by more than rounding; at a given point, by more than it moves them there."""
    largest = max((norm(array) for array in expected.values()), default=0.0)
    names = [
        name
        for name, array in expected.items()
        if name not in actual
        or actual[name].shape != array.shape
        or not norm(actual[name] - array) <= ROUNDING * norm(array) + FLOOR * largest
    ]
    if not names or point is None:
        return names
    from scratchnet.gradcheck.nudges import beyond_nudges  # noqa: PLC0415, needed by few points

    return beyond_nudges(point, dy, actual, expected, names)


def _fortran(array: Array) -> Array:
    return device_of(array).upload(to_host(array).copy(order="F"))  # np.asfortranarray gives () an axis


def _strided(array: Array) -> Array:
    """The array as every second element of one twice as long. Slices after the upload, which would close the gaps."""
    return device_of(array).upload(np.repeat(to_host(array), 2, axis=-1))[..., ::2] if array.ndim else array
