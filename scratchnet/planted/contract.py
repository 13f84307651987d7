"""Bugs of contract: what a first call returns is right, and something else is broken.

Such a bug shows in training only: a twin that ran in between, a batch that was used twice, a view with other strides.
"""

from typing import Any

import numpy as np

from scratchnet.backend import Array, Params
from scratchnet.layers import BatchNorm2d, Flatten, Linear, ReLU
from scratchnet.planted.bug import Point, planted_in
from scratchnet.planted.maps import MAPS
from scratchnet.planted.parts import Add, Gradients
from scratchnet.planted.vectors import LINEAR, VECTORS


class Remembering:
    """A layer that is the correct one but for what it remembers; each bug changes one of the two passes."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer
        self.kept: Any = None

    def init(self, rng: np.random.Generator, dtype: Any = np.float32) -> Params:
        return self.layer.init(rng, dtype)

    def forward(self, params: Params, *inputs: Array, **options: Any) -> tuple[Array, Any]:
        return self.layer.forward(params, *inputs, **options)

    def backward(self, dy: Array, cache: Any) -> Gradients:
        return self.layer.backward(dy, cache)


@planted_in(LINEAR, VECTORS, contract=True)
class StaleCache(Remembering):
    """The layer keeps its cache in itself, so backward answers for the forward that was last."""

    def forward(self, params: Params, *inputs: Array, **options: Any) -> tuple[Array, Any]:
        y, self.kept = self.layer.forward(params, *inputs, **options)
        return y, self.kept

    def backward(self, dy: Array, cache: Any) -> Gradients:
        return self.layer.backward(dy, self.kept)


@planted_in(LINEAR, VECTORS, contract=True)
class AccumulatesAcrossCalls(Remembering):
    """Gradients are added to those of earlier calls, and nobody sets them back to zero."""

    def backward(self, dy: Array, cache: Any) -> Gradients:
        dx, grads = self.layer.backward(dy, cache)
        if self.kept is not None:
            grads = {name: value + self.kept[name] for name, value in grads.items()}
        self.kept = grads
        return dx, grads


@planted_in(LINEAR, VECTORS, contract=True)
class BufferReused(Remembering):
    """dweight is written into one buffer for ever, so a second call changes what the first has returned."""

    def backward(self, dy: Array, cache: Any) -> Gradients:
        dx, grads = self.layer.backward(dy, cache)
        if self.kept is None:
            self.kept = np.empty_like(grads["weight"])
        self.kept[...] = grads["weight"]
        return dx, grads | {"weight": self.kept}


@planted_in(LINEAR, VECTORS, contract=True)
class EverySecondCallSkipped(Remembering):
    """Every second call returns the gradients of the call before: a cache that is keyed by too little."""

    def backward(self, dy: Array, cache: Any) -> Gradients:
        before, self.kept = self.kept, None
        if before is not None:
            return before
        self.kept = self.layer.backward(dy, cache)
        return self.kept


@planted_in(LINEAR, VECTORS, contract=True)
class FirstBatchFixesTheScale(Remembering):
    """The norm of the first dy is kept and all later ones are scaled to it."""

    def backward(self, dy: Array, cache: Any) -> Gradients:
        size = np.linalg.norm(dy)
        self.kept = size if self.kept is None else self.kept
        return self.layer.backward(dy * (self.kept / size) if size else dy, cache)


@planted_in(Linear(4, 3), (40, 4), contract=True)
class SummedInAnyOrder(Remembering):
    """The samples are added up in another order each time, as threads with atomic additions do: the bits differ."""

    def backward(self, dy: Array, cache: Any) -> Gradients:
        dx, grads = self.layer.backward(dy, cache)
        self.kept = self.kept or np.random.default_rng(0)
        terms = self.kept.permutation(cache.x[:, :, None] * dy[:, None, :])
        return dx, grads | {"weight": terms.cumsum(axis=0)[-1]}


@planted_in(ReLU(), (4, 6), contract=True)
class ForwardWritesIntoItsInput(Remembering):
    """forward sets the negative pixels to zero in x itself, to save memory."""

    def forward(self, params: Params, *inputs: Array, **options: Any) -> tuple[Array, Any]:
        y, cache = self.layer.forward(params, *inputs, **options)
        inputs[0][...] = y
        return y, cache


@planted_in(BatchNorm2d(2), MAPS, training=True, contract=True)
class ForwardWritesIntoItsParameters(Remembering):
    """forward writes the new running statistics into the parameters, which are the caller's to change."""

    def forward(self, params: Params, *inputs: Array, **options: Any) -> tuple[Array, Any]:
        y, cache = self.layer.forward(params, *inputs, **options)
        for name, value in cache.running_statistics.items():
            params[name][...] = value.real
        return y, cache


