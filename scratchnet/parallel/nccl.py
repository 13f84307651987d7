"""The ranks of a job whose arrays are on devices: by NCCL from one GPU to the next, else over the host.

NCCL through `cupy.cuda.nccl`, as CuPy's own wrapper has neither a stream of its own nor an end: an MPI communicator
carries it, which starts the processes, and ends them all when one dies.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from scratchnet.backend import CPU, Array, Device, array_module, to_device, to_host
from scratchnet.errors import ShapeError
from scratchnet.parallel.comm import Comm, Wait

ID_BYTES = 128  # of NCCL's unique id


def on_device(ranks: Comm, device: Device) -> Comm:
    """The ranks, for arrays on `device`; the same ones for the host."""
    if device is CPU or ranks.size == 1:
        return ranks
    cuda = getattr(device.module, "cuda", None)  # CuPy has it, and NCCL in it unless that is not installed
    return OnDevice(ranks, device, Nccl(cuda, ranks) if cuda and cuda.nccl.available else None)


class Nccl:
    """Sums over the GPUs of all ranks, on a stream of their own: computation goes on, and so does Python."""

    def __init__(self, cuda: Any, ranks: Comm) -> None:
        """cuda: the module cupy.cuda, whose current GPU is this rank's."""
        self._cuda = cuda
        unique_id = cuda.nccl.get_unique_id() if ranks.rank == 0 else bytes(ID_BYTES)
        unique_id = bytes(ranks.broadcast(np.frombuffer(unique_id, np.uint8)).tolist())
        self._group = cuda.nccl.NcclCommunicator(ranks.size, unique_id, ranks.rank)
        self._stream = cuda.Stream(non_blocking=True)
        self._types = {"float32": cuda.nccl.NCCL_FLOAT32, "float64": cuda.nccl.NCCL_FLOAT64}

    def start_allreduce(self, array: Array) -> Wait:
        """Start the sum, in place. Raises ShapeError for an array of gaps or of another dtype than a network's."""
        if not array.flags.c_contiguous or array.dtype.name not in self._types:
            raise ShapeError(f"NCCL sums arrays of float32 or float64 without gaps, not {array.dtype} {array.shape}")
        cuda, address = self._cuda, array.data.ptr
        self._stream.wait_event(cuda.get_current_stream().record())  # which has computed the array
        kind = self._types[array.dtype.name]
        self._group.allReduce(address, address, array.size, kind, cuda.nccl.NCCL_SUM, self._stream.ptr)
        done = self._stream.record()

        def wait() -> Array:
            cuda.get_current_stream().wait_event(done)  # the GPU waits, Python does not
            return array

        return wait


@dataclass(frozen=True)
class OnDevice:
    """The ranks of a job whose arrays are on `device`, with the `host`'s for all else; nccl: None to go over the host.

    Without NCCL, every sum waits for the device.
    """

    host: Comm
    device: Device
    nccl: Nccl | None = None

    @property
    def rank(self) -> int:
        """As on the host."""
        return self.host.rank

    @property
    def size(self) -> int:
        """As on the host."""
        return self.host.size

    def broadcast(self, array: Array) -> Array:
        """Rank 0's array, over the host."""
        return self._back(array, self.host.broadcast(to_host(array)))

    def allreduce(self, array: Array) -> Array:
        """The sum of the arrays of all ranks."""
        return self.start_allreduce(array)()

    def start_allreduce(self, array: Array) -> Wait:
        """Start `allreduce` and go on."""
        if array_module(array) is np:
            return self.host.start_allreduce(array)
        if self.nccl:
            return self.nccl.start_allreduce(array)
        wait = self.host.start_allreduce(to_host(array))
        return lambda: self._back(array, wait())

    def barrier(self) -> None:
        """Wait until all ranks are here."""
        self.host.barrier()

    def _back(self, array: Array, value: Array) -> Array:
        """The value, where the array is."""
        return value if array_module(array) is np else to_device(value, self.device)
