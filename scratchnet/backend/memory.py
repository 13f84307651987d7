"""How much memory a process has and takes, and how to keep it."""

import mmap
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from traceback import clear_frames
from typing import Any

from scratchnet.backend.native import library
from scratchnet.errors import OutOfMemoryError

STATM = Path("/proc/self/statm")
HEAP_GAPS = 0.1  # of the bytes in arrays, lost between them; 6 to 11 % in training steps of koch2015
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h


def resident_memory() -> int:
    """The bytes of memory that this process has now; 0 where the system does not report it, as only Linux does.

    What was freed and kept for reuse does not count: glibc gives it back first.
    """
    if glibc := _glibc():
        glibc.malloc_trim(0)
    try:
        return int(STATM.read_text(encoding="ascii").split()[1]) * mmap.PAGESIZE
    except OSError:  # not Linux, or /proc is not mounted
        return 0


def _glibc() -> Any:
    """The C library where it is GNU's, else None."""
    loaded = library(None) if sys.platform == "linux" else None
    return loaded if hasattr(loaded, "gnu_get_libc_version") else None


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


@lru_cache(maxsize=1)
def keep_freed_memory() -> None:
    """Have the C library keep the memory of arrays that die for those that come next.

    Memory fresh from the system arrives page by page, each page cleared first: for the large arrays of a training
    step that takes longer than the arithmetic on them. glibc can be told so (man 3 mallopt); elsewhere this does
    nothing. An array that somebody holds is untouched; the process does not shrink any more.
    """
    if glibc := _glibc():
        glibc.mallopt(M_MMAP_MAX, 0)  # large arrays, too, from the heap
        glibc.mallopt(M_TRIM_THRESHOLD, -1)  # which keeps what is freed


@contextmanager
def memory_errors(mend: Callable[[], str]) -> Iterator[None]:
    """Turn a MemoryError, of whatever device, into an OutOfMemoryError whose one line ends with `mend()`."""
    try:
        yield
    except OutOfMemoryError:  # from within another `memory_errors`, which knows better what would help
        raise
    except MemoryError as error:  # NumPy's and CuPy's are of this kind
        clear_frames(error.__traceback__)  # who catches the error and tries again has the memory back
        reason = " ".join(str(error).split()).rstrip(".")
        raise OutOfMemoryError(f"out of memory{f' ({reason})' if reason else ''}: {mend()}") from error
