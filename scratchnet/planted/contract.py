"""Contract bugs: a first call returns the correct gradients, but the layer breaks a promise.

They show only in training, when another twin runs in between, a batch is used twice, or an array has unusual strides.
"""

from typing import Any

import numpy as np

from scratchnet.backend import Array, Params
from scratchnet.layers import BatchNorm2d, Flatten, Linear, ReLU
from scratchnet.planted.bug import ForwardPass, planted_in
from scratchnet.planted.maps import MAPS
from scratchnet.planted.parts import Add, BackwardResult
from scratchnet.planted.vectors import LINEAR, VECTORS


class Remembering:
    """The correct layer with state; each bug overrides forward or backward."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer
        self.kept: Any = None

    def init(self, rng: np.random.Generator) -> Params:
        """Parameters of the correct layer."""
        return self.layer.init(rng)

    def forward(self, params: Params, *inputs: Array, **options: Any) -> tuple[Array, Any]:
        """As the correct layer."""
        return self.layer.forward(params, *inputs, **options)

    def backward(self, dy: Array, cache: Any) -> BackwardResult:
        """As the correct layer."""
        return self.layer.backward(dy, cache)


@planted_in(LINEAR, VECTORS, contract=True)
class StaleCache(Remembering):
    """The layer stores its cache on itself, so backward always differentiates the latest forward."""

    def forward(self, params: Params, *inputs: Array, **options: Any) -> tuple[Array, Any]:
        """The correct y and cache; the layer keeps the cache."""
        y, self.kept = self.layer.forward(params, *inputs, **options)
        return y, self.kept

    def backward(self, dy: Array, cache: Any) -> BackwardResult:
        """(dx, grads) of the latest forward; `cache` is ignored."""
        return self.layer.backward(dy, self.kept)


@planted_in(LINEAR, VECTORS, contract=True)
class AccumulatesAcrossCalls(Remembering):
    """Gradients are added to those of earlier calls and never reset to zero."""

    def backward(self, dy: Array, cache: Any) -> BackwardResult:
        """The correct dx, and the gradients summed over all calls so far."""
        dx, grads = self.layer.backward(dy, cache)
        if self.kept is not None:
            grads = {name: value + self.kept[name] for name, value in grads.items()}
        self.kept = grads
        return dx, grads


@planted_in(LINEAR, VECTORS, contract=True)
class BufferReused(Remembering):
    """dweight is always written into the same buffer, so a second call overwrites the result of the first."""

    def backward(self, dy: Array, cache: Any) -> BackwardResult:
        """The correct dx (N, C) and dbias (O,), and dweight (C, O) in the shared buffer."""
        dx, grads = self.layer.backward(dy, cache)
        if self.kept is None:
            self.kept = np.empty_like(grads["weight"])
        self.kept[...] = grads["weight"]
        return dx, grads | {"weight": self.kept}


@planted_in(LINEAR, VECTORS, contract=True)
class EverySecondCallSkipped(Remembering):
    """Every second call returns the gradients of the previous one: memoised under too coarse a key."""

    def backward(self, dy: Array, cache: Any) -> BackwardResult:
        """The correct (dx, grads) on odd calls; on even calls, those of the call before."""
        before, self.kept = self.kept, None
        if before is not None:
            return before
        self.kept = self.layer.backward(dy, cache)
        return self.kept


@planted_in(LINEAR, VECTORS, contract=True)
class FirstBatchFixesTheScale(Remembering):
    """Every later dy is rescaled to the norm of the first one."""

    def backward(self, dy: Array, cache: Any) -> BackwardResult:
        """(dx, grads) for dy rescaled to the norm of the first dy."""
        size = np.linalg.norm(dy)
        self.kept = size if self.kept is None else self.kept
        return self.layer.backward(dy * (self.kept / size) if size else dy, cache)


@planted_in(Linear(4, 3), (40, 4), contract=True)
class SummedInAnyOrder(Remembering):
    """Samples are summed in a different order each time, as with atomic additions from threads: the bits differ."""

    def backward(self, dy: Array, cache: Any) -> BackwardResult:
        """The correct dx (N, C) and dbias (O,), and dweight (C, O) summed in a random order."""
        dx, grads = self.layer.backward(dy, cache)
        self.kept = self.kept or np.random.default_rng(0)
        terms = self.kept.permutation(cache.x[:, :, None] * dy[:, None, :])
        return dx, grads | {"weight": terms.cumsum(axis=0)[-1]}


@planted_in(ReLU(), (4, 6), contract=True)
class ForwardWritesIntoItsInput(Remembering):
    """forward zeroes the negative entries of x in place, to save memory."""

    def forward(self, params: Params, *inputs: Array, **options: Any) -> tuple[Array, Any]:
        """The correct y, which is also written into x."""
        y, cache = self.layer.forward(params, *inputs, **options)
        inputs[0][...] = y
        return y, cache


@planted_in(BatchNorm2d(2), MAPS, training=True, contract=True)
class ForwardWritesIntoItsParameters(Remembering):
    """forward writes the new running statistics into the parameters, which only the caller may change."""

    def forward(self, params: Params, *inputs: Array, **options: Any) -> tuple[Array, Any]:
        """The correct y; running_mean (C,) and running_var (C,) in `params` are overwritten."""
        y, cache = self.layer.forward(params, *inputs, **options)
        for name, value in cache.running_statistics.items():
            params[name][...] = value.real
        return y, cache


@planted_in(ReLU(), (4, 6), contract=True)
def backward_writes_into_the_cotangent(dy: Array, at: ForwardPass) -> BackwardResult:
    """dy is masked in place and returned as dx, so anyone else holding dy finds zeros in it."""
    dy *= at.x > 0
    return dy, {}


@planted_in(LINEAR, VECTORS, contract=True)
def backward_writes_into_the_parameters(dy: Array, at: ForwardPass) -> BackwardResult:
    """backward takes a small gradient step itself."""
    dx, grads = at.backward(dy)
    at.params["weight"][...] -= 0.01 * grads["weight"]
    return dx, grads


@planted_in(LINEAR, VECTORS, contract=True)
def backward_writes_into_the_cache(dy: Array, at: ForwardPass) -> BackwardResult:
    """x is centred in place after use, so a second backward from the same cache sees a different x."""
    dx, grads = at.backward(dy)
    at.x[...] -= at.x.mean(axis=0)
    return dx, grads


@planted_in(Flatten(), MAPS, contract=True)
def view_of_the_cotangent(dy: Array, at: ForwardPass) -> BackwardResult:
    """dx is a reshaped view of dy: adding to it later changes dy as well."""
    H, W, N, C = at.x.shape
    return dy.reshape(N, H, W, C).transpose(1, 2, 0, 3), {}


@planted_in(Add(), (3, 4), (3, 4), contract=True)
def cotangent_handed_on_twice(dy: Array, at: ForwardPass) -> BackwardResult:
    """Both inputs of a sum receive the same array dy: a branch that adds to its gradient changes the other's."""
    return (dy, dy), {}


