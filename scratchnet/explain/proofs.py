"""For every number on the page: its equation, the line of code that computes it, and the test that proves that line.

Equations and lines are read from the source when they are asked for, so they cannot drift: an equation is a line of a
docstring that ends in its number, a line of code is the one that contains a marker. tests/explain/test_equations.py
changes each of these lines, one at a time, and sees its test fail.
"""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scratchnet.errors import ScratchnetError
from scratchnet.layers import (
    BatchNorm2d,
    Conv2d,
    Flatten,
    Linear,
    MaxPool2d,
    ReLU,
    Siamese,
    Sigmoid,
    WeightedL1,
    activations,
)
from scratchnet.losses import PairCrossEntropy
from scratchnet.ops import conv, norm, pixels, pool, update
from scratchnet.optim.sgd import SGD

TESTS = "tests/explain/test_equations.py"
EQUATION = re.compile(r"^\s*(?P<equation>\S.*?)\s{2,}(?P<number>\(\d\))$", re.MULTILINE)
SENTENCE = re.compile(r"[.;](?: |$)|, which | \(the ")  # what ends an equation within a sentence


@dataclass(frozen=True)
class Proof:
    """number: "(1)", or "" for the definition of forward. place: "scratchnet/ops/conv.py:38". test: a pytest node."""

    equation: str
    number: str
    line: str
    place: str
    test: str


# What is computed: (whose docstring has the equation, its number or how it starts, the function, a part of its line).
SOURCES: dict[str, tuple[Any, str, Any, str]] = {
    "conv.y": (conv, "(1)", conv.forward, "y += term"),
    "conv.dx": (conv, "(3)", conv.backward, "# (3)"),
    "conv.dweight": (conv, "(2)", conv.backward, "# (2)"),
    "conv.dbias": (Conv2d, "(4)", pixels.sum_pixels, "return"),
    "dense.y": (Linear, "y = ", Linear.forward, "return"),
    "dense.dx": (Linear, "(1)", Linear.backward, "# (1)"),
    "dense.dweight": (Linear, "(2)", Linear.backward, "# (2)"),
    "dense.dbias": (Linear, "(3)", Linear.backward, "# (3)"),
    "pool.y": (MaxPool2d, "y[i, j] = ", pool.forward, "argmax"),
    "pool.dx": (MaxPool2d, "(1)", pool.backward, "dx_ab +="),
    "norm.y": (BatchNorm2d, "y = ", norm.normalise, "return"),
    "norm.dx": (BatchNorm2d, "(4)", norm.input_gradient, "return"),
    "norm.dweight": (BatchNorm2d, "(2)", BatchNorm2d.backward, "# (2)"),
    "norm.dbias": (BatchNorm2d, "(1)", norm.backward_sums, "return"),
    "relu.y": (ReLU, "y = ", pixels.relu, "return"),
    "relu.dx": (ReLU, "(1)", pixels.relu_backward, "return"),
    "sigmoid.y": (Sigmoid, "y = ", activations.sigmoid, "return"),
    "sigmoid.dx": (Sigmoid, "(1)", Sigmoid.backward, "# (1)"),
    "flatten.y": (Flatten, "y[n] = ", Flatten.forward, "return"),
    "flatten.dx": (Flatten, "(1)", Flatten.backward, "# (1)"),
    "head.logit": (WeightedL1, "logit = ", WeightedL1.forward, "return"),
    "head.dh1": (WeightedL1, "(1)", WeightedL1.backward, "# (1)"),
    "head.dh2": (WeightedL1, "(2)", WeightedL1.backward, "# (2)"),
    "head.dweight": (WeightedL1, "(3)", WeightedL1.backward, "# (3)"),
    "head.dbias": (WeightedL1, "(4)", WeightedL1.backward, "# (4)"),
    "twins.dh": (Siamese, "logit = ", Siamese.backward, "concatenate"),
    "loss.loss": (PairCrossEntropy, "L = ", PairCrossEntropy.forward, "losses = "),
    "loss.dlogits": (PairCrossEntropy, "(1)", PairCrossEntropy.backward, "# (1)"),
    "sgd.weight": (SGD, "v <- ", update.next_velocity, "lr * g"),
}


def proofs() -> dict[str, Proof]:
    """All proofs, by what is computed: "conv.dx" and so on. Raises ScratchnetError where source and table disagree."""
    return {name: _proof(name, *source) for name, source in SOURCES.items()}


def line_of(function: Callable[..., Any], marker: str) -> tuple[str, str]:
    """The first line of `function` below its docstring that contains `marker`: "file:number", and its text."""
    function = inspect.unwrap(function)
    lines, start = inspect.getsourcelines(function)
    body = len(lines) - len(_body(lines))
    for offset, line in enumerate(lines[body:], start=body):
        if marker in line:
            return f"{function.__module__.replace('.', '/')}.py:{start + offset}", line.strip()
    raise ScratchnetError(f"no line of {function.__qualname__} contains {marker!r}")


def _body(lines: list[str]) -> list[str]:
    """The lines of a function below its docstring."""
    ends = [number for number, line in enumerate(lines) if '"""' in line]
    last = ends[0] if lines[ends[0]].count('"""') == 2 else ends[1]
    return lines[last + 1 :]


def _proof(name: str, documented: Any, which: str, function: Callable[..., Any], marker: str) -> Proof:
    equation, number = equation_of(documented, which)
    place, line = line_of(function, marker)
    return Proof(equation, number, line, place, f"{TESTS}::test_{name.replace('.', '_')}")


def equation_of(documented: Any, which: str) -> tuple[str, str]:
    """The equation in a docstring with that number, "(1)", or that starts so, and its number or ""."""
    doc = inspect.getdoc(documented) or ""
    for match in EQUATION.finditer(doc):
        if match["number"] == which:
            return re.sub(r"\s{2,}", " ", match["equation"]), which
    for line in doc.splitlines():
        if line.strip().startswith(which):
            return SENTENCE.split(line.strip())[0], ""
    raise ScratchnetError(f"the docstring of {documented.__name__} has no equation {which!r}")
