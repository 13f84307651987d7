"""What changes the parameters: stochastic gradient descent, and a running average of the weights."""

from typing import TYPE_CHECKING

__all__ = ["SGD", "WeightAverage", "averaging", "sgd"]

if TYPE_CHECKING:
    from scratchnet.optim import averaging, sgd
    from scratchnet.optim.averaging import WeightAverage
    from scratchnet.optim.sgd import SGD
else:
    from scratchnet.common.lazy import lazily

    __getattr__, __dir__ = lazily(__name__, __all__, {"SGD": "sgd", "WeightAverage": "averaging"})
