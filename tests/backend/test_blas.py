"""OpenBLAS: its kernels, and its threads while ours compute."""

import os
import platform
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import scratchnet
from scratchnet import backend
from scratchnet.backend import for_each
from scratchnet.errors import BackendError


@pytest.mark.skipif(backend.blas_kernels() is None, reason="NumPy came with another BLAS than OpenBLAS")
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="asks for the kernels of an x86-64 processor")
def test_openblas_reports_the_kernels_that_the_environment_chose():
    code = "from scratchnet.backend import blas_kernels; print(blas_kernels())"
    environment = os.environ | {"OPENBLAS_CORETYPE": "Nehalem", "PYTHONPATH": str(Path(scratchnet.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "Nehalem\n"


def test_an_exception_in_a_thread_is_raised_and_blas_gets_its_threads_back(processors):
    get_threads, _ = backend.blas._openblas()
    before = get_threads()

    def fail(i):
        raise BackendError(f"item {i}")

    with pytest.raises(BackendError, match=r"item [012]"):
        for_each(fail, range(3), like=np.zeros(1))
    assert get_threads() == before


def test_several_threads_may_use_for_each_at_once(processors):
    totals = np.zeros(6)

    def work(k):
        parts = np.zeros(50)

        def part(i):
            parts[i] = i

        for_each(part, range(50), like=parts)
        totals[k] = parts.sum()

    workers = [threading.Thread(target=work, args=(k,)) for k in range(len(totals))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert (totals == sum(range(50))).all()
    assert backend.blas._threads.users == 0
