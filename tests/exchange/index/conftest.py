"""A small network, embeddings of it on disk, and an index of them in several shards."""

import numpy as np
import pytest

from scratchnet.errors import install_extra
from scratchnet.exchange.index import Array, build, build_index

ROWS = 23
SHARD = 4


@pytest.fixture(autouse=True)
def small_shards(monkeypatch, default_device):
    monkeypatch.setattr(build, "SHARD_ROWS", SHARD)


@pytest.fixture
def embeddings(tiny_net, rng):
    """(N, D) float32, as exact as float16."""
    return rng.random((ROWS, tiny_net.head.features)).astype(np.float16).astype(np.float32)


@pytest.fixture
def source(embeddings, tmp_path):
    np.save(tmp_path / "first.npy", embeddings)
    return Array(tmp_path / "first.npy")


@pytest.fixture
def folder(source, tiny_net, tmp_path):
    build_index(tmp_path / "index", source, tiny_net)
    return tmp_path / "index"


@pytest.fixture
def faiss():
    return pytest.importorskip("faiss", reason=f"needs the extra index; {install_extra('index')}")
