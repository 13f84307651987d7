"""How much memory a process holds, the peak of a function, and keeping freed memory for reuse."""

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
HEAP_GAPS = 0.1  # share of the bytes in arrays that is lost between them; 6 to 11 % in training steps of koch2015
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h


def resident_memory() -> int:
    """The memory in bytes that this process holds now; 0 where the system does not report it (only Linux does).

    Memory freed and kept for reuse does not count: glibc returns it first.
    """
    if glibc := _glibc():
        glibc.malloc_trim(0)
    try:
        return int(STATM.read_text(encoding="ascii").split()[1]) * mmap.PAGESIZE
    except OSError:  # not Linux, or /proc is not mounted
        return 0


def _glibc() -> Any:
    """The C library if it is GNU's, else None."""
    loaded = library(None) if sys.platform == "linux" else None
    return loaded if hasattr(loaded, "gnu_get_libc_version") else None


def traced_peak(function: Callable[[], object]) -> int:
    """Peak memory in bytes that `function` adds, as tracemalloc sees it, plus an estimate of heap fragmentation."""
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
    """Have the C library keep freed memory for the arrays to come.

    Fresh memory arrives from the system page by page, each page zeroed first; for the large arrays of a training step
    that takes longer than the arithmetic. A setting of glibc (man 3 mallopt); elsewhere this does nothing. Live arrays
    are unaffected, and the process no longer shrinks.
    """
    if glibc := _glibc():
        glibc.mallopt(M_MMAP_MAX, 0)  # large arrays come from the heap as well
        glibc.mallopt(M_TRIM_THRESHOLD, -1)  # which keeps freed memory


@contextmanager
def memory_errors(mend: Callable[[], str]) -> Iterator[None]:
    """Turn a MemoryError, of whatever device, into an OutOfMemoryError whose one line ends with `mend()`."""
    try:
        yield
    except OutOfMemoryError:  # from within another `memory_errors`, which knows better what would help
        raise
    except MemoryError as error:  # NumPy's and CuPy's are of this kind
        clear_frames(error.__traceback__)  # so that a caller who retries gets the memory back
        reason = " ".join(str(error).split()).rstrip(".")
        raise OutOfMemoryError(f"out of memory{f' ({reason})' if reason else ''}: {mend()}") from error
