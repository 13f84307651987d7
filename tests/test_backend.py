"""Where arrays live, and what is said when they cannot live there."""

import mmap
import os
import platform
import subprocess
import sys
import threading
import tracemalloc
import weakref
from pathlib import Path
from types import ModuleType, SimpleNamespace

import fake_cublas
import numpy as np
import pytest
from strict_array import STRICT, strict

import scratchnet
from scratchnet import backend
from scratchnet.backend import CPU, array_module, for_each, get_device, thread_count, to_device, to_host
from scratchnet.errors import BackendError


@pytest.fixture(autouse=True)
def fresh_devices(monkeypatch, default_device):
    """Devices registered in one test are gone in the next."""
    monkeypatch.setattr(backend.device, "_devices", {"cpu": backend.CPU, "strict": STRICT})


REAL = SimpleNamespace(CUDA_R_32F=0, CUDA_R_64F=1)
WORKING_CUDA = SimpleNamespace(
    is_available=lambda: True, runtime=REAL, cublas=fake_cublas, device=SimpleNamespace(get_cublas_handle=lambda: 0)
)


def fake_cupy(monkeypatch, **attributes):
    module = ModuleType("cupy")
    module.__spec__ = SimpleNamespace(name="cupy")
    vars(module).update(attributes)
    monkeypatch.setitem(sys.modules, "cupy", module)


def test_the_arrays_say_which_module_computes_on_them():
    x = np.zeros(3)
    assert array_module(x, np.float32(1)) is np
    assert array_module(to_device(x, "strict")) is strict


def test_arrays_on_different_devices_are_an_error_that_says_where_each_is():
    x = np.zeros((2, 3))
    with pytest.raises(BackendError, match=r"\(2, 3\) on cpu, \(2, 3\) on strict.*to_device or to_host"):
        array_module(x, to_device(x, "strict"))


@pytest.mark.parametrize("value", [[1.0, 2.0], 3.0, None, "x"])
def test_anything_but_an_array_is_an_error_that_names_its_type(value):
    with pytest.raises(BackendError, match=f"got {type(value).__name__}"):
        array_module(value)


def test_moving_there_and_back_keeps_every_bit(rng):
    x = rng.standard_normal((3, 4)).astype(np.float32)
    there = to_device(x, "strict")
    assert isinstance(there, strict.ndarray)
    np.testing.assert_array_equal(to_host(there), x)


def test_an_array_that_is_there_already_is_not_copied():
    x = np.zeros(3)
    assert to_device(x, "cpu") is x
    assert to_host(x) is x


def test_the_environment_chooses_the_device_when_nobody_else_does(monkeypatch):
    assert get_device().name == "cpu"
    monkeypatch.setenv("SCRATCHNET_DEVICE", "strict")
    assert get_device() is STRICT
    assert get_device("cpu") is backend.CPU


def test_an_unknown_device_is_an_error_that_lists_the_known_ones():
    with pytest.raises(BackendError, match="unknown device 'tpu': choose one of cpu, cuda"):
        get_device("tpu")


def test_without_cupy_the_error_names_the_extra(monkeypatch):
    monkeypatch.setattr(backend.cuda.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BackendError, match=r'not installed; in your clone: pip install -e "\.\[cuda12x\]" or'):
        get_device("cuda")


def test_a_cupy_that_does_not_import_is_an_error_that_shows_the_cause(monkeypatch):
    monkeypatch.setattr(backend.cuda.importlib.util, "find_spec", lambda name: object())

    def broken(name):
        raise ImportError("libcuda.so.1: cannot open shared object file")

    monkeypatch.setattr(backend.cuda.importlib, "import_module", broken)
    with pytest.raises(BackendError, match=r"libraries do not load \(ImportError: libcuda.so.1: cannot open"):
        get_device("cuda")


def test_a_cupy_whose_compiler_does_not_load_is_an_error_that_shows_the_cause(monkeypatch):
    def broken(shape):
        raise RuntimeError("libnvrtc.so.12 not found")

    fake_cupy(monkeypatch, cuda=SimpleNamespace(is_available=lambda: True), ones=broken)
    with pytest.raises(BackendError, match=r"libraries do not load \(RuntimeError: libnvrtc.so.12 not found\)"):
        get_device("cuda")


def test_a_cupy_without_a_gpu_is_an_error_that_says_so(monkeypatch):
    fake_cupy(monkeypatch, cuda=SimpleNamespace(is_available=lambda: False))
    with pytest.raises(BackendError, match="finds no GPU: check the driver"):
        get_device("cuda")


