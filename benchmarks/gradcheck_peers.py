"""Runs other gradient checkers on both catalogues of planted bugs: at how many seeds does each catch each bug?

    python benchmarks/gradcheck_peers.py [--seeds 40] [--checkers NAME ...] [--json FILE]
    python benchmarks/gradcheck_peers.py --merge A.json B.json     # one table from runs in several environments

A checker called "rule" is that library's rule with its default steps and tolerances, written in NumPy. The others are
the libraries themselves, if installed, with the layer wrapped as they require. All are given the same points, at which
the bug has an effect; an exception in backward counts as caught. The last line counts false alarms: failed checks of
correct layers, and of the small right functions of the battery (benchmarks/gradcheck). Bugs that break only the
contract, not a derivative, are not given to the rules.

    scratchnet           sn.gradcheck.check with its defaults
    CS231n rule          10 random entries of each tensor, central h = 1e-5, |a - n| / (|a| + |n|) > 1e-4 fails
    torch slow rule      the whole Jacobian, central h = 1e-6, |a - n| <= 1e-5 + 1e-3 |n|
    torch fast rule      v' J u with fixed non-negative unit vectors u, v; tolerance 1e-5 sum(u) sum(v) + 1e-3 |n|
    chainer rule         one direction of length 1 over all tensors, central h = 1e-3, |a - n| <= 1e-5 + 1e-4 |n|
    jax rule             one fixed Gaussian direction and cotangent, central h = 1e-4, |a - n| <= 1e-5 + 1e-5 |n|
    autograd rule        one Gaussian direction and cotangent, central h = 1e-6, 1e-6 absolute or of |a + n|
    scipy rule           check_derivative: whole Jacobian, 3-point, h = 6e-6 max(1, |x|), |a - n| <= 1e-6 max(1, |n|)
    torch slow, fast     torch.autograd.gradcheck(fast_mode=False, True) on a torch.autograd.Function
    jax                  jax.test_util.check_grads(order=1, modes=["rev"]) on a jax.custom_vjp
"""

import argparse
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from scratchnet.gradcheck import check as sn_check
from scratchnet.planted import CATALOGUE, STRANGERS
from scratchnet.planted.cases import Case

Tensors = list[np.ndarray]
BUGS = CATALOGUE | STRANGERS
BATTERY_ALARMS = "battery"


@dataclass(frozen=True)
class Function:
    """A case at a point in the form that other checkers take: a function of a list of tensors, and its backward."""

    case: Case
    seed: int

    @cached_property
    def _drawn(self) -> tuple[dict[str, np.ndarray], Tensors]:
        return self.case.draw(np.random.default_rng(self.seed))

    @property
    def tensors(self) -> Tensors:
        """The inputs, then the parameters that have a gradient."""
        params, inputs = self._drawn
        return [*inputs, *(params[name] for name in self._trainable)]

    @property
    def _trainable(self) -> list[str]:
        return [name for name in self._drawn[0] if not name.startswith("running_")]

    def rng(self) -> np.random.Generator:
        """The generator for a checker's directions, independent of that of the point."""
        return np.random.default_rng([self.seed, 1])

    def forward(self, *tensors: np.ndarray) -> tuple[np.ndarray, Any]:
        params, inputs = self._drawn
        changed = dict(zip(self._trainable, tensors[len(inputs) :], strict=True))
        y, cache = self.case.layer.forward(params | changed, *tensors[: len(inputs)], **self.case.options)
        return np.asarray(y), cache

    def backward(self, dy: np.ndarray, cache: Any) -> Tensors:
        """A gradient for each tensor, None if backward forgot it."""
        dinputs, grads = self.case.layer.backward(dy, cache)
        dinputs = dinputs if isinstance(dinputs, tuple) else (dinputs,)
        return [*dinputs, *(grads.get(name) for name in self._trainable)]

    def slope(self, directions: Tensors, h: float) -> np.ndarray:
        """The central difference of y when each tensor moves by h times its direction."""
        ends = [
            self.forward(*(t + step * r for t, r in zip(self.tensors, directions, strict=True)))[0] for step in (h, -h)
        ]
        return (ends[0] - ends[1]) / (2 * h)

    def gradients(self, dy: np.ndarray) -> Tensors:
        return self.backward(dy, self.forward(*self.tensors)[1])


def scratchnet(function: Function) -> bool:
    return bool(function.case.check(function.seed))


