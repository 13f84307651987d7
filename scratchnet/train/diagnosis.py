"""Where the first NaN or infinity of a failed training step arises: a second pass looks at every array.

Steps that succeed pay nothing for this. The second pass computes the same numbers as the first, as long as the step has
changed nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scratchnet.backend import Array, Params, array_module, to_host
from scratchnet.layers import Layer, Sequential
from scratchnet.layers.protocol import complete
from scratchnet.losses import Loss
from scratchnet.models.siamese import SiameseNet
from scratchnet.ops.finite import new_flag
from scratchnet.optim.sgd import SGD
from scratchnet.train.gradients import Batch, add_piece, pieces_of

NAMED = 5  # images at most; the rest are counted
GO_BACK = "go back to a network saved earlier"
UNSEEN = (
    "a NaN or an infinity that a second pass over the step does not show: suspect the memory or the processor, "
    f"and {GO_BACK}"
)


class _Found(Exception):
    """The first NaN or infinity, described."""


@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def diagnosis(net: SiameseNet, optimiser: SGD, batch: Batch, loss: Loss, pieces: int = 1) -> str:
    """One line on a failed step: the layer, the direction, the images if only some cause it, and a remedy.

    The network, the optimiser and the batch must be as they were before the step.
    """
    try:
        _check_inputs(net, optimiser, batch)
        lower_lr = f"lower the learning rate, lr={optimiser.rate:g}"
        grads, statistics = _second_pass(net, batch, loss, pieces, lower_lr)
        for name, gradient in grads.items():
            _expect_finite(
                _layer_of(name), "backward", f"the gradient of {name}, summed over the pieces", gradient, lower_lr
            )
        for name, value in statistics.items():
            _expect_finite(_layer_of(name), "forward", f"the new {name}", value, lower_lr)
        _check_update(net, optimiser, grads)
    except _Found as found:
        return str(found)
    return UNSEEN


def _check_inputs(net: SiameseNet, optimiser: SGD, batch: Batch) -> None:
    names = _image_names(batch.a, batch.b)
    at_fault = [bool(bad) for images in (batch.a, batch.b) for bad in _not_finite(images).any(axis=(-1, -2)).flat]
    if any(at_fault):
        raise _Found(
            f"encoder, forward: NaN or infinity in the images {_listed(names, at_fault)}: "
            "check how they were made, or leave them out"
        )
    _expect_finite("loss", "forward", "target", batch.target, "check how it was made")
    for name, value in net.params.items():
        _expect_finite(_layer_of(name), "forward", f"{name} before the step", value, GO_BACK)
    for name, value in optimiser.velocity.items():
        _expect_finite(_layer_of(name), "update", f"the velocity of {name} before the step", value, GO_BACK)


def _second_pass(net: SiameseNet, batch: Batch, loss: Loss, pieces: int, remedy: str) -> tuple[Params, Params]:
    """Forward and backward of all pieces; returns the gradients and the running statistics of batch norm."""
    total: Params = {}
    statistics: Params = {}
    for rows, share in pieces_of(batch.target.shape[0], pieces):
        a, b = batch.a[rows], batch.b[rows]
        images = _image_names(a, b, rows.start)
        encoder: Any = _watched(net.encoder, "encoder", images, remedy)
        head: Any = _Watched(net.head, "head", (), remedy)
        watched = replace(net, encoder=encoder, head=head)
        watched_loss = _WatchedLoss(loss, remedy)
        statistics = add_piece(total, watched, watched_loss, a, b, batch.target[rows], share)[1]
    return total, statistics


def _check_update(net: SiameseNet, optimiser: SGD, grads: Params) -> None:
    for name, gradient in grads.items():
        failed = new_flag(gradient)
        optimiser.flag(net.params, {name: gradient}, failed)
        if to_host(failed):
            lr, largest = optimiser.settings(name)[0], abs(to_host(gradient)).max()
            raise _Found(
                f"{_layer_of(name)}, update: {name} overflows, by a gradient of up to {largest:.1e} and "
                f"lr={lr:g}: lower the learning rate"
            )


def _watched(layer: Layer, name: str, images: Sequence[str], remedy: str) -> Any:
    """The layer with a watch on every layer in it; parameters keep their names."""
    if isinstance(layer, Sequential):
        return Sequential({key: _watched(each, f"{name}.{key}", images, remedy) for key, each in layer.layers.items()})
    return _Watched(complete(layer), name, images, remedy)


@dataclass(frozen=True)
class _Watched:
    """A layer that stops the pass as soon as forward or backward gives a NaN or an infinity."""

    layer: Any  # a Layer, or the head, which has two inputs
    name: str
    images: Sequence[str]  # names of the N images; () where arrays have no axis N
    remedy: str

    def init(self, rng: np.random.Generator) -> Params:
        params: Params = self.layer.init(rng)
        return params

    def forward(self, params: Params, *inputs: Any, **options: Any) -> tuple[Array, Any]:
        y, cache = self.layer.forward(params, *inputs, **options)
        self._look("forward", "its output", y)
        return y, cache

    def backward(self, dy: Array, cache: Any, **options: Any) -> tuple[Any, Params]:
        dx, grads = self.layer.backward(dy, cache, **options)
        for name, gradient in grads.items():
            _expect_finite(self.name, "backward", f"the gradient of its {name}", gradient, self.remedy)
        if dx is not None:
            for each in dx if isinstance(dx, tuple) else (dx,):
                self._look("backward", "the gradient of its input", each)
        return dx, grads

    def _look(self, direction: str, what: str, array: Array) -> None:
        """`_expect_finite`, which names the images if only some cause it: axis N of (H, W, N, C) or (N, D)."""
        images, axis, remedy = self.images, {4: 2, 2: 0}.get(array.ndim), self.remedy
        if axis is not None and array.shape[axis] == len(images):
            others = tuple(k for k in range(array.ndim) if k != axis)
            at_fault = np.asarray(_not_finite(array).any(axis=others)).tolist()
            if not all(at_fault):
                what, remedy = f"{what} for the images {_listed(images, at_fault)}", f"look at these, or {remedy}"
        _expect_finite(self.name, direction, what, array, remedy)


@dataclass(frozen=True)
class _WatchedLoss:
    """A loss that stops the pass as soon as its value or its gradient is a NaN or an infinity."""

    loss: Loss
    remedy: str

    def forward(self, logits: Array, target: Array) -> tuple[Array, Any]:
        value, cache = self.loss.forward(logits, target)
        _expect_finite("loss", "forward", "the loss", value, self.remedy)
        return value, cache

    def backward(self, dloss: Array | float, cache: Any) -> Array:
        dlogits = self.loss.backward(dloss, cache)
        _expect_finite("loss", "backward", "the gradient of the logits", dlogits, self.remedy)
        return dlogits


def _expect_finite(layer: str, direction: str, what: str, array: Array, remedy: str) -> None:
    bad = int(_not_finite(array).sum())
    if bad:
        raise _Found(f"{layer}, {direction}: NaN or infinity in {what} ({bad:,} of {array.size:,} values): {remedy}")


def _not_finite(array: Array) -> np.ndarray:
    return ~to_host(array_module(array).isfinite(array))


def _image_names(a: Array, b: Array, start: int = 0) -> list[str]:
    """The index of each image of a, then of b: "a[3]", "b[0, 0, 2]". Their rows begin at `start` of the batch."""
    return [
        f"{name}[{', '.join(map(str, (start + first, *rest)))}]"
        for name, images in (("a", a), ("b", b))
        for first, *rest in np.ndindex(*images.shape[:-2])
    ]


def _listed(names: Sequence[str], chosen: Sequence[bool]) -> str:
    listed = [name for name, it_is in zip(names, chosen, strict=True) if it_is]
    return ", ".join(listed[:NAMED]) + (f" and {len(listed) - NAMED} more" if len(listed) > NAMED else "")


def _layer_of(name: str) -> str:
    """The layer of a parameter: "encoder.conv1" of "encoder.conv1.weight"."""
    return name.rpartition(".")[0]