def test_a_cupy_that_works_is_loaded_once(monkeypatch):
    fake_cupy(
        monkeypatch,
        cuda=WORKING_CUDA,
        ones=np.ones,
        ndarray=type("ndarray", (), {}),
        asarray=np.asarray,
        asnumpy=np.asarray,
    )
    device = get_device("cuda")
    assert device.name == "cuda"
    assert get_device("cuda") is device
    assert (device.asynchronous, CPU.asynchronous) == (True, False)


class Pool:
    """CuPy's pool: blocks that it keeps, of which the free parts go back to the GPU only where nothing else is used."""

    GPU = 10_000  # bytes

    def __init__(self):
        self.used, self.free, self.stuck, self.limit, self.hooks = 300, 500, 200, 0, []

    def used_bytes(self):
        return self.used

    def free_bytes(self):
        return self.free + self.stuck

    def total_bytes(self):
        return self.used + self.free + self.stuck

    def get_limit(self):
        return self.limit

    def free_all_blocks(self):
        self.free = 0

    def malloc(self, size, stuck=False):
        """Hands out a block: of what is left between others, of what is free, or fresh from the GPU."""
        if stuck:
            self.stuck -= size
        elif size <= self.free:
            self.free -= size
        self.used += size
        for hook in self.hooks:
            hook.malloc_postprocess(device_id=0, size=size - 1, mem_size=size, mem_ptr=1, pmem_id=1)

    def give_back(self, size):
        self.used, self.free = self.used - size, self.free + size
        for hook in self.hooks:
            hook.free_postprocess(device_id=0, mem_size=size, mem_ptr=1, pmem_id=1)


@pytest.fixture
def pool(monkeypatch):
    """A GPU's memory, without the GPU."""
    pool = Pool()

    class MemoryHook:
        def __enter__(self):
            pool.hooks.append(self)
            return self

        def __exit__(self, *_):
            pool.hooks.remove(self)

    fake_cupy(
        monkeypatch,
        cuda=SimpleNamespace(
            **vars(WORKING_CUDA),
            MemoryHook=MemoryHook,
            Device=lambda: SimpleNamespace(mem_info=(pool.GPU - pool.total_bytes(), pool.GPU)),
        ),
        ones=np.ones,
        ndarray=type("ndarray", (), {}),
        asarray=np.asarray,
        asnumpy=np.asarray,
        get_default_memory_pool=lambda: pool,
    )
    return pool


def test_the_memory_that_a_gpu_has_free_is_the_gpus_and_the_pools_below_its_limit(pool):
    device = get_device("cuda")
    assert device.held_memory() == 300
    assert device.free_memory() == 10_000 - 300
    pool.limit = 700
    assert device.free_memory() == 700 - 300
    pool.limit = 20_000
    assert device.free_memory() == 10_000 - 300


def test_the_peak_on_a_gpu_counts_what_the_pool_took_and_not_what_it_held(pool):
    def work():
        for _ in range(2):
            pool.malloc(50)
            pool.malloc(60)
            pool.give_back(50)
            pool.give_back(60)
            pool.free_all_blocks()

    assert get_device("cuda").peak_memory(work) == 110
    assert pool.hooks == []


def test_the_peak_on_a_gpu_counts_what_fits_between_blocks_that_are_in_use(pool):
    def work():
        pool.malloc(150, stuck=True)

    assert get_device("cuda").peak_memory(work) == 150


def test_the_peak_on_a_gpu_counts_what_is_lost_between_blocks(pool):
    def work():
        pool.malloc(50)
        pool.give_back(50)
        pool.malloc(80)  # for which the block of 50 is too small

    assert get_device("cuda").peak_memory(work) == 130


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError("Out of memory allocating 9 bytes\n(5 bytes so far)."), " (Out of memory allocating 9 bytes (5 "),
        (MemoryError(), ":"),
    ],
)
def test_out_of_memory_is_one_line_with_the_mend(error, reason):
    with pytest.raises(BackendError) as refusal, backend.memory_errors(lambda: "take less"):
        raise error
    message = str(refusal.value)
    assert message.startswith("out of memory" + reason)
    assert message.endswith(": take less")
    assert "\n" not in message


def test_numpys_own_error_of_memory_is_such_a_line():
    said = r"^out of memory \(Unable to allocate 4.00 EiB for an array .*\): take less$"
    with pytest.raises(BackendError, match=said), backend.memory_errors(lambda: "take less"):
        np.empty(2**59)


