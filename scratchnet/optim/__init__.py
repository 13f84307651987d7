"""Optimisers: stochastic gradient descent, its schedules, and a running average of the weights."""

from typing import TYPE_CHECKING

__all__ = [
    "SGD", "Cosine", "Decay", "MomentumRise", "PrintedSGD", "WarmUp", "WeightAverage", "averaging", "l2_penalty",
    "penalty", "schedules", "sgd",
]  # fmt: skip


if TYPE_CHECKING:
    from scratchnet.optim import averaging, penalty, schedules, sgd
    from scratchnet.optim.averaging import WeightAverage
    from scratchnet.optim.penalty import PrintedSGD, l2_penalty
    from scratchnet.optim.schedules import Cosine, Decay, MomentumRise, WarmUp
    from scratchnet.optim.sgd import SGD
else:
    from scratchnet.common.lazy import lazily

    __getattr__, __dir__ = lazily(__name__, __all__, {
        "SGD": "sgd", "Cosine": "schedules", "Decay": "schedules", "MomentumRise": "schedules", "WarmUp": "schedules",
        "WeightAverage": "averaging", "PrintedSGD": "penalty", "l2_penalty": "penalty",
    })  # fmt: skip
