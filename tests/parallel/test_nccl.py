"""Sums of arrays on devices: by NCCL where it is there, else over the host; and training with either."""

from types import SimpleNamespace

import numpy as np
import pytest
from fake_nccl import fake_cuda
from rank_threads import on_ranks
from strict_array import STRICT, strict
from tiny_batches import LOSSES, batch, both_kinds

from scratchnet import backend
from scratchnet.backend import CPU, to_device, to_host
from scratchnet.errors import ShapeError
from scratchnet.models.networks import compact
from scratchnet.ops.finite import new_flag
from scratchnet.optim.sgd import SGD
from scratchnet.parallel.comm import ALONE
from scratchnet.parallel.nccl import Nccl, OnDevice, on_device
from scratchnet.train import queue_step
from scratchnet.train.gradients import Batch
from scratchnet.train.ranks import gradients_on

WAYS = {
    "nccl": lambda ranks: OnDevice(ranks, STRICT, Nccl(fake_cuda(ranks), ranks)),
    "host": lambda ranks: OnDevice(ranks, STRICT),
}
each_way = pytest.mark.parametrize("way", WAYS)


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(backend.device._devices, "strict", STRICT)


@each_way
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums_of_arrays_on_the_device_and_on_the_host(way, dtype):
    def run(ranks):
        ranks = WAYS[way](ranks)
        own = np.arange(6, dtype=dtype).reshape(2, 3) + ranks.rank
        there = ranks.allreduce(to_device(own, STRICT))
        assert type(there) is type(to_device(own, STRICT))
        return to_host(there), ranks.allreduce(own), to_host(ranks.broadcast(to_device(own, STRICT)))

    for there, here, first in on_ranks(3, run):
        np.testing.assert_array_equal(there, 3 * np.arange(6).reshape(2, 3) + 3)
        np.testing.assert_array_equal(here, there)
        np.testing.assert_array_equal(first, np.arange(6).reshape(2, 3))


def test_a_sum_waits_on_the_device_and_python_does_not():
    def run(ranks):
        wait = WAYS["nccl"](ranks).start_allreduce(to_device(np.ones(4, np.float32), STRICT))
        return wait()

    strict.synchronisations = 0
    found = on_ranks(2, run)
    assert strict.synchronisations == 0
    assert [to_host(total).tolist() for total in found] == 2 * [[2.0] * 4]


@pytest.mark.parametrize("spoil", [lambda x: x[:, :2], lambda x: x.astype(np.int32)], ids=["gaps", "integers"])
def test_what_nccl_would_misread_is_refused(spoil):
    def run(ranks):
        return WAYS["nccl"](ranks).start_allreduce(spoil(to_device(np.ones((2, 4), np.float32), STRICT)))

    with pytest.raises(ShapeError, match="NCCL sums arrays of float32 or float64 without gaps"):
        on_ranks(1, run)


@both_kinds
@each_way
def test_training_on_devices_agrees_with_one_process_on_the_host(way, kind):
    def run(ranks, place):
        ranks = WAYS[way](ranks) if place is STRICT else ALONE
        net, optimiser, rng = compact(1, image_size=16, width=2, features=8), SGD(0.02), np.random.default_rng(2)
        net.params = {name: to_device(value.astype(np.float64), place) for name, value in net.params.items()}
        failed, take, losses = new_flag(net.params["head.weight"]), gradients_on(ranks, net), []
        for _ in range(2):
            rows = slice(ranks.rank * 4 // ranks.size, (ranks.rank + 1) * 4 // ranks.size)
            given = [to_device(x[rows], place) for x in batch(rng, kind, 4, np.float64, 16)]
            losses.append(queue_step(net, optimiser, Batch(*given, 0), LOSSES[kind], failed, take=take))
        return [to_host(loss) for loss in losses], {name: to_host(value) for name, value in net.params.items()}

    ((losses, params),) = on_ranks(1, lambda ranks: run(ranks, CPU))
    for found, of_rank in on_ranks(2, lambda ranks: run(ranks, STRICT)):
        np.testing.assert_allclose(found, losses, rtol=1e-12)
        for name, value in params.items():
            np.testing.assert_allclose(of_rank[name], value, rtol=1e-9, atol=1e-13, err_msg=name)


def test_the_device_says_which_way():
    def run(ranks):
        with_nccl = SimpleNamespace(module=SimpleNamespace(cuda=fake_cuda(ranks)))
        without = SimpleNamespace(module=SimpleNamespace(cuda=SimpleNamespace(nccl=SimpleNamespace(available=False))))
        assert on_device(ranks, CPU) is ranks
        assert on_device(ALONE, STRICT) is ALONE
        return [bool(on_device(ranks, device).nccl) for device in (with_nccl, without, STRICT)]

    assert on_ranks(2, run) == 2 * [[True, False, False]]
