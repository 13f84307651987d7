"""What a machine achieves at best: products, copies, memory."""

import subprocess
import sys

import numpy as np
import pytest
import strict_array

from scratchnet.backend import CPU
from scratchnet.bench import machine


def test_the_sgemm_rate_is_a_rate():
    assert 1e6 < machine.sgemm_rate(CPU, 32) < 1e15


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_peak_memory_is_that_of_the_process_and_not_of_its_parent():
    before = machine.peak_memory()
    large = np.ones(2**26)  # 512 MiB
    assert machine.peak_memory() >= min(large.nbytes, before + large.nbytes // 2)
    code = "from scratchnet.bench.machine import peak_memory; print(peak_memory())"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(child) < large.nbytes / 2


def test_the_rate_of_a_copy_counts_what_is_read_and_what_is_written(monkeypatch):
    copied = []
    monkeypatch.setattr(machine, "in_turns", lambda steps, rounds, device: {"calls": [steps["calls"]() or 0.5]})
    monkeypatch.setattr(
        strict_array.strict, "copyto", lambda target, source: copied.append(source.nbytes), raising=False
    )
    assert machine.copy_rate(strict_array.STRICT) == pytest.approx(2 * sum(copied) / 0.5)
    assert len(copied) == machine.GPU_REPEATS
