"""How large the gradients are, layer by layer, for the log: the mean over a few steps of each epoch.

Measuring reads every gradient once more and changes none, so that a run ends with the same bits whether it is measured
or not. On a GPU the squares stay there until the losses are read.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scratchnet.backend import Array, Params, array_module
from scratchnet.errors import ScratchnetError
from scratchnet.optim.sgd import SGD

MEASURED_STEPS = 4  # of each epoch
MOST_STEPS = 1000  # a state holds the norms of those of its epoch
DIGITS = 5  # in the log

Norms = dict[str, float]  # |dL/dw| of each layer, from the input to the output


def expect_measured(measured: int) -> None:
    """Raise ScratchnetError unless so many steps of an epoch can be measured."""
    if not 0 <= measured <= MOST_STEPS:
        raise ScratchnetError(f"{measured} measured steps are out of range: give 0 to {MOST_STEPS}")


def is_measured(step: int, steps: int, measured: int) -> bool:
    """Whether `step` of an epoch of so many steps is one of the `measured` ones, which are spread evenly."""
    return (step + 1) * measured // steps > step * measured // steps


@dataclass
class MeasuringSGD(SGD):
    """Takes the steps of another optimiser, `inner`, and keeps the squared norms () of the gradients of its last step.

    squares: by parameter name.
    """

    inner: SGD
    squares: Params = field(default_factory=dict)

    @classmethod
    def of(cls, optimiser: SGD) -> "MeasuringSGD":
        """The same optimiser: both hold the same velocities, so a step of either is a step of both."""
        return cls(**vars(optimiser), inner=optimiser)

    def step(self, params: Params, grads: Params, *, failed: Array | None = None) -> None:
        """As SGD does."""
        self.squares = {name: _square(gradient) for name, gradient in grads.items()}
        self.inner.step(params, grads, failed=failed)


def layer_norms(names: Sequence[str], squares: np.ndarray) -> Norms:
    """The norm of each layer's gradient, from the squared norms (P,) of its parameters, which have these names.

    A layer whose square overflows is left out.
    """
    sums: Norms = {}
    for name, square in zip(names, squares.tolist(), strict=True):
        layer = name.rpartition(".")[0]
        sums[layer] = sums.get(layer, 0.0) + square
    return {layer: math.sqrt(total) for layer, total in sums.items() if math.isfinite(total)}


def mean_norms(measured: Sequence[Norms]) -> Norms | None:
    """The mean of each layer's norms as the log has it, or None where no step was measured."""
    layers = dict.fromkeys(layer for norms in measured for layer in norms)
    found = {layer: [norms[layer] for norms in measured if layer in norms] for layer in layers}
    return {layer: float(f"{np.mean(norms):.{DIGITS}g}") for layer, norms in found.items()} or None


def _square(gradient: Array) -> Any:
    flat = gradient.reshape(-1)
    return array_module(flat).dot(flat, flat)
