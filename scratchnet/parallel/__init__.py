"""Training on several processes, on one machine or many: what they say to each other, and the parts that listen."""

from typing import TYPE_CHECKING

__all__ = [
    "ALONE", "Alone", "Comm", "StepCost", "batchnorm", "buckets", "comm", "cost", "job", "mpi", "nccl", "network",
    "on_device", "world",
]  # fmt: skip

if TYPE_CHECKING:
    from scratchnet.parallel import batchnorm, buckets, comm, cost, job, mpi, nccl, network
    from scratchnet.parallel.comm import ALONE, Alone, Comm
    from scratchnet.parallel.cost import StepCost
    from scratchnet.parallel.mpi import world
    from scratchnet.parallel.nccl import on_device
else:
    from scratchnet.common.lazy import lazily

    __getattr__, __dir__ = lazily(__name__, __all__, {
        "ALONE": "comm", "Alone": "comm", "Comm": "comm", "StepCost": "cost", "world": "mpi", "on_device": "nccl",
    })  # fmt: skip
