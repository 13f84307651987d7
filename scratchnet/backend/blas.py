"""OpenBLAS, the library in NumPy's wheels that multiplies its matrices: its threads and its kernels."""

import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

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
