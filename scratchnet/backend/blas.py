"""OpenBLAS, the library in NumPy's wheels that multiplies its matrices: its threads and its kernels."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from scratchnet.backend.native import call_for_text, function, library


class _Threads:
    """OpenBLAS's number of threads, a setting of the whole process: 1 while there are users who want that."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.users = 0
        self.before = 1

    def enter(self) -> None:
        get_threads, set_threads = _openblas()
        with self.lock:
            if self.users == 0:
                self.before = get_threads()
                set_threads(1)
            self.users += 1

    def leave(self) -> None:
        with self.lock:
            self.users -= 1
            if self.users == 0:
                _openblas()[1](self.before)


_threads = _Threads()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """OpenBLAS computes each product with one thread inside; the number is a global of the process, so users count.

    Its own threads, once woken, turn in a loop for some 25 ms in wait of the next product, on the processors that ours
    need. So where ours do the work, it should rather not wake them at all.
    """
    threads = _threads  # a process that is forked inside has others
    threads.enter()
    try:
        yield
    finally:
        threads.leave()


def _start_anew() -> None:
    """In a forked process, where the other threads are gone: their wish is gone with them, and so may be a lock."""
    global _threads
    old, _threads = _threads, _Threads()
    if old.users:
        _openblas()[1](old.before)


if hasattr(os, "register_at_fork"):  # with the lock held, so that no thread is halfway through
    os.register_at_fork(
        before=lambda: _threads.lock.acquire(),
        after_in_parent=lambda: _threads.lock.release(),
        after_in_child=_start_anew,
    )


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
    corename = _openblas_function("get_corename")
    return call_for_text(corename) if corename else None


def _openblas_function(name: str) -> Any:
    """The function called openblas_`name`, or like that, of the library in NumPy's wheel; None if it has none."""
    numpy_folder = Path(np.__file__).parent
    names = [pattern.format(name) for pattern in ("scipy_openblas_{}64_", "scipy_openblas_{}", "openblas_{}")]
    for path in [*numpy_folder.parent.glob("numpy.libs/*openblas*"), *numpy_folder.glob(".dylibs/*openblas*")]:
        if found := function(library(str(path)), *names):
            return found
    return None
