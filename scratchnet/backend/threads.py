"""Work on the host, over all of its threads, in blocks that stay in a processor's cache."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import lru_cache
from typing import Any

from scratchnet.backend.blas import one_blas_thread
from scratchnet.backend.device import CPU, Array, array_module, device_of
from scratchnet.errors import BackendError

BLOCK_BYTES = 2**19  # of an array that is worked on together with a few others like it


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


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="scratchnet")


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
