"""How a bug is planted: a correct layer, input shapes to check it on, and a backward that gets one thing wrong.

A bug is the backward of a careless programmer, backward(dy, at), where `at` is the forward pass to differentiate and
at.backward(dy) the correct result. Its docstring says in one line what the programmer did:

    @planted_in(Linear(5, 4), (3, 5))
    def bias_averaged(dy, at):
        \"\"\"dbias is the mean over the batch instead of the sum.\"\"\"
        dx, grads = at.backward(dy)
        return dx, grads | {"bias": dy.mean(axis=0)}

Mistakes that involve state or a modified forward are classes, constructed with the correct layer.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np

from scratchnet.backend import Array, Params
from scratchnet.errors import ScratchnetError
from scratchnet.planted.cases import Case
from scratchnet.planted.parts import BackwardResult

REDRAWS = 100
Mistake = TypeVar("Mistake", bound=Callable[..., Any])


class ForwardPass(NamedTuple):
    """A forward pass to differentiate: the correct layer, its arguments and its results."""

    layer: Any
    params: Params
    inputs: tuple[Array, ...]
    y: Array
    cache: Any

    def backward(self, dy: Array) -> BackwardResult:
        """The correct result."""
        return self.layer.backward(dy, self.cache)

    @property
    def x(self) -> Array:
        """The only input, or the first of two."""
        return self.inputs[0]


@dataclass(frozen=True)
class Careless:
    """A layer with the forward of the correct one and a wrong backward."""

    layer: Any
    wrong_backward: Callable[[Array, ForwardPass], BackwardResult]

    def init(self, rng: np.random.Generator) -> Params:
        """Parameters of the correct layer."""
        return self.layer.init(rng)

    def forward(self, params: Params, *inputs: Array, **options: Any) -> tuple[Array, ForwardPass]:
        """The correct y, and the forward pass as the cache."""
        y, cache = self.layer.forward(params, *inputs, **options)
        return y, ForwardPass(self.layer, params, inputs, y, cache)

    def backward(self, dy: Array, at: ForwardPass) -> BackwardResult:
        """(dinputs, grads) as the careless programmer computes them."""
        return self.wrong_backward(dy, at)


@dataclass(frozen=True)
class PlantedBug:
    """A mistake, its one-line story, and the correct layer that it is planted in.

    contract: the gradients of a first call are correct, but the layer violates the contract of a pure backward: it
    writes to its arguments, keeps state or depends on memory layout.
    """

    name: str
    story: str
    case: Case
    plant: Callable[[Any], Any]
    contract: bool = False

    def broken_case(self) -> Case:
        """The same case with the bug in its layer; a new layer each time, free of state from earlier checks."""
        return replace(self.case, layer=self.plant(self.case.layer))

    def examine(self, seed: int) -> tuple[bool, str]:
        """(caught, report) of the checker at the point drawn with `seed`."""
        try:
            with np.errstate(all="ignore"):  # a bug may divide by zero
                report = self.broken_case().check(seed)
        except ScratchnetError as error:
            return True, str(error)
        return not report, str(report)

    def visible_seed(self, seed: int) -> tuple[int, int]:
        """(a seed at whose point the bug shows, the number of redraws); `seed` itself if it shows there.

        At some points a bug has no effect: the entry that it loses may have a gradient of exactly 0 behind a ReLU.
        Raises ScratchnetError if the bug never shows.
        """
        for redraws in range(REDRAWS):
            drawn = seed + 10**6 * redraws
            if self.contract or self._changes_a_gradient(drawn):
                return drawn, redraws
        raise ScratchnetError(f"{self.name} changes no gradient at any of {REDRAWS} points: it is not a bug")

    def _changes_a_gradient(self, seed: int) -> bool:
        results = []
        for case in (self.case, self.broken_case()):
            rng = np.random.default_rng(seed)
            params, inputs = case.draw(rng)
            y, cache = case.layer.forward(params, *inputs, **case.options)
            with np.errstate(all="ignore"):
                dinputs, grads = case.layer.backward(np.asarray(rng.standard_normal(y.shape)), cache)
            results.append([*(dinputs if isinstance(dinputs, tuple) else (dinputs,)), *grads.values()])
        correct, wrong = results
        return len(correct) != len(wrong) or not all(map(np.array_equal, correct, wrong))


def edited(array: Array, index: Any, value: Any) -> Array:
    """A copy with the entries at `index` replaced."""
    copy = array.copy()
    copy[index] = value
    return copy


CATALOGUE: dict[str, PlantedBug] = {}
STRANGERS: dict[str, PlantedBug] = {}  # the second catalogue: bugs in layers that are not ours


def planted_in(
    layer: Any,
    *shapes: tuple[int, ...],
    training: bool = False,
    contract: bool = False,
    catalogue: dict[str, PlantedBug] = CATALOGUE,
) -> Callable[[Mistake], Mistake]:
    """Decorator that adds a wrong backward, or a class constructed with the correct layer, to a catalogue."""

    def register(mistake: Mistake) -> Mistake:
        name = re.sub(r"_|(?<=[a-z])(?=[A-Z])", " ", mistake.__name__).lower()  # a function's name, or a class's
        if name in CATALOGUE | STRANGERS:
            raise ScratchnetError(f"two planted bugs are called {name!r}: rename one")
        plant = mistake if isinstance(mistake, type) else partial(Careless, wrong_backward=mistake)
        catalogue[name] = PlantedBug(name, mistake.__doc__ or "", Case(layer, shapes, training), plant, contract)
        return mistake

    return register
