"""How accurate can a difference be? The error of central differences as a function of step size, 1e-1 to 1e-12.

Truncation dominates for large steps, as h^2 at order 2 and h^4 at order 4; rounding for small ones, as eps / h. On
log-log axes the error is a valley with walls of slope +2 (or +4) and -1. For a wrong gradient there is no valley: the
error is flat at the size of the mistake.
"""

import importlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scratchnet.backend import Array, Params
from scratchnet.errors import ScratchnetError, install_extra
from scratchnet.gradcheck.differences import slope
from scratchnet.gradcheck.faults import expect_tensor
from scratchnet.gradcheck.point import Point, dot, gaussian_like, norm

STEPS = np.logspace(-1, -12, 45)
MARKS = {2: "2", 4: "4"}
HEIGHT = 18


@dataclass(frozen=True)
class Sweep:
    """Errors of the derivative along one direction: errors[order][i] at steps[i], for orders 2 and 4.

    They are relative to the norm of the gradient from backward, which is taken as the truth.
    """

    name: str
    steps: np.ndarray
    errors: dict[int, np.ndarray]

    def best(self, order: int) -> tuple[float, float]:
        """(step, error) at the bottom of the valley, for order 2 or 4."""
        lowest = int(np.argmin(self.errors[order]))
        return float(self.steps[lowest]), float(self.errors[order][lowest])

    def truncation_slope(self, order: int) -> float:
        """The log-log slope of the error over steps larger than the best; NaN with too few of them."""
        step, error = self.best(order)
        errors = self.errors[order]
        return _fit(self.steps, errors, (self.steps > 3 * step) & (errors > 30 * error) & (errors < 0.1))

    def rounding_slope(self, order: int) -> float:
        """The log-log slope of the error over steps smaller than the best; NaN with too few of them."""
        step, _ = self.best(order)
        return _fit(self.steps, self.errors[order], (self.steps < step / 10) & (self.errors[order] < 1))

    def __str__(self) -> str:
        """A text plot of the valley, with marks 2 and 4 for the orders and * where they coincide."""
        exponents = {order: np.log10(np.maximum(errors, 1e-17)) for order, errors in self.errors.items()}
        top = math.ceil(max(values.max() for values in exponents.values()))
        bottom = math.floor(min(values.min() for values in exponents.values()))
        rows = min(HEIGHT, top - bottom) + 1
        grid = [[" "] * len(self.steps) for _ in range(rows)]
        for order, values in exponents.items():
            for column, value in enumerate(values):
                row = round((top - value) / (top - bottom) * (rows - 1))
                grid[row][column] = MARKS[order] if grid[row][column] == " " else "*"
        lines = [f"relative error of central differences of order 2 and 4 in {self.name}"]
        for row, marks in enumerate(grid):
            lines.append(f"{10 ** (top - row * (top - bottom) / (rows - 1)):7.0e} |{''.join(marks).rstrip()}")
        lines.append(" " * 8 + "+" + "-" * len(self.steps))
        lines.append(" " * 9 + f"{'1e-01':<{len(self.steps) - 5}}1e-12  step")
        for order in self.errors:
            step, error = self.best(order)
            slopes = f"{self.truncation_slope(order):+.1f} (truncation), {self.rounding_slope(order):+.1f} (rounding)"
            lines.append(f"order {order}: best {error:.0e} at step {step:.0e}; slopes {slopes}")
        return "\n".join(lines)

    def save(self, path: str | Path) -> None:
        """Save the plot as an image. Raises ScratchnetError if matplotlib is not installed."""
        try:
            Figure = importlib.import_module("matplotlib.figure").Figure
        except ImportError as cause:
            raise ScratchnetError(
                f"saving a plot needs matplotlib, which is not installed; {install_extra('study')}, or print the sweep"
            ) from cause
        figure = Figure(figsize=(6, 4), layout="constrained")
        axes = figure.subplots()
        for order, errors in self.errors.items():
            axes.loglog(self.steps, np.maximum(errors, 1e-17), marker=".", label=f"order {order}")
        axes.set(xlabel="step", ylabel="relative error", title=f"Central differences in {self.name}")
        axes.grid(alpha=0.3)
        axes.legend()
        figure.savefig(path, dpi=150)


def sweep(layer: Any, params: Params, *inputs: Array, of: str | None = None, seed: int = 0, **options: Any) -> Sweep:
    """Measure the error at every step size for one tensor, along a random direction with a random cotangent.

    layer, params, inputs and options as for `check`; `of` is an input or a parameter, by default the first input.
    Raises ScratchnetError if there is no tensor of that name, or its gradient is zero.
    """
    rng, point = np.random.default_rng(seed), Point(layer, params, inputs, options)
    name = of or next(iter(point.tensors))
    expect_tensor(point, name)
    y, cache = point.forward()
    dy = gaussian_like(y, rng)
    gradient = point.backward(dy, cache).get(name)
    if gradient is None or norm(gradient) == 0:
        raise ScratchnetError(f"the gradient of {name} is zero or missing here: there is no relative error to measure")
    direction = gaussian_like(gradient, rng)
    analytic, size = dot(gradient, direction), norm(gradient)

    def order_2(step: float) -> float:
        return slope(point, name, direction, dy, step).value

    errors = {
        2: np.array([order_2(h) - analytic for h in STEPS]),
        4: np.array([(4 * order_2(h) - order_2(2 * h)) / 3 - analytic for h in STEPS]),
    }
    return Sweep(name, STEPS, {order: np.abs(values) / size for order, values in errors.items()})


def _fit(steps: np.ndarray, errors: np.ndarray, chosen: np.ndarray) -> float:
    """The slope of a line through the chosen points on log-log axes; NaN for fewer than three."""
    chosen = chosen & (errors > 0)
    if chosen.sum() < 3:
        return math.nan
    return float(np.polyfit(np.log(steps[chosen]), np.log(errors[chosen]), 1)[0])
