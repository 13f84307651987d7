"""PyTorch's variants on the CPU and on a GPU."""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
import strict_array
from bench_parts import TINY

from scratchnet import backend
from scratchnet.backend import CPU
from scratchnet.bench import peers
from scratchnet.bench.workload import Workload
from scratchnet.errors import ScratchnetError, install_extra


@pytest.mark.parametrize("network", ["compact", "koch2015"])
def test_pytorch_embeds_the_same_in_evaluation(network, rng):
    if importlib.util.find_spec("torch") is None:
        pytest.skip(f"compares with torch, which is an extra; {install_extra('bench')}")
    options = {"compact": {"image_size": 16, "width": 4}, "koch2015": {"image_size": 75}}[network]
    training = Workload(network, 3, "cpu", options | {"features": 16}).prepare()
    net = replace(training.net, embed_batch=2)  # three parts
    for name, value in net.params.items():
        if ".running_" in name:
            value += 0.05 * rng.random(value.shape).astype(np.float32)
    images = np.concatenate([training.a, training.b])
    for embedder in peers.load_embedders("torch"):
        found = embedder.download(embedder.build(net)(embedder.upload(images)))
        assert np.std(found, axis=0).max() > 1e-3  # not all alike
        np.testing.assert_allclose(found, net.embed(images), rtol=0, atol=1e-5, err_msg=embedder.name)


@pytest.fixture
def torch(monkeypatch):
    """PyTorch made to believe that there is a GPU; its settings are restored afterwards."""
    torch = pytest.importorskip("torch", reason=f"is about torch, an extra; {install_extra('bench')}")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.benchmark, cudnn.allow_tf32, products.allow_tf32
    yield torch
    cudnn.benchmark, cudnn.allow_tf32, products.allow_tf32 = before


@pytest.fixture
def cuda():
    return replace(strict_array.STRICT, name="cuda")


def test_pytorch_has_other_variants_on_a_gpu(torch, cuda):
    version = f"PyTorch {torch.__version__.partition('+')[0]} "
    on_cpu, on_gpu = ([v.name.removeprefix(version) for v in peers.load("torch", place)] for place in (CPU, cuda))
    assert on_cpu == [
        "float32 NCHW", "float32 channels_last", "float32 compiled channels_last", "bfloat16 channels_last",
    ]  # fmt: skip
    assert on_gpu == [
        "default (TF32 convolutions, float32 products)", "all TF32, channels_last", "all float32", "default, compiled",
    ]  # fmt: skip
    assert [v.precision for v in peers.load("torch", cuda)] == ["tf32", "tf32", "float32", "tf32"]
    assert [e.name.removeprefix(version) for e in peers.load_embedders("torch", cuda)] == on_gpu[:-1]
    assert [v.device_peak is None for v in peers.load("torch", CPU)] == [True] * 4
    assert all(variant.device_peak for variant in peers.load("torch", cuda))


def test_each_variant_of_pytorch_applies_its_settings_before_its_step(torch, cuda, monkeypatch):
    monkeypatch.setitem(backend.device._devices, "strict", strict_array.STRICT)
    training = replace(TINY, device="strict").prepare()  # not a device that PyTorch could read
    found = []
    for variant in peers.load("torch", cuda)[:-1]:  # the last one is compiled
        peer = variant.build(training, device="cpu")
        assert peers.difference(training.gradients(), peer.gradients()).is_rounding("float32"), variant.name
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = not found
        peer.step()
        found.append((torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32))
        assert torch.backends.cudnn.benchmark, variant.name
    assert found == [(True, False), (True, True), (False, False)]
    for embedder, expected in zip(peers.load_embedders("torch", cuda), found, strict=True):
        embed = embedder.build(training.net, device="cpu")
        embed(torch.zeros(1, 16, 16))
        assert (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32) == expected


def test_a_pytorch_without_a_gpu_is_one_line(torch, cuda, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for load in (peers.load, peers.load_embedders):
        with pytest.raises(ScratchnetError, match=r"PyTorch \S+ finds no GPU"):
            load("torch", cuda)
