"""What becomes of devices in a forked process: loaded before the fork, they belong to the parent, as CUDA does."""

import os
from functools import partial

from scratchnet.backend import device
from scratchnet.errors import BackendError


def _refuse(name: str) -> device.Device:
    raise BackendError(
        f"device {name!r} was in use when this process was forked, which it does not survive: "
        'start processes by multiprocessing\'s "spawn" or "forkserver"'
    )


def _lose_devices() -> None:
    for name in device._loaders.keys() & device._devices:
        del device._devices[name]
        device._loaders[name] = partial(_refuse, name)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_lose_devices)
