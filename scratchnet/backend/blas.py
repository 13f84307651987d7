"""OpenBLAS, which multiplies matrices in NumPy's wheels: its threads and its kernels."""

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
    """OpenBLAS's number of threads, a setting of the whole process: 1 while anybody asks for that."""

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
    """Inside, OpenBLAS computes each product with one thread; the setting is global, so users are counted.

    Once woken, its workers spin for about 25 ms waiting for the next product, on cores that our threads need; better
    not to wake them.
    """
    threads = _threads  # a process forked inside has others
    threads.enter()
    try:
        yield
    finally:
        threads.leave()


def _start_anew() -> None:
    """In a forked process the other threads are gone, and with them what they asked for, or a lock they held."""
    global _threads
    old, _threads = _threads, _Threads()
    if old.users:
        _openblas()[1](old.before)


if hasattr(os, "register_at_fork"):  # forked with the lock held, so that no thread is halfway through
    os.register_at_fork(
        before=lambda: _threads.lock.acquire(),
        after_in_parent=lambda: _threads.lock.release(),
        after_in_child=_start_anew,
    )


@lru_cache(maxsize=1)
def _openblas() -> tuple[Callable[[], int], Callable[[int], Any]]:
    """The functions that get and set OpenBLAS's number of threads.

    With a NumPy that uses another BLAS they do nothing: the results are the same, perhaps more slowly.
    """
    found = _openblas_function("get_num_threads"), _openblas_function("set_num_threads")
    return found if all(found) else (lambda: 1, lambda threads: None)


def blas_kernels() -> str | None:
    """The processor whose kernels OpenBLAS uses, such as "SkylakeX"; None if NumPy uses another BLAS.

    The environment variable OPENBLAS_CORETYPE overrides the choice, perhaps with a slow one.
    """
    corename = _openblas_function("get_corename")
    return call_for_text(corename) if corename else None


def _openblas_function(name: str) -> Any:
    """The function openblas_`name`, or a variant of that name, in NumPy's wheel; None if there is none."""
    numpy_folder = Path(np.__file__).parent
    names = [pattern.format(name) for pattern in ("scipy_openblas_{}64_", "scipy_openblas_{}", "openblas_{}")]
    for path in [*numpy_folder.parent.glob("numpy.libs/*openblas*"), *numpy_folder.glob(".dylibs/*openblas*")]:
        if found := function(library(str(path)), *names):
            return found
    return None
