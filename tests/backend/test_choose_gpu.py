"""`cuda:N` makes one of several GPUs the only one that the process sees."""

import os
import sys
import types
from dataclasses import replace

import pytest

from scratchnet.backend import CPU, cuda, device, get_device
from scratchnet.errors import BackendError


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch):
    monkeypatch.setattr(cuda, "_chosen", {})
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # so that it is restored


@pytest.mark.parametrize(("listed", "seen"), [("", "1"), ("4,7", "7"), ("GPU-aa,GPU-bb", "GPU-bb")])
def test_the_number_counts_the_gpus_that_are_visible(listed, seen, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
    assert cuda.choose_gpu("cuda:1") == "cuda"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == seen
    assert cuda.choose_gpu("cuda:1") == "cuda"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == seen


@pytest.mark.parametrize("name", ["cuda:", "cuda:x", "cuda:-1", "cuda:2"])
def test_what_is_no_gpu_is_refused(name, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    with pytest.raises(BackendError, match=f"device '{name}': expected cuda:N, and CUDA_VISIBLE_DEVICES=4,7 has 2"):
        get_device(name)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "4,7"


def test_a_process_has_one_gpu(monkeypatch):
    cuda.choose_gpu("cuda:1")
    with pytest.raises(BackendError, match="this process computes on cuda:1 already"):
        cuda.choose_gpu("cuda:0")


def test_once_cupy_is_loaded_it_is_too_late(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", types.ModuleType("cupy"))
    with pytest.raises(BackendError, match="this process computes on another GPU already"):
        cuda.choose_gpu("cuda:1")


def test_the_device_is_cuda(monkeypatch):
    gpu = replace(CPU, name="cuda", array_types=())
    monkeypatch.setattr(device, "_devices", {"cpu": CPU})
    monkeypatch.setattr(device, "_loaders", {"cuda": lambda: gpu})
    assert get_device("cuda:0") is gpu
    assert get_device("cuda") is gpu
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
