"""Break it: bugs of the catalogue, planted in the network of the page, and which checks would have missed them."""

import inspect
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scratchnet.backend import Array, Params, to_host
from scratchnet.explain.numbers import Numbers
from scratchnet.explain.one_step import loss_after
from scratchnet.explain.proofs import proofs
from scratchnet.explain.stages import Stage, stages
from scratchnet.layers import Conv2d
from scratchnet.layers.protocol import add_prefix
from scratchnet.layers.trace import LayerTrace, Trace
from scratchnet.models.pair_trace import Pairs, StepTrace
from scratchnet.models.siamese import SiameseNet
from scratchnet.planted.bug import CATALOGUE, ForwardPass, PlantedBug

# The bugs that are shown, and the gradient that each gets wrong.
SHOWN = {
    "channels not transposed": "dx",
    "kernel not flipped": "dx",
    "only one twin counted": "dweight",
    "averaged over the batch twice": "dweight",
    "pool shares evenly": "dx",
    "relu mask missing": "dx",
    "batch variance held constant": "dx",
    "cotangent ignored": "dx",
}
ONE_TWIN = "only one twin counted"
RATE = 0.03  # of the step that asks whether the loss still falls
CLOSE = 1e-3  # relative; a common tolerance of home-made checks
SPOTS = 10  # entries that a spot check looks at


@dataclass(frozen=True)
class Broken:
    """A planted bug in one layer. wrong: the gradient as the page shows the right one. checks: what finds it."""

    bug: PlantedBug
    stage: int
    gradient: str
    wrong: np.ndarray
    code: list[str]
    place: str
    line: str
    checks: list[tuple[str, bool, str]]  # a check, whether it finds the bug, and what it saw


def broken(net: SiameseNet, pairs: Pairs, step: StepTrace, numbers: Numbers) -> list[Broken]:
    """The bugs of SHOWN that this network has a layer for, each in the last layer that it fits."""
    found = []
    for name, gradient in SHOWN.items():
        bug = CATALOGUE[name]
        fitting = [i for i, stage in enumerate(numbers.stages) if _fits(bug, stage)]
        if fitting:
            found.append(_break(net, pairs, step, numbers, bug, fitting[-1], gradient))
    return found


def _fits(bug: PlantedBug, stage: Stage) -> bool:
    layer = stage.at.layer
    if bug.name == ONE_TWIN:
        return isinstance(layer, Conv2d)
    if type(layer) is not type(bug.case.layer):
        return False
    if not isinstance(layer, Conv2d):
        return True
    kh, kw, C, O = layer.weight_shape
    return kh == kw > 1 and (C == O or bug.name != "channels not transposed")


def _break(
    net: SiameseNet, pairs: Pairs, step: StepTrace, numbers: Numbers, bug: PlantedBug, number: int, gradient: str
) -> Broken:
    right = numbers.stages[number]
    with_ones = None
    if bug.name == ONE_TWIN:
        right_dh = step.encoder.layers[-1].dy
        dh = np.where(np.arange(len(right_dh))[:, None] < step.pairs, right_dh, 0).astype(right_dh.dtype)
        trace = step.encoder.backward(dh)
    else:
        at = _by_definition(right.at)
        trace = _backward_with(step.encoder, number, *_wrong(bug, at, at.dy))
        ones = np.ones_like(at.dy)
        with_ones = _pick(gradient, *_wrong(bug, at, ones)), _pick(gradient, *at.layer.backward(ones, at.cache))
    broken_stage = stages(trace)[number]
    both = [_pick(gradient, stage.dx, stage.grads) for stage in (right, broken_stage)]
    grads = step.grads | add_prefix("encoder", trace.grads)
    losses = float(to_host(step.loss)), *(loss_after(net, pairs, step, each, RATE) for each in (step.grads, grads))
    shown = _shown(gradient, both[1], numbers, number, step.pairs)
    proof = proofs()["twins.dh" if bug.name == ONE_TWIN else f"{right.kind}.{gradient}"]
    checks = _checks(bug, both[0], both[1], with_ones, losses)
    return Broken(bug, number, gradient, shown, _code(bug), proof.place, proof.line, checks)


