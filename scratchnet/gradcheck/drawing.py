"""Random points at which to check a layer."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np

from scratchnet.backend import Array, Device, Params, device_of, to_device

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
    by Gaussian noise of standard deviation 0.1: a bias of 0 or a scale of 1 hides many mistakes.
    seed: an integer, or a generator to draw from. Raises BackendError for an input that is neither array nor shape.
    """
    rng = np.random.default_rng(seed)

    def drawn(given: Array | Shape) -> Array:
        if isinstance(given, tuple):
            return to_device(np.asarray(rng.standard_normal(given)), device)
        device_of(given)  # raises BackendError unless it is an array
        return given

    if params is None:
        initial = layer.init(rng) if isinstance(layer, Initialised) else {}
        params = {
            name: to_device(value + 0.1 * rng.standard_normal(value.shape), device) for name, value in initial.items()
        }
    return {name: drawn(value) for name, value in params.items()}, [drawn(x) for x in inputs]