@planted_in(LINEAR, VECTORS, contract=True)
def memory_order_of_the_input_assumed(dy: Array, at: ForwardPass) -> BackwardResult:
    """x is read in memory order, so a transposed input gives the gradient for a different one."""
    dx, grads = at.backward(dy)
    return dx, grads | {"weight": at.x.ravel(order="K").reshape(at.x.shape).T @ dy}


@planted_in(LINEAR, VECTORS, contract=True)
def memory_order_of_the_cotangent_assumed(dy: Array, at: ForwardPass) -> BackwardResult:
    """dy is read in memory order, which a later layer may have changed by transposing."""
    return at.backward(dy.ravel(order="K").reshape(dy.shape))


@planted_in(LINEAR, VECTORS, contract=True)
def strides_of_the_input_ignored(dy: Array, at: ForwardPass) -> BackwardResult:
    """x is read from its first address as if it were contiguous, which is wrong for a slice."""
    whole = at.x.base if isinstance(at.x.base, np.ndarray) else at.x
    dx, grads = at.backward(dy)
    return dx, grads | {"weight": whole.reshape(-1)[: at.x.size].reshape(at.x.shape).T @ dy}


@planted_in(LINEAR, VECTORS, contract=True)
def zero_replaced(dy: Array, at: ForwardPass) -> BackwardResult:
    """A dy of exact zeros is treated as missing, and dx is filled with ones."""
    dx, grads = at.backward(dy)
    return (dx if dy.any() else np.ones_like(dx)), grads
