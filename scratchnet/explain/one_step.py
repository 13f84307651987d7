"""One step of SGD from a trace, at several learning rates: what it does to the pair's score and to the loss."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from scratchnet.backend import Params, to_host
from scratchnet.common.caches import gathered
from scratchnet.losses import PairCrossEntropy
from scratchnet.models.pair_trace import Pairs, StepTrace
from scratchnet.models.siamese import SiameseNet
from scratchnet.optim.sgd import SGD

RATES = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)


def steps(
    net: SiameseNet, image_a: Any, image_b: Any, pairs: Pairs, step: StepTrace, rates: Sequence[float] = RATES
) -> list[dict[str, float]]:
    """For each rate, "p", the probability that the two images show the same character, and the "loss" of the batch.

    Both after the step; a rate of 0 moves nothing but batch norm's running statistics, as every step does.
    """
    return [{"rate": rate, **_after(stepped(net, step, step.grads, rate), image_a, image_b, pairs)} for rate in rates]


def stepped(net: SiameseNet, step: StepTrace, grads: Params, rate: float) -> SiameseNet:
    """The network after one step of SGD with these gradients."""
    caches = {"encoder": {at.name: at.cache for at in step.encoder}}
    params = {name: value.copy() for name, value in net.params.items()} | gathered(caches, "running_statistics")
    SGD(rate).step(params, grads)
    return replace(net, params=params)


@np.errstate(over="ignore", invalid="ignore")
def _after(net: SiameseNet, image_a: Any, image_b: Any, pairs: Pairs) -> dict[str, float]:
    a, b = ([image] if not isinstance(image, np.ndarray) else image[None] for image in (image_a, image_b))
    return {"p": float(net.similarity(a, b)[0]), "loss": loss_of(net, pairs)}


def loss_after(net: SiameseNet, pairs: Pairs, step: StepTrace, grads: Params, rate: float) -> float:
    """The loss of the batch after one step with these gradients."""
    return loss_of(stepped(net, step, grads, rate), pairs)


def loss_of(net: SiameseNet, pairs: Pairs) -> float:
    """The loss of a batch in training, where batch norm takes its statistics from the batch."""
    logits, _ = net.forward(net.params, pairs.a, pairs.b, training=True)
    return float(to_host(PairCrossEntropy().forward(logits, pairs.labels)[0]))
