"""What faiss searches by: a metric where the head allows one, and what is left out where it does not."""

import sys

import numpy as np
import pytest

from scratchnet.errors import ScratchnetError
from scratchnet.exchange.index.neighbours import library, scales


@pytest.fixture
def pairs(rng):
    return rng.random((2, 50, 8), np.float32)


def distances(net, first, second):
    """The L1 distances (N,) of scaled embeddings (N, D)."""
    return np.abs(scales(net) * first - scales(net) * second).sum(axis=1)


def logits(net, first, second):
    return np.abs(first - second) @ net.params["head.weight"] + net.params["head.bias"]


def test_the_logit_is_minus_a_distance_where_no_weight_is_positive(tiny_net, pairs, rng):
    tiny_net.params["head.weight"][:] = -rng.random(8)
    expected = tiny_net.params["head.bias"] - distances(tiny_net, *pairs)
    np.testing.assert_allclose(logits(tiny_net, *pairs), expected, rtol=1e-5)


def test_leaving_out_positive_weights_lowers_a_logit_by_no_more_than_their_sum(tiny_net, pairs, rng):
    weight = tiny_net.params["head.weight"]
    weight[:] = rng.uniform(-1, 1, 8)
    assert (scales(tiny_net)[weight > 0] == 0).all()
    missing = logits(tiny_net, *pairs) - (tiny_net.params["head.bias"] - distances(tiny_net, *pairs))
    assert (missing > 0).all()
    assert (missing < weight[weight > 0].sum()).all()


def test_a_missing_library_is_named_with_the_extra_that_has_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ScratchnetError, match=r'need the library faiss; in your clone: pip install -e "\.\[index\]"'):
        library()
