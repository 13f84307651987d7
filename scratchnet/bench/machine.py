"""The machine: its description, its peak rates, and the memory that a process or a function uses."""

import platform
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from scratchnet.backend import CPU, Device, product, thread_count
from scratchnet.bench.timing import Spread, in_turns
from scratchnet.train.environment import blas, processor

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

ROUNDS = 7
SGEMM_SIZE, GPU_SGEMM_SIZE = 2048, 4096
COPY_BYTES = 2**30
GPU_REPEATS = 20  # calls per clock reading, so that launch overhead does not count
STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Gpu:
    """The GPU that CuPy uses, with its software versions; `driver` is the newest CUDA version that it supports."""

    name: str
    memory_bytes: int
    multiprocessors: int
    compute_capability: str
    driver: str
    cuda: str
    cupy: str

    @classmethod
    def of(cls, device: Device) -> "Gpu | None":
        """None unless the device is CuPy's."""
        if device.name != "cuda":
            return None
        cupy = device.module
        runtime = cupy.cuda.runtime
        facts = runtime.getDeviceProperties(runtime.getDevice())
        return cls(
            facts["name"].decode(),
            facts["totalGlobalMem"],
            facts["multiProcessorCount"],
            f"{facts['major']}.{facts['minor']}",
            _cuda_version(runtime.driverGetVersion()),
            _cuda_version(runtime.runtimeGetVersion()),
            cupy.__version__,
        )


def _cuda_version(number: int) -> str:
    """ "13.0" for 13000."""
    return f"{number // 1000}.{number % 1000 // 10}"


@dataclass(frozen=True)
class Machine:
    """The machine that figures were measured on, and the date."""

    processor: str
    threads: int
    system: str
    python: str
    numpy: str
    blas: str
    date: str
    gpu: Gpu | None = None

    @classmethod
    def this(cls, device: Device = CPU) -> "Machine":
        """This machine today, with the GPU if `device` is CuPy's."""
        return cls(
            processor(),
            thread_count(),
            f"{platform.system()} {platform.machine()}",
            platform.python_version(),
            np.__version__,
            blas(),
            date.today().isoformat(),
            Gpu.of(device),
        )


@dataclass(frozen=True)
class Rates:
    """Median peak rates of a device.

    sgemm: floating-point operations per second in the product of two float32 matrices of shape (size, size). copy:
    bytes per second, read and written, in a copy; None on the host.
    """

    sgemm: float
    size: int
    copy: float | None = None

    @classmethod
    def of(cls, device: Device) -> "Rates":
        """Measure the rates of `device`, with larger matrices if it is a GPU."""
        if device is CPU:
            return cls(sgemm_rate(device, SGEMM_SIZE), SGEMM_SIZE)
        return cls(sgemm_rate(device, GPU_SGEMM_SIZE, GPU_REPEATS), GPU_SGEMM_SIZE, copy_rate(device))


def sgemm_rate(device: Device, size: int, repeats: int = 1) -> float:
    """Floating-point operations per second, in the precision set for products."""
    rng = np.random.default_rng(0)
    a, b = (device.upload(rng.standard_normal((size, size), dtype=np.float32)) for _ in range(2))
    return 2 * size**3 / _seconds(lambda: product(a, b), repeats, device)


def copy_rate(device: Device) -> float:
    """Bytes per second, read and written."""
    xp = device.module
    source = xp.ones(COPY_BYTES, dtype="uint8")
    target = xp.empty_like(source)
    return 2 * COPY_BYTES / _seconds(lambda: xp.copyto(target, source), GPU_REPEATS, device)


def _seconds(function: Callable[[], object], repeats: int, device: Device) -> float:
    """The median time of one call, timed `repeats` calls at a time."""

    def calls() -> None:
        for _ in range(repeats):
            function()

    return Spread.of(in_turns({"calls": calls}, ROUNDS, device)["calls"]).median / repeats


def peak_memory_of(step: Callable[[], object], device: Device) -> int | None:
    """Peak memory in bytes when `step` runs again: of this process on the host, otherwise of the device."""
    if device is CPU:
        return peak_memory()
    return device.held_memory() + device.peak_memory(step)


def peak_memory() -> int | None:
    """The maximum resident set size of this process in bytes; None if the system does not report it.

    On Linux, child processes inherit the maximum that getrusage reports, so a small program started by a large one
    would look large. /proc reports the program's own.
    """
    with suppress(OSError):  # not on Linux, or /proc is not mounted
        for line in STATUS.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    if resource is None:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
