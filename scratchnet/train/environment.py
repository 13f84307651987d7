"""Everything but the inputs that the bits of a computation depend on: versions, kernels, threads, the processor."""

import platform
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from scratchnet.backend import Device, blas_kernels, get_precision, thread_count
from scratchnet.common.version import VERSION

PROCESSORS = Path("/proc/cpuinfo")


def environment(device: Device) -> dict[str, str]:
    """The environment of computations on `device`. The same inputs in the same environment give the same bits."""
    return {
        "scratchnet": VERSION,
        "NumPy": np.__version__,
        "BLAS": blas(),
        "processor": processor(),
        "threads": str(thread_count()),
        "device": device.name,
        "precision": get_precision(),
    }


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """A description of the entries that both have and that differ; "" if there are none."""
    return ", ".join(
        f"{name} (then {before[name]:.60}, now {now[name]})"
        for name in now
        if name in before and before[name] != now[name]
    )


def blas() -> str:
    """Name and version of the BLAS library that NumPy uses, and its kernels if it names them."""
    library = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    kernels = blas_kernels()
    return f"{library['name']} {library['version']}{f' ({kernels})' if kernels else ''}"


def processor() -> str:
    """The model of the processor, or at least its architecture."""
    with suppress(OSError):  # not Linux, or /proc is not mounted
        for line in PROCESSORS.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
