"""Runs other gradient checkers on both catalogues of planted bugs, and on the battery: bugs found, alarms, seconds.

    python benchmarks/gradcheck_peers.py [--seeds 5] [--checkers NAME ...] [--json FILE]
    python benchmarks/gradcheck_peers.py --merge A.json B.json     # one table from runs in several environments

All are given the same points, at which the bug has an effect; an exception in backward counts as caught. Alarms are
failed checks of right code: the correct layers of both catalogues, and the battery (benchmarks/gradcheck). Its
functions of up to JACOBIAN numbers in their Jacobian are small, and those of 10,000 to 100,000 entries large; in these
the battery's three mistakes are planted, too. Checkers that compute the whole Jacobian get the small ones alone. Each
checker is the library itself, with the layer wrapped as it requires; a "rule" is written here in NumPy, with the steps
and tolerances of its source. Bugs that break only the contract, not a derivative, are not given to the rules.

    scratchnet    sn.gradcheck.check with its defaults; an undecided check is neither a pass nor an alarm
    CS231n rule   10 random entries of each tensor, central h = 1e-5, |a - n| / (|a| + |n|) > 1e-4 fails
    chainer rule  one direction of length 1 over all tensors, central h = 1e-3, |a - n| <= 1e-5 + 1e-4 |n|
    torch slow    torch.autograd.gradcheck of a torch.autograd.Function: the Jacobian, h = 1e-6, 1e-5 + 1e-3 |n|
    torch fast    the same with fast_mode=True: v' J u with random non-negative unit vectors u, v
    jax           jax.test_util.check_grads(order=1, modes=["rev"]) of a jax.custom_vjp: one direction over all tensors
    autograd      autograd.test_util.check_grads(order=1, modes=["rev"]) of a primitive, for each tensor
    scipy         scipy.optimize._numdiff.check_derivative: the Jacobian, "on the order of 1e-6 or lower" passes
"""

import argparse
import importlib.util
import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from scratchnet.gradcheck import check as sn_check
from scratchnet.planted import CATALOGUE, STRANGERS
from scratchnet.planted.cases import Case

Tensors = list[np.ndarray]
BUGS = CATALOGUE | STRANGERS
JACOBIAN = 200_000
WHOLE_JACOBIAN = ("torch slow", "scipy")
GROUPS = {
    "derivatives": "{rows} wrong derivatives in our layers: found",
    "strangers": "{rows} wrong derivatives in strangers' layers: found",
    "contract bugs": "{rows} broken contracts: found",
    "one entry": "one entry doubled in {rows} large functions: found",
    "a block": "a block of zeros in them: found",
    "1 + 1e-4": "a factor of 1 + 1e-4 in them: found",
    "correct layers": "alarms in {checks} checks of correct layers",
    "small": "alarms in {checks} checks of {rows} small functions of the battery",
    "large": "alarms in {checks} checks of {rows} large ones",
}
RIGHT = ("correct layers", "small", "large")
CATALOGUES = ("derivatives", "strangers", "contract bugs", "correct layers")
TIMED = ("derivatives", "strangers", "correct layers")


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


def scratchnet(function: Function) -> bool | None:
    report = function.case.check(function.seed)
    return bool(report) if report.failed or report.problems or report else None


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


def scipy_check() -> Callable[[Function], bool | None]:
    from scipy.optimize._numdiff import check_derivative  # noqa: PLC0415 - only if installed

    def check(function: Function) -> bool:
        ends = np.cumsum([tensor.size for tensor in function.tensors])[:-1]

        def apart(x: np.ndarray) -> Tensors:
            parts = zip(np.split(x, ends), function.tensors, strict=True)
            return [part.reshape(tensor.shape) for part, tensor in parts]

        def jacobian(x: np.ndarray) -> np.ndarray:
            y, cache = function.forward(*apart(x))
            rows = [function.backward(unit.reshape(y.shape), cache) for unit in np.eye(y.size)]
            return np.array([np.concatenate([part.reshape(-1) for part in row]) for row in rows])

        x = np.concatenate([tensor.reshape(-1) for tensor in function.tensors])
        return not x.size or bool(
            check_derivative(lambda x: function.forward(*apart(x))[0].ravel(), jacobian, x) <= 1e-6
        )

    return check


