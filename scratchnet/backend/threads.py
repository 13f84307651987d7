"""Work on the host: on all threads, in blocks that stay in a processor's cache."""

import os
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import ContextVar, copy_context
from functools import lru_cache
from typing import Any

from scratchnet.backend.blas import one_blas_thread
from scratchnet.backend.device import CPU, Array, array_module, device_of
from scratchnet.errors import BackendError

BLOCK_BYTES = 2**20  # of an array that is processed together with a few others of its size

_one_of_many: ContextVar[bool] = ContextVar("one_of_many", default=False)  # whether this is a thread of `for_each`


def thread_count() -> int:
    """How many threads to compute with on the host.

    One for each processor available to this process, unless SCRATCHNET_THREADS, OMP_NUM_THREADS or
    OPENBLAS_NUM_THREADS asks for fewer; the first of them that is a positive number counts, and of a list, such as
    OMP_NUM_THREADS=4,2, its first number. Inside of `for_each`, the one that is there.
    Raises BackendError if SCRATCHNET_THREADS is set to anything else.
    """
    if _one_of_many.get():
        return 1
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    ours = os.environ.get("SCRATCHNET_THREADS")
    if ours and not _positive(ours):
        raise BackendError(f"SCRATCHNET_THREADS={ours}: give a whole number, 1 or more, or leave it out")
    lists = (os.environ.get(variable, "") for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"))
    asked = [_positive(ours or ""), *(_positive(text.partition(",")[0]) for text in lists)]
    return min(processors, next(filter(None, asked), processors))


def _positive(text: str) -> int | None:
    """`text` as a positive integer; None if it is none."""
    digits = text.strip()[:9]  # more processors than there will ever be, and fewer digits than Python refuses
    return int(digits) or None if digits.isdecimal() else None


def for_each(function: Callable[[Any], None], items: Iterable[Any], like: Array) -> None:
    """Call function(item) for every item: on all threads if `like` is on the host, else one after the other.

    The calls must not depend on each other. NumPy releases Python's lock while it computes, so Python threads do run in
    parallel; BLAS uses one thread in each of them, which for many products of medium size is faster than all threads
    for one product at a time. A for_each inside of another stays on its thread.
    """
    left = deque(items)
    threads = min(thread_count(), len(left)) if len(left) > 1 and device_of(like) is CPU else 1

    def take_turns() -> None:
        while left:
            try:
                item = left.popleft()
            except IndexError:  # another thread took the last one
                return
            function(item)

    def share() -> None:
        _one_of_many.set(True)  # in this thread's copy of the context
        take_turns()

    if threads < 2:
        take_turns()
        return
    with one_blas_thread():
        working: list[Future[None]] = []
        try:
            for _ in range(threads):  # NumPy's errstate is part of the caller's context
                working.append(_pool(thread_count()).submit(copy_context().run, share))
        except RuntimeError:  # the system has no thread left, or Python is shutting down
            take_turns()
        try:
            for future in working:
                future.result()
        finally:
            left.clear()
            wait(working)


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads waiting for work; asking for a different number ends the old ones."""
    return ThreadPoolExecutor(threads, thread_name_prefix="scratchnet")


if hasattr(os, "register_at_fork"):  # threads do not survive a fork
    os.register_at_fork(after_in_child=_pool.cache_clear)


def blocks(array: Array) -> list[slice]:
    """Slices along the first axis, small enough to stay in a processor's cache between steps.

    One slice for everything on another device, where larger kernels are faster.
    """
    length = array.shape[0]
    if device_of(array) is not CPU:
        return [slice(0, length)]
    step = max(1, BLOCK_BYTES * length // max(1, array.nbytes))
    return [slice(start, min(start + step, length)) for start in range(0, length, step)] or [slice(0, 0)]


def map_blocks(function: Callable[..., Any], *arrays: Array) -> Array:
    """An array like the first: function(out, *arrays), which writes `out`, called for each block of the first axis.

    All arrays are as long as the first. All threads share work for which NumPy would use one, and a block stays in
    the cache between the steps of `function`.
    """
    out = array_module(*arrays).empty_like(arrays[0])

    def compute(rows: slice) -> None:
        function(out[rows], *(array[rows] for array in arrays))

    for_each(compute, blocks(out), like=out)
    return out


def sum_blocks(function: Callable[..., Array], *arrays: Array) -> Array:
    """The sum over the first axis of function(*arrays), called for each block of that axis."""
    parts = blocks(arrays[0])
    sums: list[Any] = [None] * len(parts)

    def compute(number: int) -> None:
        sums[number] = function(*(array[parts[number]] for array in arrays)).sum(axis=0)

    for_each(compute, range(len(parts)), like=arrays[0])
    return sum(sums[1:], start=sums[0])