@planted_in(ReLU(), (4, 6), contract=True)
def backward_writes_into_the_cotangent(dy: Array, at: Point) -> Gradients:
    """dy is masked in place and returned as dx; whoever else had it finds zeros in it."""
    dy *= at.x > 0
    return dy, {}


@planted_in(LINEAR, VECTORS, contract=True)
def backward_writes_into_the_parameters(dy: Array, at: Point) -> Gradients:
    """backward takes a little step of descent itself."""
    dx, grads = at.backward(dy)
    at.params["weight"][...] -= 0.01 * grads["weight"]
    return dx, grads


@planted_in(LINEAR, VECTORS, contract=True)
def backward_writes_into_the_cache(dy: Array, at: Point) -> Gradients:
    """x is centred in place when it has been used; a second backward from the same cache finds another x."""
    dx, grads = at.backward(dy)
    at.x[...] -= at.x.mean(axis=0)
    return dx, grads


@planted_in(Flatten(), MAPS, contract=True)
def view_of_the_cotangent(dy: Array, at: Point) -> Gradients:
    """dx is dy in another shape, in the same memory: adding to it later changes dy as well."""
    H, W, N, C = at.x.shape
    return dy.reshape(N, H, W, C).transpose(1, 2, 0, 3), {}


@planted_in(Add(), (3, 4), (3, 4), contract=True)
def cotangent_handed_on_twice(dy: Array, at: Point) -> Gradients:
    """Both inputs of a sum are given dy itself: the branch that adds to its own changes the other's."""
    return (dy, dy), {}


@planted_in(LINEAR, VECTORS, contract=True)
def memory_order_of_the_input_assumed(dy: Array, at: Point) -> Gradients:
    """x is read in the order of its memory: transposed input gives a gradient of another input."""
    dx, grads = at.backward(dy)
    return dx, grads | {"weight": at.x.ravel(order="K").reshape(at.x.shape).T @ dy}


@planted_in(LINEAR, VECTORS, contract=True)
def memory_order_of_the_cotangent_assumed(dy: Array, at: Point) -> Gradients:
    """dy is read in the order of its memory, which a layer that transposes changes."""
    return at.backward(dy.ravel(order="K").reshape(dy.shape))


@planted_in(LINEAR, VECTORS, contract=True)
def strides_of_the_input_ignored(dy: Array, at: Point) -> Gradients:
    """x is read from its first address on as if nothing lay between its elements: wrong for a slice."""
    whole = at.x.base if isinstance(at.x.base, np.ndarray) else at.x
    dx, grads = at.backward(dy)
    return dx, grads | {"weight": whole.reshape(-1)[: at.x.size].reshape(at.x.shape).T @ dy}


@planted_in(LINEAR, VECTORS, contract=True)
def zero_replaced(dy: Array, at: Point) -> Gradients:
    """Where dy is exactly zero it is taken for missing, and dx is filled with ones."""
    dx, grads = at.backward(dy)
    return (dx if dy.any() else np.ones_like(dx)), grads