def cs231n_rule(function: Function) -> bool:
    rng = function.rng()
    dy = np.asarray(rng.standard_normal(function.forward(*function.tensors)[0].shape))
    for k, gradient in enumerate(function.gradients(dy)):
        for _ in range(10 if gradient.size else 0):
            index = tuple(rng.integers(size) for size in gradient.shape)
            directions = [np.zeros(t.shape) for t in function.tensors]
            directions[k][index] = 1.0
            numeric, analytic = (dy * function.slope(directions, 1e-5)).sum(), gradient[index]
            if abs(numeric - analytic) > 1e-4 * (abs(numeric) + abs(analytic)):
                return False
    return True


def torch_slow_rule(function: Function) -> bool:
    y, cache = function.forward(*function.tensors)
    rows = [function.backward(unit.reshape(y.shape), cache) for unit in np.eye(y.size)]
    for k, tensor in enumerate(function.tensors):
        analytic = np.array([row[k].reshape(-1) for row in rows]).reshape(y.size, tensor.size).T
        directions = [np.zeros(t.shape) for t in function.tensors]
        for entry in range(tensor.size):
            directions[k].flat[entry] = 1.0
            numeric = function.slope(directions, 1e-6).reshape(-1)
            directions[k].flat[entry] = 0.0
            if not np.allclose(analytic[entry], numeric, rtol=1e-3, atol=1e-5):
                return False
    return True


def torch_fast_rule(function: Function) -> bool:
    rng = np.random.default_rng(0)  # like torch, which creates a new generator in every call

    def unit(shape: tuple[int, ...]) -> np.ndarray:
        vector = np.asarray(rng.random(shape))
        return vector / max(np.linalg.norm(vector), 1e-300)

    us = [unit(t.shape) for t in function.tensors]
    v = unit(function.forward(*function.tensors)[0].shape)
    for k, gradient in enumerate(function.gradients(v)):
        directions = [np.zeros(t.shape) for t in function.tensors]
        directions[k] = u = us[k]
        numeric, analytic = (v * function.slope(directions, 1e-6)).sum(), (gradient * u).sum()
        if not np.allclose(analytic, numeric, rtol=1e-3, atol=1e-5 * u.sum() * v.sum()):
            return False
    return True


def chainer_rule(function: Function) -> bool:
    rng = function.rng()
    dy = np.asarray(rng.uniform(-1, 1, function.forward(*function.tensors)[0].shape))
    drawn = [np.asarray(rng.standard_normal(t.shape)) for t in function.tensors]
    least = 0.1 / np.sqrt(sum(r.size for r in drawn))
    length = np.sqrt(sum((r * r).sum() for r in drawn))
    directions = [np.copysign(np.maximum(abs(r / length), least), r) for r in drawn]
    numeric = (dy * function.slope(directions, 1e-3)).sum()
    analytic = sum((g * r).sum() for g, r in zip(function.gradients(dy), directions, strict=True))
    return bool(np.allclose(analytic, numeric, rtol=1e-4, atol=1e-5))


def jax_rule(function: Function) -> bool:
    rng = np.random.RandomState(0)
    directions = [np.asarray(rng.standard_normal(t.shape)) for t in function.tensors]
    dy = np.asarray(rng.standard_normal(function.forward(*function.tensors)[0].shape))
    numeric = (dy * function.slope(directions, 1e-4)).sum()
    analytic = sum((g * r).sum() for g, r in zip(function.gradients(dy), directions, strict=True))
    return bool(np.allclose(analytic, numeric, rtol=1e-5, atol=1e-5))


def autograd_rule(function: Function) -> bool:
    rng = function.rng()
    directions = [np.asarray(rng.standard_normal(t.shape)) for t in function.tensors]
    dy = np.asarray(rng.standard_normal(function.forward(*function.tensors)[0].shape))
    for k, gradient in enumerate(function.gradients(dy)):
        alone = [r if i == k else 0 * r for i, r in enumerate(directions)]
        numeric, analytic = (dy * function.slope(alone, 1e-6)).sum(), (gradient * directions[k]).sum()
        if abs(numeric - analytic) >= 1e-6 * max(1.0, abs(numeric + analytic)):
            return False
    return True


def scipy_rule(function: Function) -> bool:
    y, cache = function.forward(*function.tensors)
    rows = [function.backward(unit.reshape(y.shape), cache) for unit in np.eye(y.size)]
    for k, tensor in enumerate(function.tensors):
        analytic = np.array([row[k].reshape(-1) for row in rows]).reshape(y.size, tensor.size)
        directions = [np.zeros(t.shape) for t in function.tensors]
        for entry in range(tensor.size):
            directions[k].flat[entry] = 1.0
            h = np.finfo(float).eps ** (1 / 3) * max(1.0, abs(tensor.flat[entry]))
            numeric = function.slope(directions, h).reshape(-1)
            directions[k].flat[entry] = 0.0
            if not (abs(analytic[:, entry] - numeric) <= 1e-6 * np.maximum(1, abs(numeric))).all():
                return False
    return True


