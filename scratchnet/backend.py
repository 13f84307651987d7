"""Where arrays live: NumPy on the CPU, CuPy on a GPU. The only file that imports cupy.

Code on activations begins with `xp = array_module(x, weight)` and then uses `xp` for everything:
the arrays say where they live, and nothing moves between memories unless `to_device` or `to_host`
is called by name.
"""

import ctypes
import importlib
import importlib.util
import os
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from traceback import clear_frames
from typing import Any

import numpy as np

from scratchnet.cublas import PRECISIONS, Cublas
from scratchnet.errors import BackendError

Array = Any  # a numpy.ndarray or a cupy.ndarray; NumPy's own type where only the host will do
Params = dict[str, Array]  # parameters, gradients or momenta by dotted name
# launch(source, kernel, real, grid, threads, arguments): a CUDA C++ kernel of the file `source`, compiled with Real for
# "float" or "double", on a grid of blocks of so many threads. Arguments: contiguous arrays, and NumPy numbers by value.
Launch = Callable[[Path, str, str, tuple[int, ...], int, Sequence[Any]], None]
Gemm = Callable[[Array, Array, Array, float, float, str], None]  # as Cublas.gemm
STATM = Path("/proc/self/statm")
HEAP_GAPS = 0.1  # of the bytes in arrays, lost between them; 6 to 11 % in training steps of koch2015


def resident_memory() -> int:
    """The bytes of memory that this process has now; 0 where the system is not Linux and does not tell.

    What was freed and kept for reuse does not count: glibc gives it back first.
    """
    if library := _glibc():
        library.malloc_trim(0)
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if STATM.exists() else 0


@lru_cache(maxsize=1)
def _glibc() -> Any:
    """The C library where it is GNU's, else None."""
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    return library if hasattr(library, "gnu_get_libc_version") else None


def traced_peak(function: Callable[[], object]) -> int:
    """The bytes that `function` has at most taken in addition while it ran, by NumPy's reports to tracemalloc.

    With what the heap loses between arrays, which nobody reports.
    """
    tracing = tracemalloc.is_tracing()
    if not tracing:
        tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        function()
        return round((1 + HEAP_GAPS) * (tracemalloc.get_traced_memory()[1] - before))
    finally:
        if not tracing:
            tracemalloc.stop()


@dataclass(frozen=True)
class Device:
    """A memory, the array module that computes in it, the two ways across, and how to wait until it has computed.

    held_memory: the bytes taken of it now. peak_memory: those that a function takes in addition while it runs.
    launch: runs a CUDA kernel; None where there are none, and array operations do it all.
    gemm: out <- alpha a @ b + beta out for batches of matrices; None where the array module's matmul is all there is.
    free_memory: the bytes that can still be taken; None on the host, whose memory is for other programs, too.
    asynchronous: it computes while Python goes on, so that reading a result means waiting for it.
    """

    name: str
    module: Any
    array_types: tuple[type, ...]
    upload: Callable[[np.ndarray], Array]
    download: Callable[[Array], np.ndarray]
    synchronise: Callable[[], None] = lambda: None
    held_memory: Callable[[], int] = resident_memory
    peak_memory: Callable[[Callable[[], object]], int] = traced_peak
    launch: Launch | None = None
    gemm: Gemm | None = None
    free_memory: Callable[[], int] | None = None
    asynchronous: bool = False


M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h
BLOCK_BYTES = 2**19  # of an array that is worked on together with a few others like it

CPU = Device("cpu", np, (np.ndarray, np.generic), np.asarray, np.asarray)
_devices = {"cpu": CPU}


@contextmanager
def memory_errors(mend: Callable[[], str]) -> Iterator[None]:
    """Running out of memory inside, on whatever device, is a BackendError of one line that ends with `mend()`."""
    try:
        yield
    except MemoryError as error:  # NumPy's and CuPy's are of this kind
        clear_frames(error.__traceback__)  # who catches the error and tries again has the memory back
        reason = " ".join(str(error).split()).rstrip(".")
        raise BackendError(f"out of memory{f' ({reason})' if reason else ''}: {mend()}") from error


