"""Loading CuPy, and the memory of its pool, with a stand-in in its place."""

from types import SimpleNamespace

import numpy as np
import pytest
from fake_cupy import WORKING_CUDA, Pool, fake_cupy

from scratchnet import backend
from scratchnet.backend import CPU, get_device
from scratchnet.errors import BackendError

pytestmark = pytest.mark.usefixtures("fresh_devices")


def test_without_cupy_the_error_names_the_extra(monkeypatch):
    monkeypatch.setattr(backend.cuda.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BackendError, match=r'not installed; in your clone: pip install -e "\.\[cuda12x\]" or'):
        get_device("cuda")


def test_a_cupy_that_does_not_import_is_an_error_with_its_cause(monkeypatch):
    monkeypatch.setattr(backend.cuda.importlib.util, "find_spec", lambda name: object())

    def broken(name):
        raise ImportError("libcuda.so.1: cannot open shared object file")

    monkeypatch.setattr(backend.cuda.importlib, "import_module", broken)
    with pytest.raises(BackendError, match=r"libraries do not load \(ImportError: libcuda.so.1: cannot open"):
        get_device("cuda")


def test_a_cupy_whose_compiler_does_not_load_is_an_error_with_its_cause(monkeypatch):
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


@pytest.fixture
def pool(monkeypatch):
    """The memory pool of a pretended GPU."""
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


def test_free_memory_counts_that_of_the_gpu_and_of_the_pool_up_to_its_limit(pool):
    device = get_device("cuda")
    assert device.held_memory() == 300
    assert device.free_memory() == 10_000 - 300
    pool.limit = 700
    assert device.free_memory() == 700 - 300
    pool.limit = 20_000
    assert device.free_memory() == 10_000 - 300


def test_the_peak_counts_what_the_pool_took_and_not_what_it_held_before(pool):
    def work():
        for _ in range(2):
            pool.malloc(50)
            pool.malloc(60)
            pool.give_back(50)
            pool.give_back(60)
            pool.free_all_blocks()

    assert get_device("cuda").peak_memory(work) == 110
    assert pool.hooks == []


def test_the_peak_counts_allocations_inside_blocks_that_the_pool_already_held(pool):
    def work():
        pool.malloc(150, stuck=True)

    assert get_device("cuda").peak_memory(work) == 150


def test_the_peak_counts_fragmentation(pool):
    def work():
        pool.malloc(50)
        pool.give_back(50)
        pool.malloc(80)  # for which the block of 50 is too small

    assert get_device("cuda").peak_memory(work) == 130
