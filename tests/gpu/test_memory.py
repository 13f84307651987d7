"""The memory of a GPU: its measurements, and training within what is free."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from scratchnet.backend import to_device
from scratchnet.errors import BackendError
from scratchnet.losses import PairCrossEntropy
from scratchnet.models.networks import compact
from scratchnet.optim.sgd import SGD
from scratchnet.train import train_step
from scratchnet.train.gradients import Batch
from scratchnet.train.memory_plan import plan

pytestmark = pytest.mark.gpu
MIB = 2**20
N = 64


@pytest.fixture
def limit(cuda) -> Iterator[Callable[[int], None]]:
    """Leaves this many bytes for new arrays."""
    pool = cuda.module.get_default_memory_pool()

    def leave(size: int) -> None:
        pool.free_all_blocks()
        pool.set_limit(size=pool.total_bytes() + size)

    yield leave
    pool.set_limit(size=0)


@pytest.fixture
def step(cuda, rng):
    """A network without batch norm, an optimiser with its velocity, and a batch."""
    net = compact(seed=1, image_size=48, width=16, features=64, norm=False, device=cuda)
    a, b = rng.random((2, N, 48, 48), np.float32)
    items = [to_device(each, cuda) for each in (a, b, (np.arange(N) % 2).astype(np.float32))]
    optimiser = SGD(1e-3)
    train_step(net, optimiser, *items)
    return net, optimiser, items


def test_the_peak_is_that_of_the_arrays_whatever_blocks_are_held(cuda):
    xp = cuda.module

    def work():
        first = xp.empty(64 * MIB, "uint8")
        del first
        return xp.empty(48 * MIB, "uint8"), xp.empty(16 * MIB, "uint8")

    assert cuda.peak_memory(work) == 64 * MIB
    large = xp.empty(256 * MIB, "uint8")
    del large
    kept = xp.empty(MIB, "uint8")  # of the block of the large one, which can no longer be given back
    assert cuda.peak_memory(work) == 64 * MIB
    assert kept.nbytes == MIB


def test_what_is_free_falls_by_what_is_taken(cuda):
    before, held = cuda.free_memory(), cuda.held_memory()
    taken = cuda.module.empty(512 * MIB, "uint8")
    assert cuda.held_memory() - held == taken.nbytes
    assert before - cuda.free_memory() == pytest.approx(taken.nbytes, rel=0.05)  # other programs take some


def test_a_batch_in_the_pieces_of_a_plan_fits_into_what_is_free(cuda, step, limit):
    net, optimiser, items = step
    whole = cuda.peak_memory(lambda: train_step(net, optimiser, *items))
    limit(whole // 2)
    cut = plan(net, optimiser, PairCrossEntropy(), Batch(*items, 2 * N))
    assert cut.pieces > 1
    train_step(net, optimiser, *items, pieces=cut.pieces)


def test_running_out_of_memory_is_one_line_and_half_the_batch_fits(cuda, step, limit):
    net, optimiser, (a, b, labels) = step
    whole, half = (
        cuda.peak_memory(lambda n=n: train_step(net, optimiser, a[:n], b[:n], labels[:n])) for n in (N, N // 2)
    )
    limit(half + (whole - half) // 8)
    with pytest.raises(
        BackendError, match=r"^out of memory \(Out of memory alloc.*\): lower batch_size to 32, or split"
    ):
        train_step(net, optimiser, a, b, labels)
    train_step(net, optimiser, a[:32], b[:32], labels[:32])
