"""How a bug is planted: a correct layer, the shapes it is checked on, and a backward that gets one thing wrong.

A bug is written as the backward of a careless programmer, backward(dy, at), where `at` is the point of linearisation
and at.backward(dy) the right answer. Its docstring tells in one line what the programmer did:

    @planted_in(Linear(5, 4), (3, 5))
    def bias_averaged(dy, at):
        \"\"\"The gradient of the bias is the mean over the batch instead of the sum.\"\"\"
        dx, grads = at.backward(dy)
        return dx, grads | {"bias": dy.mean(axis=0)}

Mistakes that need a memory or a forward of their own are classes that are made with the correct layer.
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
from scratchnet.planted.parts import Gradients

REDRAWS = 100
Mistake = TypeVar("Mistake", bound=Callable[..., Any])


class Point(NamedTuple):
    """Where backward is asked for: what forward was given, what it gave, and the correct layer."""

    layer: Any
    params: Params
    inputs: tuple[Array, ...]
    y: Array
    cache: Any

    def backward(self, dy: Array) -> Gradients:
        """The right answer."""
        return self.layer.backward(dy, self.cache)

    @property
    def x(self) -> Array:
        return self.inputs[0]


@dataclass(frozen=True)
class Careless:
    """A layer with the forward of the correct one, and a backward of its own."""

    layer: Any
    wrong_backward: Callable[[Array, Point], Gradients]

    def init(self, rng: np.random.Generator, dtype: Any = np.float32) -> Params:
        return self.layer.init(rng, dtype)

    def forward(self, params: Params, *inputs: Array, **options: Any) -> tuple[Array, Point]:
        y, cache = self.layer.forward(params, *inputs, **options)
        return y, Point(self.layer, params, inputs, y, cache)

    def backward(self, dy: Array, at: Point) -> Gradients:
        return self.wrong_backward(dy, at)


@dataclass(frozen=True)
class PlantedBug:
    """A mistake with its story, and the correct layer that it is planted in.

    contract: the gradients of a first call are right; what is broken is a promise of the protocol (nothing is written
    to, nothing is remembered, the layout in memory does not matter).
    """

    name: str
    story: str
    case: Case
    plant: Callable[[Any], Any]
    contract: bool = False

    def broken_case(self) -> Case:
        """The same case with the bug in its layer; made anew, so that it remembers no earlier check."""
        return replace(self.case, layer=self.plant(self.case.layer))

    def examine(self, seed: int) -> tuple[bool, str]:
        """Whether the checker catches the bug at the point that `seed` draws, and what it reports."""
        try:
            with np.errstate(all="ignore"):  # a bug may divide by zero
                report = self.broken_case().check(seed)
        except ScratchnetError as error:
            return True, str(error)
        return not report, str(report)

    def visible_seed(self, seed: int) -> tuple[int, int]:
        """A seed at whose point the bug changes something, `seed` itself if it does, and the number of redraws.

        At some points a bug is none: an entry that it loses has a gradient of exactly 0 behind a ReLU, say.
        """
        for redraws in range(REDRAWS):
            drawn = seed + 10**6 * redraws
            if self.contract or self._changes_a_gradient(drawn):
                return drawn, redraws
        raise ScratchnetError(f"{self.name} changes no gradient at {REDRAWS} points: it is no bug")

    def _changes_a_gradient(self, seed: int) -> bool:
        answers = []
        for case in (self.case, self.broken_case()):
            rng = np.random.default_rng(seed)
            params, inputs = case.draw(rng)
            y, cache = case.layer.forward(params, *inputs, **case.options)
            with np.errstate(all="ignore"):
                dinputs, grads = case.layer.backward(np.asarray(rng.standard_normal(y.shape)), cache)
            answers.append([*(dinputs if isinstance(dinputs, tuple) else (dinputs,)), *grads.values()])
        right, wrong = answers
        return len(right) != len(wrong) or not all(map(np.array_equal, right, wrong))


def edited(array: Array, index: Any, value: Any) -> Array:
    """A copy with another value at `index`."""
    copy = array.copy()
    copy[index] = value
    return copy


CATALOGUE: dict[str, PlantedBug] = {}


def planted_in(
    layer: Any, *shapes: tuple[int, ...], training: bool = False, contract: bool = False
) -> Callable[[Mistake], Mistake]:
    """Puts the decorated backward, or the class that is made with the correct layer, into the catalogue."""

    def register(mistake: Mistake) -> Mistake:
        name = re.sub(r"_|(?<=[a-z])(?=[A-Z])", " ", mistake.__name__).lower()  # a function's name, or a class's
        if name in CATALOGUE:
            raise ScratchnetError(f"two planted bugs are called {name!r}: give one another name")
        plant = mistake if isinstance(mistake, type) else partial(Careless, wrong_backward=mistake)
        CATALOGUE[name] = PlantedBug(name, mistake.__doc__ or "", Case(layer, shapes, training), plant, contract)
        return mistake

    return register
