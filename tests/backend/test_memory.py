"""Memory of the host: what a process holds, the peak of a function, and running out of it."""

import mmap
import tracemalloc
import weakref

import numpy as np
import pytest

from scratchnet import backend
from scratchnet.backend import CPU
from scratchnet.errors import BackendError


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError("Out of memory allocating 9 bytes\n(5 bytes so far)."), " (Out of memory allocating 9 bytes (5 "),
        (MemoryError(), ":"),
    ],
)
def test_out_of_memory_is_one_line_that_ends_with_the_advice(error, reason):
    with pytest.raises(BackendError) as refusal, backend.memory_errors(lambda: "take less"):
        raise error
    message = str(refusal.value)
    assert message.startswith("out of memory" + reason)
    assert message.endswith(": take less")
    assert "\n" not in message


def test_the_memory_error_of_numpy_becomes_such_a_line():
    said = r"^out of memory \(Unable to allocate 4.00 EiB for an array .*\): take less$"
    with pytest.raises(BackendError, match=said), backend.memory_errors(lambda: "take less"):
        np.empty(2**59)


def test_the_error_keeps_no_memory_alive():
    """A caller that catches the error and retries with less must find the memory free."""

    class Large:
        pass

    alive = []

    def exhausted():
        large = Large()
        alive.append(weakref.ref(large))
        raise MemoryError

    try:
        with backend.memory_errors(lambda: "take less"):
            exhausted()
    except BackendError:
        assert alive[0]() is None


def test_other_errors_pass_unchanged():
    with pytest.raises(ValueError, match="another"), backend.memory_errors(lambda: "take less"):
        raise ValueError("another")


def test_the_peak_of_a_function_is_that_of_its_arrays():
    def work():
        for _ in range(3):
            np.empty(2**22, np.uint8)
        kept = np.empty(2**23, np.uint8)
        del kept

    gaps = 1 + backend.memory.HEAP_GAPS
    for _ in range(2):
        assert CPU.peak_memory(work) == pytest.approx(gaps * 2**23, rel=0.01)
    assert not tracemalloc.is_tracing()


def test_a_peak_is_measured_while_another_tracer_runs():
    tracemalloc.start()
    try:
        before = np.zeros(2**23, np.uint8)
        peak = CPU.peak_memory(lambda: np.empty(2**22, np.uint8))
        assert peak == pytest.approx((1 + backend.memory.HEAP_GAPS) * 2**22, rel=0.01)
        assert tracemalloc.get_traced_memory()[0] > before.nbytes
    finally:
        tracemalloc.stop()


@pytest.mark.skipif(not backend.memory.STATM.exists(), reason="the system does not report the memory of a process")
def test_memory_that_is_written_to_counts_as_held():
    before = CPU.held_memory()
    with mmap.mmap(-1, 2**26) as fresh:  # from the system, not from memory that the process has kept
        assert CPU.held_memory() - before < 2**25
        fresh.write(b"x" * len(fresh))
        assert CPU.held_memory() - before > 2**25


@pytest.mark.skipif(not backend.memory.STATM.exists(), reason="the system does not report the memory of a process")
def test_memory_that_is_only_kept_for_reuse_does_not_count_as_held():
    backend.keep_freed_memory()
    before = CPU.held_memory()
    arrays = [np.ones(2**22, np.uint8) for _ in range(32)]
    last = arrays.pop()  # holds the end of the heap, so that freeing the others does not shrink it
    assert CPU.held_memory() - before > 30 * 2**22
    del arrays
    assert CPU.held_memory() - before < 8 * 2**22
    assert last.all()


def test_held_memory_is_0_where_the_system_does_not_report_it(monkeypatch, tmp_path):
    monkeypatch.setattr(backend.memory, "STATM", tmp_path / "absent")
    assert CPU.held_memory() == 0


def test_reused_memory_never_overlaps_a_live_array(rng):
    backend.keep_freed_memory()
    kept = rng.standard_normal(2**20)
    before = kept.copy()
    for _ in range(5):
        np.full(2**20, np.nan)
    np.testing.assert_array_equal(kept, before)
