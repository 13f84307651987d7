"""One pair of images on its way through a Siamese network, forward and back, with every array kept."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from scratchnet.backend import Array, Params, array_module, to_host
from scratchnet.common.tables import Table
from scratchnet.errors import ShapeError
from scratchnet.layers import sigmoid
from scratchnet.layers.protocol import add_prefix, strip_prefix
from scratchnet.layers.trace import LayerTrace, Trace, table, trace, trace_layer
from scratchnet.losses import PairCrossEntropy


class Pairs(NamedTuple):
    """Pairs of images a and b (N, H, W), and their labels (N,): 1 for the same character, 0 for different ones."""

    a: Array
    b: Array
    labels: Array


@dataclass(frozen=True)
class StepTrace:
    """Forward and backward of one training step on N pairs, without the update.

    encoder: of all 2 N images as one batch, the first twins before the second ones. h1, h2 (N, D): what it makes of
    them. logits, labels, dlogits (N,); loss (). Gradients are of the mean loss over the pairs.
    """

    encoder: Trace
    head: LayerTrace
    labels: Array
    loss: Array
    dlogits: Array

    @property
    def logits(self) -> Array:
        """The head's answer (N,), before the sigmoid."""
        return self.head.y

    @property
    def pairs(self) -> int:
        """N."""
        return self.labels.shape[0]

    @property
    def grads(self) -> Params:
        """The gradients of all parameters, as one step of training computes them, by dotted name."""
        return add_prefix("encoder", self.encoder.grads) | add_prefix("head", self.head.grads or {})


@dataclass(frozen=True)
class PairTrace:
    """A pair as `compare` sees it, and a training step on a batch that it leads.

    twins: the encoder's way forward for each image alone, in evaluation, as `SiameseNet.similarity` goes it; head: the
    comparison of the two. step: a training step, whose first pair is this one; there batch norm takes its statistics
    from the batch, so the numbers on the way forward differ from those of `twins`.
    """

    twins: tuple[Trace, Trace]
    head: LayerTrace
    step: StepTrace

    @property
    def logit(self) -> float:
        """The answer before the sigmoid, as `SiameseNet.logits` gives it."""
        return float(to_host(self.head.y)[0])

    @property
    def probability(self) -> float:
        """That both show the same character, as `SiameseNet.similarity` gives it."""
        return float(to_host(sigmoid(self.head.y))[0])

    def layers(self) -> Iterator[LayerTrace]:
        """The layers of the step, the head last."""
        yield from self.step.encoder
        yield self.step.head

    def table(self) -> Table:
        """The layers of the step: shapes, parameters, cost, and how the numbers spread on the way forward and back."""
        pairs = "1 pair" if self.step.pairs == 1 else f"{self.step.pairs} pairs"
        notes = [
            f"P(same character) = {self.probability:.1%}.",
            f"Everything else is from a training step on {pairs}, with a loss of {float(to_host(self.step.loss)):.4g}.",
            "spread: standard deviation of y. dead: channels that are 0 throughout the batch. saturated: sigmoids with",
            "|x| > 4. |dy|, |dparams|: norms of the gradients.",
        ]
        found = table(list(self.layers()))
        return Table(found.headings, found.rows, notes)

    def __str__(self) -> str:
        return str(self.table())

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()


def trace_pair(network: Any, params: Params, a: Array, b: Array, *, same: bool, others: Pairs | None) -> PairTrace:
    """The trace of images a and b (H, W) through a `layers.Siamese`, framed and in the parameters' precision."""
    xp = array_module(a, b)
    twins = trace_encoder(network, params, a[None]), trace_encoder(network, params, b[None])
    head = _head(network, params, twins[0].y, twins[1].y)
    label = xp.full(1, same, a.dtype)
    pairs = Pairs(a[None], b[None], label)
    if others is not None:
        if others.a.shape != others.b.shape or others.a.shape[0] != others.labels.shape[0]:
            shapes = ", ".join(str(array.shape) for array in others)
            raise ShapeError(f"others are pairs a (N, H, W), b (N, H, W) and labels (N,), got {shapes}")
        pairs = Pairs(*(xp.concatenate([own, more.astype(a.dtype)]) for own, more in zip(pairs, others, strict=True)))
    return PairTrace(twins, head, trace_step(network, params, pairs))


def summary(network: Any, params: Params, image: Array) -> Table:
    """The layers of a `layers.Siamese` for one image (1, H, W), the head last: shapes, parameters and cost."""
    encoder = trace_encoder(network, params, image)
    return Trace((*encoder, _head(network, params, encoder.y, encoder.y))).summary()


def trace_encoder(network: Any, params: Params, images: Array, training: bool = False) -> Trace:
    """The encoder's way forward for images (N, H, W)."""
    x = images.transpose(1, 2, 0)[..., None]  # (N, H, W) -> (H, W, N, C=1)
    return trace(network.encoder, strip_prefix("encoder", params), x, training)


def trace_step(network: Any, params: Params, pairs: Pairs) -> StepTrace:
    """Forward and backward of one training step on these pairs."""
    xp = array_module(*pairs)
    N = pairs.labels.shape[0]
    encoder = trace_encoder(network, params, xp.concatenate([pairs.a, pairs.b]), training=True)
    head = _head(network, params, encoder.y[:N], encoder.y[N:])
    loss, cache = PairCrossEntropy().forward(head.y, pairs.labels)
    dlogits = PairCrossEntropy().backward(1.0, cache)
    head = head.backward(dlogits)
    return StepTrace(encoder.backward(xp.concatenate(head.dx)), head, pairs.labels, loss, dlogits)


def _head(network: Any, params: Params, h1: Array, h2: Array) -> LayerTrace:
    return trace_layer("head", network.head, strip_prefix("head", params), h1, h2)