def torch_gradcheck(fast_mode: bool) -> Callable[[Function], bool]:
    import torch  # noqa: PLC0415 - only if installed

    class Wrapped(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, function: Function, *tensors: Any) -> Any:
            y, cache = function.forward(*(t.detach().numpy() for t in tensors))
            ctx.function, ctx.kept = function, cache
            return torch.from_numpy(np.array(y))

        @staticmethod
        def backward(ctx: Any, dy: Any) -> Any:
            gradients = ctx.function.backward(dy.numpy(), ctx.kept)
            return None, *(None if g is None else torch.from_numpy(np.asarray(g)) for g in gradients)

    def check(function: Function) -> bool:
        # Copied into tensors that torch allocates: it rejects the strides of 0 of NumPy's empty arrays.
        tensors = [torch.zeros(t.shape, dtype=torch.float64).copy_(torch.from_numpy(t)) for t in function.tensors]
        tensors = [t.requires_grad_() for t in tensors]
        return torch.autograd.gradcheck(
            lambda *t: Wrapped.apply(function, *t), tensors, fast_mode=fast_mode, raise_exception=False
        )

    return check


def jax_check_grads() -> Callable[[Function], bool]:
    import jax  # noqa: PLC0415 - only if installed
    from jax.test_util import check_grads  # noqa: PLC0415

    jax.config.update("jax_enable_x64", True)

    def check(function: Function) -> bool:
        def shape_of(array: Any) -> Any:
            return jax.ShapeDtypeStruct(array.shape, np.float64)

        def host(*tensors: Any) -> Tensors:
            return [np.array(t) for t in tensors]

        y = shape_of(function.forward(*function.tensors)[0])
        layer = jax.custom_vjp(lambda *t: jax.pure_callback(lambda *a: function.forward(*host(*a))[0], y, *t))

        def backward(tensors: Any, dy: Any) -> Any:
            def on_host(dy: Any, *tensors: Any) -> tuple[np.ndarray, ...]:
                return tuple(function.backward(np.array(dy), function.forward(*host(*tensors))[1]))

            return jax.pure_callback(on_host, tuple(map(shape_of, tensors)), dy, *tensors)

        layer.defvjp(lambda *t: (layer(*t), t), backward)
        try:
            check_grads(layer, tuple(function.tensors), order=1, modes=["rev"])  # raises AssertionError
        finally:
            jax.clear_caches()  # code compiled for this layer is never reused
        return True

    return check


def checkers() -> dict[str, Callable[[Function], bool]]:
    """The checkers that can run here, by name."""
    available = {
        "scratchnet": scratchnet,
        "CS231n rule": cs231n_rule,
        "torch slow rule": torch_slow_rule,
        "torch fast rule": torch_fast_rule,
        "chainer rule": chainer_rule,
        "jax rule": jax_rule,
        "autograd rule": autograd_rule,
        "scipy rule": scipy_rule,
    }
    if importlib.util.find_spec("torch"):
        available |= {"torch slow": torch_gradcheck(False), "torch fast": torch_gradcheck(True)}
    if importlib.util.find_spec("jax"):
        available |= {"jax": jax_check_grads()}
    return available


def passes(check: Callable[[Function], bool], function: Function) -> bool:
    """Whether a function passes a checker; any exception counts as a failed check, as it would for a user."""
    try:
        with np.errstate(all="ignore"):
            return check(function)
    except Exception:
        return False


def rows(names: list[str], seeds: int) -> Iterator[tuple[str, dict[str, int]]]:
    """(bug, catches by checker) for each bug, and finally the false alarms under the name ""."""
    chosen = {name: check for name, check in checkers().items() if name in names}
    for bug in BUGS.values():
        points = [bug.visible_seed(seed)[0] for seed in range(seeds)]
        yield (
            bug.name,
            {
                name: sum(not passes(check, Function(bug.broken_case(), point)) for point in points)
                for name, check in chosen.items()
                if not (bug.contract and name.endswith("rule"))
            },
        )
    correct = [bug.case for bug in {bug.case.name: bug for bug in BUGS.values()}.values()]
    for kind, cases in (("", correct), (BATTERY_ALARMS, small_battery())):
        alarms = {
            name: sum(not passes(check, Function(case, seed)) for case in cases for seed in range(seeds))
            for name, check in chosen.items()
        }
        yield kind, alarms


