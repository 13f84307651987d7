"""A network's parameters as PyTorch names, shapes and orders them: what `model.state_dict()` holds.

The names are ours. Kernels are (O, C, kh, kw), dense weights (O, C) with their input channels first, and the head is a
dense layer, with weight (1, D). The counters of batches that PyTorch keeps beside batch norm are left out:
`load_state_dict` does without them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from scratchnet.backend import Params, to_host
from scratchnet.checkpoint import fitting
from scratchnet.errors import CheckpointError
from scratchnet.exchange.channels_first import channels_first
from scratchnet.models.networks import describe
from scratchnet.models.siamese import SiameseNet

COUNTER = ".num_batches_tracked"
WRAPPERS = ("module.", "_orig_mod.")  # what DataParallel and torch.compile put before every name
FLOATS = ("float16", "float32", "float64")
SHAPE = "it is of another architecture"


def to_state_dict(net: SiameseNet, params: Params) -> dict[str, np.ndarray]:
    """Parameters or gradients of a network, on any device, in PyTorch's shapes: copies on the host."""
    there = channels_first(net, {name: to_host(value) for name, value in params.items()})
    return {name: _dense(name, value).copy() for name, value in there.items()}


def from_state_dict(net: SiameseNet, params: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The inverse of `to_state_dict`."""
    return channels_first(net, {name: _dense(name, value) for name, value in params.items()}, inverse=True)


def network_of(tensors: Mapping[str, np.ndarray], architecture: Mapping[str, Any], path: Path | str) -> SiameseNet:
    """The network of this architecture with the parameters of a state dict, as float32.

    The path is for messages. Raises CheckpointError for an unknown architecture, and for tensors that are missing,
    superfluous, of another shape, no floating-point numbers, or not finite.
    """
    net, outlines = describe(architecture)
    own = {_unwrapped(name): value for name, value in tensors.items() if not name.endswith(COUNTER)}
    for name, value in own.items():
        if value.dtype.name not in FLOATS:
            raise CheckpointError(f"{path} has {name} as {value.dtype}: in PyTorch, save model.float().state_dict()")
    with np.errstate(over="ignore"):  # an infinity is refused by `fitting`
        floats = {name: value.astype(np.float32) for name, value in own.items()}
    expected = {name: np.broadcast_to(np.float32(0), _shape(name, value.shape)) for name, value in outlines.items()}
    net.params = from_state_dict(net, fitting(floats, expected, path, shape=SHAPE))
    return net


def _unwrapped(name: str) -> str:
    for wrapper in WRAPPERS:
        name = name.removeprefix(wrapper)
    return name


def _dense(name: str, value: np.ndarray) -> np.ndarray:
    """A dense weight (C, O) as (O, C), or the other way round; that of the head, (D,), as (1, D)."""
    if name == "head.weight":
        return value[None] if value.ndim == 1 else value[0]
    return value.T if value.ndim == 2 else value


def _shape(name: str, ours: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a parameter in PyTorch."""
    if len(ours) == 4:
        kh, kw, C, O = ours
        return O, C, kh, kw
    return (1, *ours) if name == "head.weight" else ours[::-1]