def autograd_check_grads() -> Callable[[Function], bool | None]:
    from autograd.extend import defvjp_argnums, primitive  # noqa: PLC0415 - only if installed
    from autograd.test_util import check_grads  # noqa: PLC0415

    def check(function: Function) -> bool:
        layer = primitive(lambda *tensors: function.forward(*tensors)[0])

        def vjp(argnums: Any, _: Any, tensors: Any, __: Any) -> Any:
            cache = function.forward(*tensors)[1]
            return lambda dy: [function.backward(dy, cache)[k] for k in argnums]

        defvjp_argnums(layer, vjp)
        np.random.seed(function.seed)  # noqa: NPY002 - where its directions come from
        for k in range(len(function.tensors)):
            check_grads(layer, modes=["rev"], order=1, argnum=k)(*function.tensors)  # raises AssertionError
        return True

    return check


def torch_gradcheck(fast_mode: bool) -> Callable[[Function], bool | None]:
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


def jax_check_grads() -> Callable[[Function], bool | None]:
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


def checkers() -> dict[str, Callable[[Function], bool | None]]:
    """The checkers that can run here, by name."""
    available = {"scratchnet": scratchnet, "CS231n rule": cs231n_rule, "chainer rule": chainer_rule}
    if importlib.util.find_spec("torch"):
        available |= {"torch slow": torch_gradcheck(False), "torch fast": torch_gradcheck(True)}
    if importlib.util.find_spec("jax"):
        available |= {"jax": jax_check_grads()}
    if importlib.util.find_spec("autograd"):
        available |= {"autograd": autograd_check_grads()}
    if importlib.util.find_spec("scipy"):
        available |= {"scipy": scipy_check()}
    return available


class Row(NamedTuple):
    """What is checked together: functions that are all wrong by one mistake, or all right."""

    group: str
    name: str
    functions: list[Function]


def rows(seeds: int) -> Iterator[Row]:
    """The bugs of both catalogues, then right code, then mistakes in the large functions of the battery."""
    for bug in BUGS.values():
        group = "contract bugs" if bug.contract else "strangers" if bug.name in STRANGERS else "derivatives"
        points = [bug.visible_seed(seed)[0] for seed in range(seeds)]
        yield Row(group, bug.name, [Function(bug.broken_case(), point) for point in points])
    for name, case in {bug.case.name: bug.case for bug in BUGS.values()}.items():
        yield Row("correct layers", name, [Function(case, seed) for seed in range(seeds)])
    for size, case in battery():
        yield Row(size, case.right.name, [Function(case, seed) for seed in range(seeds)])
        if size == "large":
            for name, mistake in battery_module().MISTAKES.items():
                wrong = [replace(case, mistake=mistake, seed=seed) for seed in range(seeds)]
                yield Row(name, case.right.name, [Function(one, one.seed) for one in wrong])


def is_given(checker: str, group: str) -> bool:
    """Whether a group is one for this checker."""
    if group == "contract bugs":
        return not checker.endswith("rule")
    return group in CATALOGUES or group == "small" or checker not in WHOLE_JACOBIAN


def fails(check: Callable[[Function], bool | None], function: Function) -> bool:
    """Whether a check fails; any exception is a failure, as it would be for a user, and undecided is none."""
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
            return check(function) is False
    except Exception:
        return True


@dataclass(frozen=True)
class BatteryCase:
    """A right function of the battery in the form of a case, perhaps with a mistake."""

    right: Any
    mistake: Any = None
    seed: int = 0

    @property
    def layer(self) -> Any:
        if self.mistake is None:
            return self.right.layer
        return battery_module().Mistaken(self.right.layer, self.mistake, self.seed)

    @property
    def options(self) -> dict[str, Any]:
        return {}

    def draw(self, rng: np.random.Generator) -> tuple[dict[str, np.ndarray], Tensors]:
        return self.right.params(rng), self.right.draw(rng)

    def check(self, seed: int) -> Any:
        params, inputs = self.draw(np.random.default_rng(seed))
        arguments = self.right.arguments if self.mistake is None else {"contract": False, "entries": 1}
        return sn_check(self.layer, params, *inputs, seed=seed, **arguments)


def battery_module() -> Any:
    """benchmarks/gradcheck/battery.py, which is in no package."""
    sys.path.insert(0, str(Path(__file__).parent / "gradcheck"))
    import battery  # noqa: PLC0415

    return battery


