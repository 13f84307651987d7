"""Mistakes to plant in the right functions of the battery: in one entry, in a block, in all entries a little."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Mistake = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def one_entry(gradient: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One entry that should not be zero is doubled."""
    wrong = gradient.copy()
    flat = np.flatnonzero(wrong)
    wrong.flat[flat[rng.integers(len(flat))]] *= 2
    return wrong


def one_block(gradient: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A run of a hundredth of the entries, at least two, is zero; one of them should not be."""
    wrong = gradient.copy().reshape(-1)
    length, nonzero = max(2, wrong.size // 100), np.flatnonzero(wrong)
    start = max(0, nonzero[rng.integers(len(nonzero))] - length // 2)
    wrong[start : start + length] = 0
    return wrong.reshape(gradient.shape)


def a_factor(gradient: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """All entries are too large by 1e-4."""
    return gradient * (1 + 1e-4)


MISTAKES: dict[str, Mistake] = {"one entry": one_entry, "a block": one_block, "1 + 1e-4": a_factor}


@dataclass(frozen=True)
class Mistaken:
    """A layer with a mistake in the largest array that its backward returns, the same in every call."""

    layer: Any
    mistake: Mistake
    seed: int

    @property
    def input_names(self) -> Any:
        return getattr(self.layer, "input_names", None)

    def forward(self, params: Any, *inputs: Any, **options: Any) -> Any:
        return self.layer.forward(params, *inputs, **options)

    def backward(self, dy: Any, cache: Any) -> Any:
        dinputs, grads = self.layer.backward(dy, cache)
        rng = np.random.default_rng([self.seed, 2])
        many = isinstance(dinputs, tuple)
        arrays = list(dinputs) if many else [dinputs]
        largest = max(range(len(arrays)), key=lambda k: np.size(arrays[k]))
        if isinstance(arrays[largest], np.ndarray) and arrays[largest].any():
            arrays[largest] = self.mistake(arrays[largest], rng)
        return (tuple(arrays) if many else arrays[0]), grads