def get_device(name: str | Device | None = None) -> Device:
    """The device called `name`: "cpu" or "cuda"; None asks SCRATCHNET_DEVICE, then takes "cpu".

    Raises BackendError when the device is unknown or cannot be used, and says why.
    """
    if isinstance(name, Device):
        return name
    name = name or os.environ.get("SCRATCHNET_DEVICE") or "cpu"
    if name == "cuda" and name not in _devices:
        register_device(_load_cuda())
    if name not in _devices:
        known = ", ".join(sorted({*_devices, "cuda"}))
        raise BackendError(f"unknown device {name!r}: choose one of {known}")
    return _devices[name]


def register_device(device: Device) -> None:
    """Make a device known by its name and its array types."""
    _devices[device.name] = device


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


def thread_count() -> int:
    """How many threads to compute with on the host.

    As many as there are processors for this process, unless SCRATCHNET_THREADS, OMP_NUM_THREADS or
    OPENBLAS_NUM_THREADS asks for fewer; the first of them that is a number over 0 counts. Raises BackendError when the
    first, which is ours, is set to anything else.
    """
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    ours = os.environ.get("SCRATCHNET_THREADS") or "1"
    if not ours.isdecimal() or int(ours) == 0:
        raise BackendError(f"SCRATCHNET_THREADS={ours}: give a whole number, 1 or more, or leave it out")
    for variable in ("SCRATCHNET_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        asked = os.environ.get(variable, "")
        if asked.isdigit() and int(asked) > 0:
            return min(processors, int(asked))
    return processors


def for_each(function: Callable[[Any], None], items: Iterable[Any], like: Array) -> None:
    """function(item) for every item, over all threads where `like` is on the host, one after the other elsewhere.

    The calls must not depend on each other, and must not call for_each. NumPy computes without holding Python's
    lock, so threads of Python do run at the same time; BLAS takes one thread for each of them meanwhile, which for
    many products of middling size is faster than all threads for one product after the other.
    """
    items = list(items)
    if device_of(like) is not CPU or thread_count() == 1 or len(items) < 2:
        for item in items:
            function(item)
        return
    with one_blas_thread():
        calls = [(copy_context(), item) for item in items]  # NumPy's errstate belongs to the context of the caller
        for _ in _pool(thread_count()).map(lambda call: call[0].run(function, call[1]), calls):
            pass  # map raises here what a call raised


_precision = os.environ.get("SCRATCHNET_PRECISION") or "float32"


def set_precision(name: str) -> None:
    """How products of float32 matrices are computed on a GPU from now on: "float32" or "tf32".

    TF32 rounds the factors to 11 bits (a relative error of 2^-11 = 5e-4 in each at most) and adds up in float32; some
    GPUs compute it many times faster. On the CPU, and in float64, it changes nothing. The environment variable
    SCRATCHNET_PRECISION says what holds at first. Raises BackendError for another name.
    """
    global _precision  # noqa: PLW0603
    if name not in PRECISIONS:
        raise BackendError(f"unknown precision {name!r}: choose one of {', '.join(PRECISIONS)}")
    _precision = name


def get_precision() -> str:
    """The precision of products on a GPU. Raises BackendError when SCRATCHNET_PRECISION names none."""
    if _precision not in PRECISIONS:
        raise BackendError(f"SCRATCHNET_PRECISION={_precision}: choose one of {', '.join(PRECISIONS)}")
    return _precision


SMALL_PRODUCT = 10_000_000  # multiply-adds, of which a thread does about a hundred in the time that it takes to tell it


def product(a: Array, b: Array) -> Array:
    """a @ b for matrices (M, K) and (K, N), in as many pieces as there are threads, on all of them."""
    xp = array_module(a, b)
    (M, K), N = a.shape, b.shape[1]
    out = xp.empty((M, N), dtype=xp.result_type(a.dtype, b.dtype))
    pieces = thread_count() if M * K * N > SMALL_PRODUCT and device_of(a) is CPU else 1

    def multiply(piece: int) -> None:
        some = slice(piece * max(M, N) // pieces, (piece + 1) * max(M, N) // pieces)
        if M >= N:
            matmul(a[some], b, out=out[some])
        else:
            matmul(a, b[:, some], out=out[:, some])

    for_each(multiply, range(pieces), like=a)
    return out


def matmul(a: Array, b: Array, out: Array) -> None:
    """out <- a @ b for batches of matrices (..., M, K) and (..., K, N), by the calling thread alone."""
    gemm = _gemm(a, b, out)
    if gemm is None:
        array_module(a, b, out).matmul(a, b, out=out)
    else:
        gemm(a, b, out, 1.0, 0.0, get_precision())


def add_product(a: Array, b: Array, out: Array, sign: float = 1.0) -> None:
    """out <- out + sign a @ b, for batches of matrices as in `matmul`."""
    gemm = _gemm(a, b, out)
    if gemm is None:
        out += sign * array_module(a, b).matmul(a, b)
    else:
        gemm(a, b, out, sign, 1.0, get_precision())


def _gemm(*arrays: Array) -> Gemm | None:
    """The device's own product, where there is one and it takes such numbers."""
    gemm = device_of(arrays[0]).gemm
    alike = all(array.dtype == arrays[0].dtype for array in arrays)
    return gemm if alike and arrays[0].dtype.name in ("float32", "float64") else None


@lru_cache(maxsize=1)
def keep_freed_memory() -> None:
    """Have the C library keep the memory of arrays that die for those that come next.

    Memory fresh from the system arrives page by page, each page cleared first: for the large arrays of a training
    step that takes longer than the arithmetic on them. glibc can be told so (man 3 mallopt); elsewhere this does
    nothing. An array that somebody holds is untouched; the process does not shrink any more.
    """
    if library := _glibc():
        library.mallopt(M_MMAP_MAX, 0)  # large arrays, too, from the heap
        library.mallopt(M_TRIM_THRESHOLD, -1)  # which keeps what is freed


def blocks(array: Array) -> list[slice]:
    """Slices along the first axis, of a size that stays in a processor's cache from one step on them to the next.

    All of it in one on another device, where a kernel is the larger the better.
    """
    length = array.shape[0]
    if device_of(array) is not CPU:
        return [slice(0, length)]
    step = max(1, BLOCK_BYTES * length // max(1, array.nbytes))
    return [slice(start, min(start + step, length)) for start in range(0, length, step)] or [slice(0, 0)]


def map_blocks(function: Callable[..., Any], *arrays: Array) -> Array:
    """An array like the first: function(out, *arrays), which writes `out`, called for each block of the first axis.

    All arrays are as long as the first. What NumPy does with one thread, all threads do, and a block stays in the
    cache from one step of `function` to the next.
    """
    out = array_module(*arrays).empty_like(arrays[0])

    def compute(rows: slice) -> None:
        function(out[rows], *(array[rows] for array in arrays))

    for_each(compute, blocks(out), like=out)
    return out


def sum_blocks(function: Callable[..., Array], *arrays: Array) -> Array:
    """The sum over the first axis of function(*arrays), called for each block of that axis."""
    parts = blocks(arrays[0])
    sums: list[Array] = [None] * len(parts)

    def compute(number: int) -> None:
        sums[number] = function(*(array[parts[number]] for array in arrays)).sum(axis=0)

    for_each(compute, range(len(parts)), like=arrays[0])
    return sum(sums[1:], start=sums[0])


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="scratchnet")


_blas_lock = threading.Lock()
_blas_users = 0
_blas_threads = 1


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """OpenBLAS computes each product with one thread inside; the number is a global of the process, so users count.

    Its own threads, once woken, turn in a loop for some 25 ms in wait of the next product, on the processors that ours
    need. So where ours do the work, it should rather not wake them at all.
    """
    global _blas_users, _blas_threads  # noqa: PLW0603
    get_threads, set_threads = _openblas()
    with _blas_lock:
        if _blas_users == 0:
            _blas_threads = get_threads()
            set_threads(1)
        _blas_users += 1
    try:
        yield
    finally:
        with _blas_lock:
            _blas_users -= 1
            if _blas_users == 0:
                set_threads(_blas_threads)


@lru_cache(maxsize=1)
def _openblas() -> tuple[Callable[[], int], Callable[[int], Any]]:
    """OpenBLAS's functions that get and set its number of threads.

    Where NumPy came with another BLAS they do nothing: results are the same, and it may be slower.
    """
    found = _openblas_function("get_num_threads"), _openblas_function("set_num_threads")
    return found if all(found) else (lambda: 1, lambda threads: None)


def blas_kernels() -> str | None:
    """The kind of processor that OpenBLAS computes for, such as "SkylakeX"; None where NumPy came with another BLAS.

    The environment variable OPENBLAS_CORETYPE, where it is set, has chosen it, and may have chosen a slow one.
    """
    function = _openblas_function("get_corename")
    if function is None:
        return None
    function.restype = ctypes.c_char_p
    name: bytes = function()
    return name.decode()


def _openblas_function(name: str) -> Any:
    """The function called openblas_`name`, or like that, of the library in NumPy's wheel; None if it has none."""
    numpy_folder = Path(np.__file__).parent
    for library in [*numpy_folder.parent.glob("numpy.libs/*openblas*"), *numpy_folder.glob(".dylibs/*openblas*")]:
        loaded = ctypes.CDLL(str(library))
        for pattern in ("scipy_openblas_{}64_", "scipy_openblas_{}", "openblas_{}"):
            if hasattr(loaded, pattern.format(name)):
                return getattr(loaded, pattern.format(name))
    return None


def _load_cuda() -> Device:
    """CuPy as a device, or a BackendError that tells apart the three ways in which it can be missing."""
    if importlib.util.find_spec("cupy") is None:
        raise BackendError(
            "device 'cuda' needs CuPy, which is not installed: "
            "pip install 'scratchnet[cuda12x]' or 'scratchnet[cuda13x]', whichever matches your CUDA version"
        )
    try:
        cupy = importlib.import_module("cupy")
        gpu_present = cupy.cuda.is_available()
    except Exception as cause:  # a broken installation fails in many ways; the user needs to see which
        raise _libraries_missing(cause) from cause
    if not gpu_present:
        raise BackendError("CuPy is installed but finds no GPU: check the driver with nvidia-smi, or use device 'cpu'")
    try:
        (cupy.ones(2) @ cupy.ones(2) + 1).item()  # needs the compiler and cuBLAS, which load late
    except Exception as cause:
        raise _libraries_missing(cause) from cause

    def free_memory() -> int:
        pool = cupy.get_default_memory_pool()
        free = cupy.cuda.Device().mem_info[0] + pool.free_bytes()
        limit = pool.get_limit()  # 0 for none
        return min(free, limit - pool.used_bytes()) if limit else free

    return Device(
        "cuda", cupy, (cupy.ndarray,), cupy.asarray, cupy.asnumpy, lambda: cupy.cuda.Device().synchronize(),
        lambda: cupy.get_default_memory_pool().used_bytes(), partial(_peak_of_pool, cupy),
        _launcher(cupy), _cublas(cupy).gemm, free_memory, asynchronous=True,
    )


def _cublas(cupy: Any) -> Cublas:
    runtime = cupy.cuda.runtime
    return Cublas(cupy.cuda.cublas, cupy.cuda.device.get_cublas_handle,
                  {"float32": runtime.CUDA_R_32F, "float64": runtime.CUDA_R_64F})


def _peak_of_pool(cupy: Any, function: Callable[[], object]) -> int:
    """What CuPy's pool takes of the GPU while `function` runs, with what is lost between its blocks.

    At least what it hands out at one time: some of that may lie in a block that it held before and could not give
    back, because another part of the block is in use.
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
    """Compiles through NVRTC, once for each file and precision; CuPy keeps the binaries on disk."""

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
        f"CuPy is installed but its libraries do not load ({type(cause).__name__}: {reason}): "
        "reinstall with 'scratchnet[cuda12x]' or 'scratchnet[cuda13x]' to match the CUDA version of your driver"
    )
