"""Random points at which to check a layer."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np

from scratchnet.backend import Array, Device, Params, to_device
from scratchnet.errors import ScratchnetError

Shape = tuple[int, ...]


@runtime_checkable
class Initialised(Protocol):
    """A layer with parameters that it draws by itself."""

    def init(self, rng: np.random.Generator) -> Params:
        """Fresh parameters on the host, drawn from `rng`."""


def draw(
    layer: Any,
    *inputs: Array | Shape,
    params: Mapping[str, Array | Shape] | None = None,
    seed: int | np.random.Generator = 0,
    device: str | Device = "cpu",
) -> tuple[Params, list[Array]]:
    """Draw parameters and inputs in float64: Gaussian numbers on `device` for each shape; arrays are kept as they are.

    params: arrays or shapes by name. By default those of layer.init(rng), or none if there is no init, each perturbed
    by Gaussian noise of standard deviation 0.1: a bias of 0 or a scale of 1 hides many mistakes. Whole numbers and
    truth values stay as they are. Inputs and params may be nested in dictionaries and lists, and numbers among them.
    seed: an integer, or a generator to draw from. Raises ScratchnetError for a shape that is a list.
    """
    rng = np.random.default_rng(seed)

    def drawn(given: Any) -> Any:
        if isinstance(given, list) and given and all(isinstance(size, int) for size in given):
            raise ScratchnetError(f"a shape is a tuple: {tuple(given)}, not {given}")
        if isinstance(given, tuple) and all(isinstance(size, int) for size in given):
            return to_device(np.asarray(rng.standard_normal(given)), device)
        return given

    def perturbed(value: Any) -> Any:
        if isinstance(value, float):
            return value + 0.1 * float(rng.standard_normal())
        if getattr(value, "dtype", np.dtype(bool)).kind != "f":
            return value
        return to_device(value + 0.1 * rng.standard_normal(value.shape), device)

    if params is None:
        params = _mapped(perturbed, layer.init(rng) if isinstance(layer, Initialised) else {})
    return _mapped(drawn, dict(params)), [_mapped(drawn, x) for x in inputs]


def _mapped(function: Callable[[Any], Any], value: Any) -> Any:
    """The same structure with the function applied to its leaves; a tuple or list of whole numbers is a leaf."""
    if isinstance(value, Mapping):
        return {name: _mapped(function, part) for name, part in value.items()}
    if isinstance(value, tuple | list) and not all(isinstance(size, int) for size in value):
        parts = [_mapped(function, part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return function(value)
