"""Devices: a memory, the array module that computes in it, and the transfers to and from it."""

import os
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scratchnet.common.spelling import hint
from scratchnet.errors import BackendError

if TYPE_CHECKING:
    from scratchnet.backend.arrays import Array as Array  # noqa: PLC0414  # numpy.ndarray where only the host will do
else:
    Array = Any
Params = dict[str, Any]  # arrays: parameters, gradients or momenta by dotted name
# launch(source, kernel, real, grid, threads, arguments): a CUDA C++ kernel of the file `source`, compiled with `real`,
# float or double, as Real, on a grid of blocks of `threads` threads. Arguments: contiguous arrays, and NumPy numbers.
Launch = Callable[[Path, str, str, tuple[int, ...], int, Sequence[Any]], None]
Gemm = Callable[[Array, Array, Array, float, float, str], None]  # as Cublas.gemm


def _memory() -> Any:
    """`memory.py`, loaded when somebody asks how much there is."""
    return import_module("scratchnet.backend.memory")


@dataclass(frozen=True)
class Device:
    """A memory, the array module that computes in it, the transfers to and from it, and how to wait for it.

    held_memory: the bytes in use now. peak_memory: the peak in bytes that a function adds while it runs.
    free_memory: the bytes still available; None on the host, which other programs share.
    launch: runs a CUDA kernel; None if there are none, and array operations do everything.
    gemm: out <- alpha a @ b + beta out for batches of matrices; None if there is only the array module's matmul.
    asynchronous: it computes while Python goes on, so that reading a result means waiting for it.
    """

    name: str
    module: Any
    array_types: tuple[type, ...]
    upload: Callable[[np.ndarray], Array]
    download: Callable[[Array], np.ndarray]
    _: KW_ONLY
    synchronise: Callable[[], None] = lambda: None
    held_memory: Callable[[], int] = lambda: _memory().resident_memory()
    peak_memory: Callable[[Callable[[], object]], int] = lambda function: _memory().traced_peak(function)
    launch: Launch | None = None
    gemm: Gemm | None = None
    free_memory: Callable[[], int] | None = None
    asynchronous: bool = False


CPU = Device("cpu", np, (np.ndarray, np.generic), np.asarray, np.asarray)
_devices = {"cpu": CPU}
# Of devices that take a while to load, or may be missing.
_loaders: dict[str, Callable[[], Device]] = {"cuda": lambda: import_module("scratchnet.backend.cuda").load_cuda()}


def get_device(name: str | Device | None = None) -> Device:
    """The device called `name`: "cpu", "cuda" or "cuda:N"; None asks SCRATCHNET_DEVICE, then takes "cpu".

    Raises BackendError if the device is unknown or unusable, with the reason.
    """
    if isinstance(name, Device):
        return name
    given = f"unknown device {name!r}" if name else f"SCRATCHNET_DEVICE={os.environ.get('SCRATCHNET_DEVICE')}"
    name = name or os.environ.get("SCRATCHNET_DEVICE") or "cpu"
    if name.startswith("cuda:"):
        name = import_module("scratchnet.backend.cuda").choose_gpu(name)
    if name not in _devices and name in _loaders:
        import_module("scratchnet.backend.forks")  # which such a device does not survive
        register_device(_loaders[name]())
    if name not in _devices:
        known = ", ".join(sorted(_devices.keys() | _loaders))
        raise BackendError(f"{given}{hint(name, _devices.keys() | _loaders)}: choose one of {known}")
    return _devices[name]


def register_device(device: Device) -> None:
    """Register a device under its name and its array types."""
    _devices[device.name] = device


def register_loader(name: str, load: Callable[[], Device]) -> None:
    """Register `load`, which makes the device on first use, or raises BackendError."""
    _loaders[name] = load


def device_of(array: Array) -> Device:
    """The device whose memory holds `array`. Raises BackendError for anything but an array."""
    for device in _devices.values():
        if isinstance(array, device.array_types):
            return device
    if type(array).__module__.partition(".")[0] == "cupy":  # made by the caller, so cupy is loaded
        return get_device("cuda")
    raise BackendError(f"expected a NumPy or CuPy array, got {type(array).__name__}: convert it with numpy.asarray")


def array_module(*arrays: Array) -> Any:
    """`numpy` or `cupy`, whichever the arrays belong to.

    Raises BackendError when they live on different devices.
    """
    devices = [device_of(array) for array in arrays]
    if any(device is not devices[0] for device in devices):
        places = ", ".join(f"{tuple(a.shape)} on {d.name}" for a, d in zip(arrays, devices, strict=True))
        raise BackendError(f"the arrays live on different devices ({places}): move them with to_device or to_host")
    return devices[0].module


def to_device(array: Array, device: str | Device | None = None) -> Array:
    """`array` in the memory of `device`; itself if it is there already."""
    source, target = device_of(array), get_device(device)
    return array if source is target else target.upload(source.download(array))


def to_host(array: Array) -> np.ndarray:
    """`array` as a NumPy array. Waits for the device: the one place where Python reads its results."""
    return device_of(array).download(array)
