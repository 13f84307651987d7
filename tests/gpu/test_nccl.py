"""NCCL on a GPU that is alone: a world of one, whose sums are the numbers themselves."""

import numpy as np
import pytest

from scratchnet.backend import to_device, to_host
from scratchnet.parallel.comm import ALONE
from scratchnet.parallel.nccl import Nccl


@pytest.mark.gpu
def test_a_gpu_alone_sums_its_own_numbers(cuda):
    if not cuda.module.cuda.nccl.available:
        pytest.skip("CuPy finds no NCCL: pip install nvidia-nccl-cu12, or nvidia-nccl-cu13")
    nccl, expected = Nccl(cuda.module.cuda, ALONE), np.arange(1000, dtype=np.float32)
    waits = [nccl.start_allreduce(to_device(factor * expected, cuda)) for factor in (1, 2, 3)]
    for factor, wait in enumerate(waits, start=1):
        np.testing.assert_array_equal(to_host(wait() + 1), factor * expected + 1)
