"""What is exported computes what scratchnet computes, in PyTorch and in ONNX Runtime; and comes back bit for bit."""

import re
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from helpers import same_bits

from scratchnet.checkpoint import load_model
from scratchnet.errors import CheckpointError, ScratchnetError, install_extra
from scratchnet.exchange import export_model, formats, import_model
from scratchnet.exchange.pytorch_code import pytorch_code
from scratchnet.layers import Conv2d, Sequential
from scratchnet.layers.protocol import strip_prefix

close = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5)


def library(name):
    return pytest.importorskip(name, reason=f"needs {name}: pip install {name}")


def library_for(suffix):
    """The library of the extra `exchange` that a format needs."""
    name = {".safetensors": "safetensors", ".onnx": "onnx"}.get(suffix)
    if name:
        pytest.importorskip(name, reason=f"needs the extra exchange; {install_extra('exchange')}")


def answers(net, pairs):
    """The embeddings of both sides of pairs, and the logits, by scratchnet."""
    first, second = (net.network.encode(net.params, images)[0] for images in pairs)
    return first, second, net.head.forward(strip_prefix("head", net.params), first, second)[0]


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_the_module_that_is_printed_computes_the_same_in_pytorch(suffix, net, pairs, tmp_path):
    torch = library("torch")
    library_for(suffix)
    path = tmp_path / f"net{suffix}"
    export_model(path, net)
    module = {}
    exec(pytorch_code(net, path), module)
    peer = module["load"]()  # weights alone, and all of them
    with torch.no_grad():
        first, second = (peer(torch.from_numpy(images)) for images in pairs)
        logit = peer.score(first, second)
    for ours, theirs in zip(answers(net, pairs), (first, second, logit), strict=True):
        close(theirs.numpy(), ours)
    assert np.ptp(logit.numpy()) > 1  # there is something to compare


def test_onnx_runtime_computes_the_same(net, pairs, tmp_path):
    runtime = library("onnxruntime")
    library_for(".onnx")
    export_model(tmp_path / "net.onnx", net)
    export_model(tmp_path / "head.onnx", net, score=True)
    encoder, head = (runtime.InferenceSession(tmp_path / name) for name in ("net.onnx", "head.onnx"))
    (first,), (second,) = (encoder.run(["embedding"], {"images": images}) for images in pairs)
    (logit,) = head.run(["logit"], {"first": first, "second": second})
    for ours, theirs in zip(answers(net, pairs), (first, second, logit), strict=True):
        assert theirs.dtype == np.float32
        close(theirs, ours)
    for few in (0, 1):
        assert encoder.run(None, {"images": pairs[0][:few]})[0].shape == (few, net.head.features)
    noted = encoder.get_modelmeta().custom_metadata_map
    assert (noted["frame"], noted["image_size"]) == (net.frame, str(net.image_size))


def test_the_bundled_network_is_the_same_in_onnx_runtime(tmp_path, rng):
    runtime = library("onnxruntime")
    library_for(".onnx")
    net = load_model("omniglot")
    export_model(tmp_path / "net.onnx", net)
    export_model(tmp_path / "head.onnx", net, score=True)
    encoder, head = (runtime.InferenceSession(tmp_path / name) for name in ("net.onnx", "head.onnx"))
    images = net.prepare(rng.random((46, 30, 30), np.float32) > 0.9)
    one, other = np.triu_indices(46, 1)  # 1,035 pairs
    (h,) = encoder.run(None, {"images": images})
    (logit,) = head.run(None, {"first": h[one], "second": h[other]})
    first, _, _ = answers(net, (images, images))
    close(h, first)
    close(logit, net.scores_of(first, first)[one, other])


@pytest.mark.parametrize("suffix", formats.FROM[:2])
def test_a_network_comes_back_bit_for_bit(suffix, net, tmp_path):
    library_for(suffix)
    path = tmp_path / f"net{suffix}"
    export_model(path, net)
    again = import_model(path, net.architecture)
    assert same_bits(again.params, net.params)
    assert (again.encoder, again.head, again.frame) == (net.encoder, net.head, net.frame)


def test_safetensors_says_what_architecture_it_is_of_and_pt_does_not(net, tmp_path):
    export_model(tmp_path / "net.pt", net)
    with pytest.raises(CheckpointError, match="does not say what architecture it is of: name a network"):
        import_model(tmp_path / "net.pt")
    library_for(".safetensors")
    export_model(tmp_path / "net.safetensors", net)
    assert import_model(tmp_path / "net.safetensors").architecture == net.architecture


@pytest.mark.parametrize("suffix", formats.TO)
def test_the_same_network_is_the_same_file(suffix, net, tmp_path):
    library_for(suffix)
    for name in ("one", "other"):
        export_model(tmp_path / f"{name}{suffix}", net)
    assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"other{suffix}").read_bytes()


@pytest.mark.parametrize("suffix", formats.TO)
def test_a_network_that_could_not_be_saved_leaves_the_old_file(suffix, net, tmp_path):
    path = tmp_path / f"net{suffix}"
    path.write_bytes(b"before")
    broken = replace(net, params=net.params | {"head.bias": np.full(1, np.nan, np.float32)})
    changed = replace(net, encoder=Sequential({"conv1": Conv2d(1, 2, 3)}))
    for fault in (broken, changed):
        with pytest.raises(CheckpointError, match=f"^{re.escape(str(path))} is not written: the"):
            export_model(path, fault)
    assert path.read_bytes() == b"before"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".safetensors", ".onnx"])
def test_a_missing_library_is_named_with_the_extra_that_has_it(suffix, net, tmp_path, monkeypatch):
    for name in ("safetensors", "safetensors.numpy", "onnx"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ScratchnetError, match=rf"^{suffix} needs the library \w+; in your clone: pip install"):
        export_model(tmp_path / f"net{suffix}", net)
    (tmp_path / "net.safetensors").write_bytes(b"")
    with pytest.raises(ScratchnetError, match="needs the library safetensors"):
        import_model(tmp_path / "net.safetensors", net.architecture)


def test_a_suffix_that_is_none_of_ours_is_refused(net, tmp_path):
    with pytest.raises(ScratchnetError, match=r"suffix '\.onx' \(did you mean '\.onnx'\?\): expected \.safe"):
        export_model(tmp_path / "net.onx", net)
    with pytest.raises(ScratchnetError, match="has no suffix: expected"):
        import_model(tmp_path / "net", net.architecture)
    with pytest.raises(ScratchnetError, match="holds encoder and head together"):
        export_model(tmp_path / "net.pt", net, score=True)