@dataclass(frozen=True)
class BatteryCase:
    """A right function of the battery in the form of a case."""

    right: Any

    @property
    def layer(self) -> Any:
        return self.right.layer

    @property
    def options(self) -> dict[str, Any]:
        return {}

    def draw(self, rng: np.random.Generator) -> tuple[dict[str, np.ndarray], Tensors]:
        return self.right.params(rng), self.right.draw(rng)

    def check(self, seed: int) -> Any:
        params, inputs = self.draw(np.random.default_rng(seed))
        return sn_check(self.right.layer, params, *inputs, seed=seed, **self.right.arguments)


def small_battery() -> list[Any]:
    """The right functions on plain arrays of so few entries that a whole Jacobian can be computed."""
    sys.path.insert(0, str(Path(__file__).parent / "gradcheck"))
    from right_layers import BATTERY  # noqa: PLC0415, not a package

    found = []
    for right in BATTERY.values():
        case = BatteryCase(right)
        params, inputs = case.draw(np.random.default_rng(0))
        arrays = [*inputs, *params.values()]
        if all(isinstance(array, np.ndarray) and array.dtype == float for array in arrays):
            y = right.layer.forward(params, *inputs)[0]
            if isinstance(y, np.ndarray | float) and np.size(y) * sum(array.size for array in arrays) <= 200_000:
                found.append(case)
    return found


def table(results: dict[str, Any]) -> str:
    """A Markdown table: a line for each bug that some checker missed at some seed, and the number of the others."""
    names, seeds = results["checkers"], results["seeds"]
    lines = ["| bug | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    always = 0
    for bug, catches in results["bugs"].items():
        if all(catches.get(name, seeds) == seeds for name in names) and bug not in results["contract"]:
            always += 1
            continue
        cells = [f"{catches[name]}" if name in catches else "" for name in names]
        cells = [f"**{cell}**" if cell and int(cell) < seeds else cell for cell in cells]
        lines.append(f"| {bug}{' (contract)' if bug in results['contract'] else ''} | {' | '.join(cells)} |")
    lines.append(f"| {always} more bugs | " + " | ".join([str(seeds)] * len(names)) + " |")
    for kind, contract in (("derivative", False), ("contract", True)):
        kept = [catches for bug, catches in results["bugs"].items() if (bug in results["contract"]) == contract]
        cells = [f"{sum(c[name] for c in kept) / (seeds * len(kept)):.1%}" if name in kept[0] else "" for name in names]
        lines.append(f"| **all {len(kept)} {kind} bugs** | {' | '.join(cells)} |")
    alarms = [f"{results['false_alarms'][name] / results['correct_checks']:.1%}" for name in names]
    alarms_in = f"false alarms in {results['correct_checks']} checks of correct layers"
    lines.append(f"| **{alarms_in}** | {' | '.join(alarms)} |")
    alarms = [f"{results['battery_alarms'][name] / results['battery_checks']:.1%}" for name in names]
    lines.append(f"| **false alarms in {results['battery_checks']} checks of the battery** | {' | '.join(alarms)} |")
    return "\n".join(lines)


def merge(files: list[Path]) -> dict[str, Any]:
    """Combine the results of several runs with different checkers and the same seeds."""
    first, *others = (json.loads(path.read_text()) for path in files)
    for other in others:
        new = [name for name in other["checkers"] if name not in first["checkers"]]
        first["checkers"] += new
        for name in new:
            for alarms in ("false_alarms", "battery_alarms"):
                first[alarms][name] = other[alarms][name]
            for bug, catches in other["bugs"].items():
                first["bugs"][bug] |= {name: catches[name]} if name in catches else {}
    return first


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--checkers", nargs="+", metavar="NAME", help="checkers to run (default: all available)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the counts to this file")
    parser.add_argument("--merge", nargs="+", type=Path, metavar="FILE", help="only print a table of these files")
    options = parser.parse_args()
    if options.merge:
        print(table(merge(options.merge)))
        return
    names = options.checkers or list(checkers())
    bugs: dict[str, dict[str, int]] = {}
    for bug, catches in rows(names, options.seeds):
        bugs[bug] = catches
        print(bug or "false alarms", catches, file=sys.stderr, flush=True)
    results = {
        "seeds": options.seeds,
        "checkers": names,
        "false_alarms": bugs.pop(""),
        "battery_alarms": bugs.pop(BATTERY_ALARMS),
        "bugs": bugs,
        "contract": [bug.name for bug in BUGS.values() if bug.contract],
        "correct_checks": options.seeds * len({bug.case.name for bug in BUGS.values()}),
        "battery_checks": options.seeds * len(small_battery()),
    }
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    print(table(results))


if __name__ == "__main__":
    main()