def battery() -> Iterator[tuple[str, BatteryCase]]:
    """("small" or "large", right function), of those on plain arrays of no more than 100,000 entries."""
    for right in battery_module().BATTERY.values():
        case = BatteryCase(right)
        params, inputs = case.draw(np.random.default_rng(0))
        arrays = [*inputs, *params.values()]
        if all(isinstance(array, np.ndarray) and array.dtype == float for array in arrays):
            y, entries = right.layer.forward(params, *inputs)[0], sum(array.size for array in arrays)
            if isinstance(y, np.ndarray | float) and np.size(y) * entries <= JACOBIAN:
                yield "small", case
            elif isinstance(y, np.ndarray | float) and battery_module().PLANTED_FROM <= entries <= 100_000:
                yield "large", case


def measured(names: list[str], seeds: int, path: Path | None) -> dict[str, Any]:
    """For each row, how often each checker fails; and the seconds that each took for each group; written to a
    file after each row."""
    chosen = {name: check for name, check in checkers().items() if name in names}
    results: dict[str, Any] = {"seeds": seeds, "rows": [], "seconds": {name: {} for name in chosen}}
    for row in rows(seeds):
        failures = {}
        for name, check in chosen.items():
            if is_given(name, row.group):
                start = time.perf_counter()
                failures[name] = sum(fails(check, function) for function in row.functions)
                seconds = results["seconds"][name]
                seconds[row.group] = seconds.get(row.group, 0.0) + time.perf_counter() - start
        results["rows"].append({"group": row.group, "name": row.name, "failures": failures})
        print(row.group, row.name, failures, file=sys.stderr, flush=True)
        if path:
            path.write_text(json.dumps(results, indent=1) + "\n")
    return results


def table(results: dict[str, Any]) -> str:
    """Two Markdown tables: a line for each group, and one for each bug that some checker missed at some seed."""
    names, seeds = list(results["seconds"]), results["seeds"]
    by_group: dict[str, list[dict[str, Any]]] = {}
    for row in results["rows"]:
        by_group.setdefault(row["group"], []).append(row)
    head = [" | ".join(["", "", *names, ""]).strip() + "\n" + "|---" * (len(names) + 1) + "|"]
    lines = list(head)
    for group, told in GROUPS.items():
        found, right = by_group.get(group, []), group in RIGHT
        cells = []
        for name in names:
            counts = [row["failures"][name] for row in found if name in row["failures"]]
            share = f"{sum(counts)}" if right else f"{sum(counts) / (seeds * max(1, len(counts))):.1%}"
            cells.append(share if counts else "")
        lines.append(f"| {told.format(rows=len(found), checks=seeds * len(found))} | {' | '.join(cells)} |")
    checks = seeds * sum(len(by_group.get(group, [])) for group in TIMED)
    times = [1e3 * sum(results["seconds"][name].get(group, 0.0) for group in TIMED) / checks for name in names]
    lines.append(f"| milliseconds a check, in the catalogues | {' | '.join(f'{time:.2g}' for time in times)} |")
    lines += ["", *head]
    for row in (row for group in CATALOGUES if group not in RIGHT for row in by_group.get(group, [])):
        if any(count < seeds for count in row["failures"].values()):
            cells = [str(row["failures"].get(name, "")) for name in names]
            cells = [f"**{cell}**" if cell and int(cell) < seeds else cell for cell in cells]
            contract = " (contract)" if row["group"] == "contract bugs" else ""
            lines.append(f"| {row['name']}{contract} | {' | '.join(cells)} |")
    return "\n".join(lines)


def merge(files: list[Path]) -> dict[str, Any]:
    """The results of several runs with different checkers and the same seeds: the rows that all of them have."""
    first, *others = (json.loads(path.read_text()) for path in files)
    for other in others:
        first["seconds"] = other["seconds"] | first["seconds"]
        theirs = {(row["group"], row["name"]): row["failures"] for row in other["rows"]}
        first["rows"] = [row for row in first["rows"] if (row["group"], row["name"]) in theirs]
        for row in first["rows"]:
            row["failures"] = theirs[row["group"], row["name"]] | row["failures"]
    return first


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--checkers", nargs="+", metavar="NAME", help="checkers to run (default: all available)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the counts to this file")
    parser.add_argument("--merge", nargs="+", type=Path, metavar="FILE", help="only print the tables of these files")
    options = parser.parse_args()
    if options.merge:
        print(table(merge(options.merge)))
        return
    print(table(measured(options.checkers or list(checkers()), options.seeds, options.json)))


if __name__ == "__main__":
    main()
