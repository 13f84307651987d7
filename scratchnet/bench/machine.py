"""The machine: what it is, what it can at best, and how much of its memory a process has taken."""

import platform
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from scratchnet.backend import Device, thread_count
from scratchnet.bench.timing import Spread, in_turns

if sys.platform != "win32":
    import resource

SGEMM_SIZE, SGEMM_ROUNDS = 2048, 7
PROCESSORS, STATUS = Path("/proc/cpuinfo"), Path("/proc/self/status")


@dataclass(frozen=True)
class Machine:
    """What figures were measured on, and when."""

    processor: str
    threads: int
    system: str
    python: str
    numpy: str
    blas: str
    date: str

    @classmethod
    def this(cls) -> "Machine":
        return cls(
            _processor(), thread_count(), f"{platform.system()} {platform.machine()}", platform.python_version(),
            np.__version__, blas(), date.today().isoformat(),
        )


def blas() -> str:
    """The name and version of the library that multiplies NumPy's matrices."""
    found = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"{found['name']} {found['version']}"


def sgemm_rate(device: Device, size: int = SGEMM_SIZE, rounds: int = SGEMM_ROUNDS) -> float:
    """Floating-point operations a second in the product of two float32 matrices of that size, the median."""
    rng = np.random.default_rng(0)
    a, b = (device.upload(rng.standard_normal((size, size), dtype=np.float32)) for _ in range(2))
    seconds = in_turns({"product": lambda: a @ b}, rounds, device)["product"]
    return 2 * size**3 / Spread.of(seconds).median


def peak_memory() -> int | None:
    """The maximum resident size of this process in bytes; None where the system does not tell.

    Linux passes the maximum that getrusage tells on to the programs that a process starts, so a small program started
    by a large one would look large. What /proc tells is this program's own.
    """
    if STATUS.exists():
        found = [line.split() for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:")]
        if found:
            return 1024 * int(found[0][1])
    if sys.platform == "win32":
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _processor() -> str:
    if PROCESSORS.exists():
        for line in PROCESSORS.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