def _wrong(bug: PlantedBug, at: LayerTrace, dy: Array) -> tuple[Any, Params]:
    """(dx, grads) as the careless programmer computes them."""
    return bug.plant(at.layer).wrong_backward(dy, ForwardPass(at.layer, at.params, (at.x,), at.y, at.cache))


def _by_definition(at: LayerTrace) -> LayerTrace:
    """The same, with the plain algorithm of a convolution, which the bugs are written for."""
    if not isinstance(at.layer, Conv2d):
        return at
    layer = replace(at.layer, algorithm="offsets")
    return replace(at, layer=layer, cache=layer.forward(at.params, at.x)[1])


def _backward_with(trace: Trace, number: int, dx: Any, grads: Params) -> Trace:
    """The way back with a wrong (dx, grads) in one layer, and what it does to the layers before it."""
    layers = list(trace.layers)
    layers[number] = replace(layers[number], dx=dx, grads=grads)
    for i in reversed(range(number)):
        layers[i] = layers[i].backward(layers[i + 1].dx)
    return Trace(tuple(layers))


def _pick(gradient: str, dx: Any, grads: Params) -> np.ndarray:
    return to_host(dx if gradient == "dx" else grads[gradient.removeprefix("d")])


def _shown(gradient: str, wrong: np.ndarray, numbers: Numbers, number: int, pairs: int) -> np.ndarray:
    """The shown part of a gradient, in the form of `numbers`: g{i} or dw{i}."""
    shown_in, shown_out = numbers.channels[number], numbers.channels[number + 1]
    if gradient == "dx":
        return wrong[:, :, (0, pairs)][..., shown_in].transpose(2, 3, 0, 1)
    return wrong[:, :, shown_in][..., shown_out].transpose(3, 2, 0, 1)


def _checks(
    bug: PlantedBug, right: np.ndarray, wrong: np.ndarray, with_ones: Any, losses: Sequence[float]
) -> list[tuple[str, bool, str]]:
    """Every check with whether it finds the bug and what it saw, the weakest first."""
    before, after_right, after_wrong = losses
    fine = np.isclose(wrong, right, rtol=CLOSE, atol=CLOSE * abs(right).max())
    unseen = float(fine.mean() ** SPOTS)
    fall = f"{before:.3f} to {after_wrong:.3f} in a step at rate {RATE}; with the right gradient to {after_right:.3f}"
    checks = [
        ("The shapes agree", right.shape != wrong.shape, f"{_shape(wrong)} and {_shape(right)}"),
        ("The loss falls", after_wrong >= before, fall),
    ]
    if with_ones is not None:
        ones_wrong, ones_right = with_ones
        gap = _gap(ones_wrong, ones_right, least=CLOSE * np.sqrt(ones_right.size))
        checks.append(("A check of y.sum(), where dy is all ones", gap > CLOSE, f"relative error {gap:.2g}"))
    checks.append((f"{SPOTS} entries at random", unseen < 0.5, f"would miss it in {unseen:.0%} of tries"))
    gap = _gap(wrong, right)
    checks.append((f"All entries, relative tolerance {CLOSE}", gap > CLOSE, f"relative error {gap:.2g}"))
    caught = bug.examine(bug.visible_seed(0)[0])[0]
    checks.append(("scratchnet gradcheck", caught, "on a small layer, seed 0"))
    return checks


def _gap(wrong: np.ndarray, right: np.ndarray, least: float = 0.0) -> float:
    """The relative error; against `least`, if the right gradient is smaller."""
    return float(np.linalg.norm(wrong - right) / max(float(np.linalg.norm(right)), least, 1e-30))


def _shape(array: np.ndarray) -> str:
    return " x ".join(map(str, array.shape))


def _code(bug: PlantedBug) -> list[str]:
    """The lines of the wrong backward below its docstring."""
    lines = inspect.getsource(bug.plant.keywords["wrong_backward"]).splitlines()  # type: ignore[attr-defined]
    end = next(number for number, line in enumerate(lines) if line.rstrip().endswith('"""'))
    return textwrap.dedent("\n".join(lines[end + 1 :])).strip().splitlines()
