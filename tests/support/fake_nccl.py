"""A stand-in for the part of `cupy.cuda` that sums over GPUs, for ranks that are threads (`rank_threads.py`).

A sum is there when a stream has waited for the event behind it, and not before: until then the memory holds NaN. It is
refused unless its stream has waited for what computes the numbers. Memory is read by address, as NCCL does.
"""

import itertools
from types import SimpleNamespace

import numpy as np

TYPES = {7: np.dtype(np.float32), 8: np.dtype(np.float64)}
SUM = 0
UNIQUE_ID = bytes(range(128))


class Stream:
    """Operations in order; `effects` are those of its sums, which its events bring about."""

    numbers = itertools.count(1)

    def __init__(self, non_blocking=False):
        self.ptr, self.non_blocking = next(self.numbers), non_blocking
        self.effects, self.waited_for = [], []

    def record(self):
        return SimpleNamespace(stream=self, effects=list(self.effects))

    def wait_event(self, event):
        self.waited_for.append(event.stream)
        for effect in event.effects:
            if effect in event.stream.effects:  # a sum arrives once
                event.stream.effects.remove(effect)
                effect()


def fake_cuda(ranks):
    """`cupy.cuda` as one of the ranks has it."""
    current, streams = Stream(), {}

    def made(non_blocking=False):
        stream = Stream(non_blocking)
        streams[stream.ptr] = stream
        return stream

    class NcclCommunicator:
        def __init__(self, size, unique_id, rank):
            assert (size, unique_id, rank) == (ranks.size, UNIQUE_ID, ranks.rank), "all have rank 0's"

        def allReduce(self, source, target, count, kind, operation, stream):
            assert operation == SUM
            own = streams[stream]
            assert own.non_blocking
            assert own.waited_for[-1] is current, "the sum might begin before the numbers are there"
            length = count * TYPES[kind].itemsize
            memory = [(np.ctypeslib.as_array((np.ctypeslib.ctypes.c_uint8 * length).from_address(address)))
                      for address in (source, target)]  # fmt: skip
            numbers, found = (each.view(TYPES[kind]) for each in memory)
            total = ranks.allreduce(numbers.copy())
            found[...] = np.nan

            def arrive():
                found[...] = total

            own.effects.append(arrive)

    return SimpleNamespace(
        Stream=made,
        get_current_stream=lambda: current,
        nccl=SimpleNamespace(
            available=True,
            NCCL_FLOAT32=7,
            NCCL_FLOAT64=8,
            NCCL_SUM=SUM,
            NcclCommunicator=NcclCommunicator,
            get_unique_id=lambda: UNIQUE_ID if ranks.rank == 0 else None,
        ),
    )
