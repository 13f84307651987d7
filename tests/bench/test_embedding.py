"""`scratchnet bench --embed`: rate of a batch, latency of a single image."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import strict_array
from bench_parts import never

from scratchnet import backend
from scratchnet.bench import embedding, peers
from scratchnet.bench.peers import Embedder


def test_embedding_is_reported_for_a_batch_and_for_a_single_image(bench):
    code, out, err = bench("--embed", "--rounds", "3")
    assert (code, err) == (0, "")
    spread = r"[\d,.]+ \([\d,.]+ - [\d,.]+\)"
    assert re.search(rf"^scratchnet +{spread} images/s; single image {spread} ms$", out, re.MULTILINE)
    assert max(map(len, out.splitlines()[1:])) <= 120  # the first names the folder of the code
    figures = json.loads(bench("--embed", "--json")[1])
    assert figures.keys() == {"code", "workload", "machine", "embedding"}
    (row,) = figures["embedding"]
    assert row.keys() == {"name", "images_per_second", "single_ms"}
    assert row["single_ms"].keys() == {"median", "least", "most"}


def test_the_rate_is_of_all_images_and_the_latency_of_one(monkeypatch, tiny_net, rng):
    images = rng.random((6, 16, 16)).astype(np.float32)
    asked = []

    def in_turns(steps, rounds, device):
        asked.append([len(step()) for step in steps.values()])
        return {name: [0.5, 0.25, 2.0] for name in steps}

    monkeypatch.setattr(embedding, "in_turns", in_turns)
    (row,) = embedding.measure(tiny_net, images, rounds=3)
    assert asked == [[6], [1]]
    assert row["images_per_second"] == {"median": 12.0, "least": 3.0, "most": 24.0}
    assert row["single_ms"] == {"median": 500.0, "least": 250.0, "most": 2000.0}


def test_a_network_with_a_frame_is_timed_with_it_as_well(monkeypatch, tiny_net, rng):
    images = rng.random((6, 16, 16)).astype(np.float32) / 4
    peer = Embedder("agrees", lambda net: net.embed)
    monkeypatch.setattr(peers, "load_embedders", lambda name, device: [peer])
    rows = embedding.measure(replace(tiny_net, frame="ink"), images, rounds=3, against=["torch"])
    assert [row["name"] for row in rows] == ["scratchnet", "scratchnet, framing included", "agrees"]
    assert rows[1].keys() == {"name", "images_per_second", "single_ms"}
    assert {"batch_ratio", "single_ratio", "framed_ratio"} <= rows[2].keys()


@pytest.fixture
def embedders(monkeypatch):
    """In place of PyTorch: embedders that agree, differ, give NaN and fail."""
    found = [
        Embedder("agrees", lambda net: net.embed),
        Embedder("differs", lambda net: lambda images: net.embed(images) + np.float32(0.01)),
        Embedder("gives NaN", lambda net: lambda images: net.embed(images) * np.float32("nan")),
        Embedder("never runs", never),
    ]
    monkeypatch.setattr(peers, "load_embedders", lambda name, device: found)


def test_an_embedding_that_agrees_is_timed_and_one_that_does_not_is_reported(bench, embedders):
    code, out, err = bench("--embed", "--against", "torch")
    lines = {name: next(line for line in out.splitlines() if line.startswith(name))
             for name in ("scratchnet", "agrees", "differs", "gives NaN", "never runs")}  # fmt: skip
    assert (code, err) == (1, "")
    assert "ratios" not in lines["scratchnet"]
    assert re.search(r"; ratios [\d.]+ \([\d.]+ - [\d.]+\) and [\d.]+ \(", lines["agrees"])
    assert re.search(r"computes something else: embeddings off by \de[+-]0\d; not timed", lines["differs"])
    assert "embeddings off by nan" in lines["gives NaN"]
    assert lines["never runs"].endswith("does not run: RuntimeError: no compiler")


def test_embedding_has_no_other_peers(bench):
    code, out, _ = bench("--embed", "--against", "jax")
    assert code == 0
    assert re.search(r"^jax +embedding can be compared only with torch$", out, re.MULTILINE)


def test_embedding_runs_on_another_device(bench, monkeypatch):
    monkeypatch.setitem(backend.device._devices, "strict", strict_array.STRICT)
    assert bench("--embed", "--device", "strict")[0] == 0


def test_the_command_embeds_on_every_device(bench, device):
    code, out, err = bench("--device", device.name, "--embed")
    assert (code, err) == (0, "")
    assert re.search(rf"parameters, float32, {device.name}$", out, re.MULTILINE)


def test_a_peer_takes_its_images_from_the_host_once(monkeypatch, tiny_net, rng):
    monkeypatch.setitem(backend.device._devices, "strict", strict_array.STRICT)
    taken = []

    def upload(images):
        taken.append(type(images))
        return images.tolist()

    def build(net):
        return lambda images: tiny_net.embed(np.array(images, np.float32)).tolist()

    def download(found):
        return np.array(found, np.float32)

    monkeypatch.setattr(peers, "load_embedders", lambda name, device: [Embedder("peer", build, upload, download)])
    images = strict_array.upload(rng.random((3, 16, 16)).astype(np.float32))
    _, row = embedding.measure(tiny_net.to_device("strict"), images, 2, against=["torch"])
    assert row["difference"] < 1e-5
    assert row["images_per_second"]["median"] > 0
    assert taken == [np.ndarray]
