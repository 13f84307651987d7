"""Gradients come back as sums, whatever messages they went in, and full messages leave at once."""

import numpy as np
import pytest
from rank_threads import on_ranks

from scratchnet.backend import to_device, to_host
from scratchnet.parallel import buckets
from scratchnet.parallel.buckets import Buckets

SHAPES = {"head.weight": (7,), "linear.weight": (3, 5), "linear.bias": (5,), "loss": ()}


def gradients(rank):
    rng = np.random.default_rng(rank)
    return {name: np.asarray(rng.standard_normal(shape)) for name, shape in SHAPES.items()}


@pytest.mark.parametrize(("size", "messages"), [(1, 4), (100, 2), (2**20, 1)])
def test_each_gradient_is_the_sum_over_the_ranks(size, messages, monkeypatch):
    monkeypatch.setattr(buckets, "BYTES", size)

    def run(ranks):
        sent = Buckets(ranks)
        for name, value in gradients(ranks.rank).items():
            sent.add(name, value)
        return sent.sums(), len(ranks.meeting.sums)

    for sums, count in on_ranks(3, run):
        assert list(sums) == list(SHAPES)
        assert count == messages
        for name, value in sums.items():
            np.testing.assert_allclose(value, sum(gradients(rank)[name] for rank in range(3)), rtol=1e-14)


def test_a_full_message_leaves_before_the_next_gradient_is_there(monkeypatch):
    monkeypatch.setattr(buckets, "BYTES", 56)  # the bytes of the first

    def run(ranks):
        sent, left = Buckets(ranks), []
        for name, value in gradients(ranks.rank).items():
            sent.add(name, value)
            left.append(len(ranks.meeting.sums))
        return left

    left, _ = on_ranks(2, run)
    assert left == [1, 2, 2, 2]


def test_they_stay_on_their_device(device):
    def run(ranks):
        sent = Buckets(ranks)
        for name, value in gradients(ranks.rank).items():
            sent.add(name, to_device(value.astype(np.float32), device))
        return {name: to_host(value) for name, value in sent.sums().items()}

    (sums,) = on_ranks(1, run)
    assert {name: value.shape for name, value in sums.items()} == SHAPES


def test_nothing_is_the_sum_of_nothing():
    assert on_ranks(2, lambda ranks: Buckets(ranks).sums()) == [{}, {}]
