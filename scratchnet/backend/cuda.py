"""CuPy as a device: the only file that imports cupy."""

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from scratchnet.backend.cublas import Cublas
from scratchnet.backend.device import Device, Launch
from scratchnet.errors import BackendError, install_extra

_chosen: dict[str, str] = {}  # the "name" of the GPU that `choose_gpu` chose


def choose_gpu(name: str) -> str:
    """Let "cuda" mean the GPU `name`, "cuda:N", in this process and in those it starts; returns "cuda".

    N counts the GPUs of CUDA_VISIBLE_DEVICES, or all of them. A process has one GPU: all its threads then use it, while
    CuPy's own choice of a GPU holds for one thread only. Raises BackendError for what is no number or not among them,
    and once CuPy has been loaded with another.
    """
    number = name.removeprefix("cuda:")
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    visible = listed.split(",") if listed else None
    if not number.isdecimal() or (visible and name != _chosen.get("name") and int(number) >= len(visible)):
        there = f"CUDA_VISIBLE_DEVICES={listed} has {len(visible)}" if visible else "N is a number from 0"
        raise BackendError(f"device {name!r}: expected cuda:N, and {there}")
    if _chosen.get("name") != name:
        if _chosen or "cupy" in sys.modules:
            before = _chosen.get("name", "another GPU")
            raise BackendError(
                f"device {name!r}: this process computes on {before} already: start another one, or choose before "
                "anything is on a GPU"
            )
        os.environ["CUDA_VISIBLE_DEVICES"] = visible[int(number)] if visible else number
        _chosen["name"] = name
    return "cuda"


def load_cuda() -> Device:
    """CuPy as a device, or a BackendError that says which of three things is missing: CuPy, its libraries, or a GPU."""
    if importlib.util.find_spec("cupy") is None:
        raise BackendError(
            "device 'cuda' needs CuPy, which is not installed; "
            f"{install_extra('cuda12x', 'cuda13x')}, whichever matches your CUDA version"
        )
    try:
        cupy = importlib.import_module("cupy")
        gpu_present = cupy.cuda.is_available()
    except Exception as cause:  # a broken installation fails in many ways; the user needs to see which
        raise _libraries_missing(cause) from cause
    if not gpu_present:
        raise BackendError("CuPy is installed but finds no GPU: check the driver with nvidia-smi, or use device 'cpu'")
    try:
        (cupy.ones(2) @ cupy.ones(2) + 1).item()  # needs the compiler and cuBLAS, which load lazily
    except Exception as cause:
        raise _libraries_missing(cause) from cause

    def free_memory() -> int:
        pool = cupy.get_default_memory_pool()
        free = cupy.cuda.Device().mem_info[0] + pool.free_bytes()
        limit = pool.get_limit()  # 0 for none
        return min(free, limit - pool.used_bytes()) if limit else free

    return Device(
        "cuda",
        cupy,
        (cupy.ndarray,),
        cupy.asarray,
        cupy.asnumpy,
        synchronise=lambda: cupy.cuda.Device().synchronize(),
        held_memory=lambda: cupy.get_default_memory_pool().used_bytes(),
        peak_memory=partial(_peak_of_pool, cupy),
        free_memory=free_memory,
        launch=_launcher(cupy),
        gemm=_cublas(cupy).gemm,
        asynchronous=True,
    )


def _cublas(cupy: Any) -> Cublas:
    runtime = cupy.cuda.runtime
    return Cublas(
        cupy.cuda.cublas,
        cupy.cuda.device.get_cublas_handle,
        {"float32": runtime.CUDA_R_32F, "float64": runtime.CUDA_R_64F},
    )


def _peak_of_pool(cupy: Any, function: Callable[[], object]) -> int:
    """Peak memory in bytes that CuPy's pool adds while `function` runs, with what is lost between its blocks.

    At least the peak of what it hands out: part of that may lie in a block that the pool held before and could not
    return, because another part of the block is in use.
    """

    class HandedOut(cupy.cuda.MemoryHook):  # type: ignore[misc]
        name = "scratchnet: peak memory"
        now = peak = 0

        def malloc_postprocess(self, *, mem_size: int, **_: Any) -> None:
            self.now += mem_size
            self.peak = max(self.peak, self.now)

        def free_postprocess(self, *, mem_size: int, **_: Any) -> None:
            self.now -= mem_size

    pool = cupy.get_default_memory_pool()
    pool.free_all_blocks()
    before = pool.total_bytes()
    with HandedOut() as handed_out:
        function()
    return max(handed_out.peak, pool.total_bytes() - before)


def _launcher(cupy: Any) -> Launch:
    """Compiles with NVRTC, once for each file and precision; CuPy caches the binaries on disk."""

    @lru_cache(maxsize=64)
    def module(source: Path, real: str) -> Any:
        return cupy.RawModule(code=source.read_text(encoding="utf-8"), options=("-std=c++17", f"-DReal={real}"))

    @lru_cache(maxsize=256)
    def function(source: Path, kernel: str, real: str) -> Any:
        return module(source, real).get_function(kernel)

    def launch(
        source: Path, kernel: str, real: str, grid: tuple[int, ...], threads: int, arguments: Sequence[Any]
    ) -> None:
        function(source, kernel, real)(grid, (threads,), tuple(arguments))

    return launch


def _libraries_missing(cause: Exception) -> BackendError:
    reason = " ".join(str(cause).split())[:300]
    return BackendError(
        f"CuPy is installed but its libraries do not load ({type(cause).__name__}: {reason}); "
        f"{install_extra('cuda12x', 'cuda13x')}, whichever matches the CUDA version of your driver"
    )