def test_the_error_of_memory_does_not_hold_the_memory():
    """Whoever catches it and tries again with less must find the memory free."""

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


def test_a_peak_is_found_beside_somebody_elses_tracing():
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


def test_where_the_system_does_not_tell_no_memory_is_held(monkeypatch, tmp_path):
    monkeypatch.setattr(backend.memory, "STATM", tmp_path / "absent")
    assert CPU.held_memory() == 0


@pytest.mark.skipif(backend.blas_kernels() is None, reason="NumPy came with another BLAS than OpenBLAS")
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="asks for the kernels of an x86-64 processor")
def test_the_kernels_of_openblas_are_those_that_the_environment_chooses():
    code = "from scratchnet.backend import blas_kernels; print(blas_kernels())"
    environment = os.environ | {"OPENBLAS_CORETYPE": "Nehalem", "PYTHONPATH": str(Path(scratchnet.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "Nehalem\n"


@pytest.fixture
def processors(monkeypatch):
    """A machine of eight processors, and no wishes in the environment."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    for variable in ("SCRATCHNET_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize(
    ("environment", "threads"),
    [
        ({}, 8),
        ({"OPENBLAS_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "3"}, 2),
        ({"SCRATCHNET_THREADS": "1", "OMP_NUM_THREADS": "2"}, 1),
        ({"SCRATCHNET_THREADS": "100"}, 8),
        ({"OMP_NUM_THREADS": "2,1"}, 2),
        ({"OMP_NUM_THREADS": "many"}, 8),
        ({"OMP_NUM_THREADS": "\u00b2", "OPENBLAS_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "0"}, 8),
        ({"OMP_NUM_THREADS": "9" * 5000}, 8),
    ],
)
def test_the_environment_and_the_affinity_limit_the_threads(environment, threads, processors, monkeypatch):
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    assert thread_count() == threads


@pytest.mark.parametrize("value", ["many", "0", "-1", "1.5", "\u00b2", " "])
def test_a_number_of_threads_that_is_none_is_refused(value, monkeypatch):
    monkeypatch.setenv("SCRATCHNET_THREADS", value)
    with pytest.raises(BackendError, match=f"^SCRATCHNET_THREADS={value}: give a whole number, 1 or more"):
        thread_count()


@pytest.mark.parametrize("threads", ["1", "4"])
def test_every_item_is_visited_once_on_any_number_of_threads(threads, processors, monkeypatch):
    monkeypatch.setenv("SCRATCHNET_THREADS", threads)
    visits, seen_threads = np.zeros(200), set()

    def visit(i):
        visits[i] += 1
        seen_threads.add(threading.current_thread().name)

    for_each(visit, range(200), like=visits)
    assert (visits == 1).all()
    assert all(name.startswith("scratchnet") for name in seen_threads) == (threads == "4")


def test_on_another_device_the_items_are_visited_in_order(processors):
    visited = []
    for_each(visited.append, range(5), like=to_device(np.zeros(3), "strict"))
    assert visited == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("shape", [(0, 3), (1, 5), (7, 10**5), (10**5, 3)])
def test_blocks_cover_an_axis_once_and_fit_the_cache(shape):
    array = np.zeros(shape, np.float32)
    slices = backend.blocks(array)
    covered = np.concatenate([np.arange(shape[0])[s] for s in slices]) if slices else np.arange(0)
    np.testing.assert_array_equal(covered, np.arange(shape[0]))
    assert all(array[s].nbytes <= backend.threads.BLOCK_BYTES or s.stop - s.start == 1 for s in slices)
    assert backend.blocks(to_device(array, "strict")) == [slice(0, shape[0])]


def test_memory_that_is_kept_does_not_reach_into_arrays_that_live(rng):
    backend.keep_freed_memory()
    kept = rng.standard_normal(2**20)
    before = kept.copy()
    for _ in range(5):
        np.full(2**20, np.nan)
    np.testing.assert_array_equal(kept, before)


def test_what_a_call_raises_is_raised_and_blas_gets_its_threads_back(processors):
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


@pytest.mark.parametrize(("m", "k", "n"), [(3, 400, 9_000), (9_000, 400, 3), (2, 3, 4), (0, 3, 4), (1, 10_000_001, 1)])
def test_a_product_in_pieces_is_the_product(m, k, n, rng):
    a, b = rng.standard_normal((m, k)), rng.standard_normal((k, n))
    np.testing.assert_allclose(backend.product(a, b), a @ b, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(backend.product(b.T, a.T), (a @ b).T, rtol=1e-10, atol=1e-10)
