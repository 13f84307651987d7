"""Is backward the derivative of forward? Random directions, complex step or central differences.

With a cotangent c and a direction r, both Gaussian, the check compares for each tensor t

    numeric  = sum of c * d/dh forward(t + h r) at h = 0        by differences, through forward alone
    analytic = sum of r * dt                                    with dt from backward(c)

The complex step takes the imaginary part of forward(t + i h r) / h. Nothing is subtracted, so h can be 1e-30 and
the derivative is exact to rounding (Squire and Trapp 1998). It needs a forward that can compute in complex128.
Central differences, (forward(t + h r) - forward(t - h r)) / 2h, do for any forward, to about nine digits; where a kink
(of a ReLU, say) lies within the step, they fail a right gradient, and another seed tells.

Why random numbers and never ones: a cotangent of ones hides every error that sums to zero. With Gaussian r an
error e in dt shows as e . r, which is N(0, |e|^2), whatever the dimension. It passes a bound tau |dt| in k directions
with a probability of at most (sqrt(2 / pi) tau |dt| / |e|)^k.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from scratchnet.backend import Array, Params, device_of, to_host
from scratchnet.errors import ScratchnetError

COMPLEX_STEP = 1e-30
CENTRAL_STEP = 6e-6  # the cube root of the rounding error of float64, which balances it against truncation
TOLERANCE = {"complex": 1e-10, "central": 1e-6}
VANISHING = {"complex": 1e-13, "central": 1e-9}  # a gradient below this share of the largest one tells nothing
DIRECTIONS = 2


@dataclass(frozen=True)
class TensorCheck:
    """One input or parameter: its worst relative error, |numeric - analytic| / max(|dt|, |numeric|).

    vanishing: the gradient is zero to rounding both ways, as that of a bias before batch norm. It agrees, and proves
    nothing.
    """

    name: str
    shape: tuple[int, ...]
    error: float
    method: str
    vanishing: bool = False

    @property
    def passed(self) -> bool:
        return self.error <= TOLERANCE[self.method]  # False for NaN

    def __str__(self) -> str:
        verdict = "ok  " if self.passed else "FAIL"
        finding = "zero gradient, proves nothing" if self.vanishing else f"relative error {self.error:.1e}"
        return f"{verdict}  {self.name} {self.shape}: {finding} ({self.method}, at most {TOLERANCE[self.method]:.0e})"


@dataclass(frozen=True)
class Report:
    """What `check` found. Truthy when every tensor passed; its text names those that did not."""

    tensors: tuple[TensorCheck, ...]
    seed: int

    @property
    def error(self) -> float:
        """The largest relative error of all tensors."""
        return float(np.max([tensor.error for tensor in self.tensors], initial=0.0))

    def __bool__(self) -> bool:
        return bool(self.tensors) and all(tensor.passed for tensor in self.tensors)

    def __str__(self) -> str:
        lines = [str(tensor) for tensor in self.tensors]
        return "\n".join([*lines, f"seed {self.seed}, {DIRECTIONS} random directions a tensor"])


def check(
    layer: Any, params: Params, *inputs: Array, seed: int = 0, method: str = "complex",
    without_gradient: Collection[str] = (), **options: Any,
) -> Report:
    """Compare layer.backward with differences of layer.forward, for each input and each parameter.

    layer: any object with forward(params, *inputs) -> (y, cache) and backward(dy, cache) -> (dinputs, grads), where
    dinputs is one array, or a tuple for several inputs. params and inputs: float64, of any shape, on any device.
    method: "complex", or "central" where forward cannot take complex numbers (it uses abs, say). without_gradient:
    the parameters that backward rightly leaves out, such as running statistics. Options go to forward.
    Raises ScratchnetError when backward returns other tensors or shapes than it should, or anything is not float64.
    """
    if method not in TOLERANCE:
        raise ScratchnetError(f"method {method!r} is none of {', '.join(TOLERANCE)}")
    for name, tensor in [*zip(_input_names(inputs), inputs, strict=True), *params.items()]:
        if tensor.dtype.name != "float64":
            raise ScratchnetError(f"{name} is {tensor.dtype}, expected float64: layer.init(rng, np.float64)")
    rng = np.random.default_rng(seed)
    y, cache = layer.forward(params, *inputs, **options)
    dy = _gaussian_like(y, rng)
    dinputs, grads = layer.backward(dy, cache)
    dinputs = dinputs if isinstance(dinputs, tuple) else (dinputs,)

    tensors = []
    if forgotten := sorted(params.keys() - grads.keys() - set(without_gradient)):
        raise ScratchnetError(f"backward returned no gradient of {', '.join(forgotten)}: name what has none in "
                              "without_gradient")
    compared = list(_with_gradients(params, inputs, dinputs, grads))
    largest = max((_norm(gradient) for _, _, gradient in compared), default=0.0)
    for name, tensor, gradient in compared:
        differences, sizes = [], [_norm(gradient)]
        for _ in range(DIRECTIONS):
            direction = _gaussian_like(tensor, rng)
            numeric = _derivative(layer, params, inputs, name, direction, dy, method, options)
            differences.append(abs(numeric - float(to_host((gradient * direction).sum()))))
            sizes.append(abs(numeric))
        vanishing = max(sizes) <= VANISHING[method] * largest
        error = 0.0 if vanishing else float(np.max(differences)) / max(sizes)
        tensors.append(TensorCheck(name, tuple(tensor.shape), error, method, vanishing))
    return Report(tuple(tensors), seed)


def _with_gradients(
    params: Params, inputs: tuple[Array, ...], dinputs: tuple[Array, ...], grads: Params
) -> Iterator[tuple[str, Array, Array]]:
    """(name, tensor, gradient) of the inputs, called x1, x2, ... or x, and of the parameters in `grads`."""
    if shared := sorted(params.keys() & set(_input_names(inputs))):
        raise ScratchnetError(f"a parameter is called {shared[0]} like an input: give it another name")
    if len(dinputs) != len(inputs):
        raise ScratchnetError(f"backward returned {len(dinputs)} input gradients for {len(inputs)} inputs")
    unknown = grads.keys() - params.keys()
    if unknown:
        raise ScratchnetError(f"backward returned gradients of {', '.join(sorted(unknown))}, which are no parameters")
    named: list[tuple[str, Array, Array]] = list(zip(_input_names(inputs), inputs, dinputs, strict=True))
    named += [(name, params[name], gradient) for name, gradient in grads.items()]
    for name, tensor, gradient in named:
        shape = getattr(gradient, "shape", None)  # of None and other things that are no array
        if shape is None or tuple(shape) != tuple(tensor.shape):
            given = f"is {gradient}" if shape is None else f"has shape {tuple(shape)}"
            raise ScratchnetError(f"d{name} {given}, expected an array of shape {tuple(tensor.shape)}")
        yield name, tensor, gradient


def _derivative(
    layer: Any, params: Params, inputs: tuple[Array, ...], name: str, direction: Array, dy: Array,
    method: str, options: dict[str, Any],
) -> float:
    """d/dh of sum(dy * forward) as the tensor `name` moves by h * direction."""

    def moved(step: complex) -> Array:
        def at_step(n: str, tensor: Array) -> Array:  # 0 * step makes the others complex as well
            return tensor + (step * direction if n == name else 0 * step)

        moved_inputs = [at_step(n, x) for n, x in zip(_input_names(inputs), inputs, strict=True)]
        moved_params = {n: at_step(n, value) for n, value in params.items()}
        return layer.forward(moved_params, *moved_inputs, **options)[0]

    if method == "complex":
        return float(to_host((dy * moved(1j * COMPLEX_STEP).imag).sum())) / COMPLEX_STEP
    difference = moved(CENTRAL_STEP) - moved(-CENTRAL_STEP)
    return float(to_host((dy * difference).sum())) / (2 * CENTRAL_STEP)


def _norm(array: Array) -> float:
    return float(np.linalg.norm(to_host(array)))


def _input_names(inputs: tuple[Array, ...]) -> list[str]:
    return ["x"] if len(inputs) == 1 else [f"x{i + 1}" for i in range(len(inputs))]


def _gaussian_like(array: Array, rng: np.random.Generator) -> Array:
    return device_of(array).upload(np.asarray(rng.standard_normal(array.shape)))
