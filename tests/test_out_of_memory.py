"""A device with little memory: batches are split to fit, and if it runs out anyway, one line says what to do."""

import gc
import re
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from helpers import everything_in
from short_runs import TINY
from strict_array import STRICT, StrictArray

from scratchnet import backend
from scratchnet.backend import to_device, to_host, traced_peak
from scratchnet.backend.memory import HEAP_GAPS
from scratchnet.cli import main
from scratchnet.errors import BackendError
from scratchnet.models.networks import compact
from scratchnet.oneshot import trials as oneshot
from scratchnet.optim.sgd import SGD
from scratchnet.train import train, train_step

PAIRS = replace(
    TINY,
    architecture={"name": "compact", "image_size": 16, "width": 4, "features": 8, "norm": False},
    objective="pairs",
    pairs=24,
    batch_size=12,
    epochs=2,
    validation_trials=5,
)
PLAIN, NORMED = (compact(1, image_size=16, width=4, features=8, norm=norm) for norm in (False, True))


class OutOfMemoryError(MemoryError):
    """As CuPy's: a MemoryError, with a message that ends in a full stop."""


class SmallMemory:
    """The memory of the stand-in: how much its arrays take, as tracemalloc sees it, and how much there is."""

    size = 2**40
    refusals = 0

    def __init__(self):
        self.before = tracemalloc.get_traced_memory()[0]

    def taken(self):
        return tracemalloc.get_traced_memory()[0] - self.before

    def expect_room(self, array):
        if self.taken() > self.size:
            self.refusals += 1
            raise OutOfMemoryError(f"Out of memory allocating {array.nbytes:,} bytes (allocated so far: all).")


@pytest.fixture
def memory(monkeypatch):
    """The memory of the device "small": the strict stand-in, which raises beyond the size that a test sets."""
    tracemalloc.start()
    memory, made = SmallMemory(), StrictArray.__init__

    def make(self, array):
        memory.expect_room(array)
        made(self, array)

    monkeypatch.setattr(StrictArray, "__init__", make)
    monkeypatch.setitem(
        backend.device._devices,
        "small",
        replace(
            STRICT,
            name="small",
            held_memory=memory.taken,
            peak_memory=traced_peak,
            free_memory=lambda: memory.size - memory.taken(),
            asynchronous=False,  # so that every step goes through train_step
        ),
    )
    yield memory
    tracemalloc.stop()


def pieces_said(err):
    return [int(number) for number in re.findall(r"in pieces of \d+ \((\d+) a batch\)", err)]


def small(net):
    """A copy of a network on the small device."""
    return replace(net, params={name: to_device(value.copy(), "small") for name, value in net.params.items()})


def batch(net, N, rng):
    a, b = rng.random((2, N, net.image_size, net.image_size), np.float32)
    return [to_device(each, "small") for each in (a, b, (np.arange(N) % 2).astype(np.float32))]


def peak_of_a_step(net, N, rng, pieces=1):
    there = small(net)
    items = batch(there, N, rng)
    return traced_peak(lambda: train_step(there, SGD(0.01), *items, pieces=pieces))


def midway(more, less):
    """A size between two peaks: the arrays of the smaller fit, those of the larger do not."""
    return round((more + less) / 2 / (1 + HEAP_GAPS))


def refusal(step):
    """The line with which `step()` is refused. The error itself holds arrays, so it is deleted."""
    with pytest.raises(BackendError) as caught:
        step()
    line = str(caught.value)
    del caught
    gc.collect()
    return line


def advised(line, pattern):
    """The number that a line advises."""
    found = re.search(pattern, line)
    assert found, line
    return int(found[1])


# Training within the free memory


def test_without_options_batches_are_split_to_fit_the_free_memory(memory, split, tmp_path, steps, capsys):
    train(PAIRS, split, tmp_path / "whole", device="small")
    assert pieces_said(capsys.readouterr().err) == []  # nothing to say
    whole = [loss for _, _, loss in steps]
    steps.clear()  # and with it the network

    memory.size = memory.taken() + peak_of_a_step(PLAIN, 12, np.random.default_rng(0))
    train(PAIRS, split, tmp_path / "cut", device="small")
    (pieces,) = pieces_said(capsys.readouterr().err)
    assert pieces > 1
    assert memory.refusals == 0
    np.testing.assert_allclose([loss for _, _, loss in steps], whole, rtol=1e-4)


# When it runs out anyway


@pytest.mark.parametrize("net", [PLAIN, NORMED], ids=["plain", "batch norm"])
def test_a_step_that_runs_out_of_memory_names_a_batch_size_that_fits(net, memory, rng):
    between = midway(peak_of_a_step(net, 24, rng), peak_of_a_step(net, 12, rng))
    net, optimiser = small(net), SGD(0.01)
    a, b, labels = batch(net, 24, rng)
    before = {key: to_host(value) for key, value in net.params.items()}
    memory.size = memory.taken() + between
    line = refusal(lambda: train_step(net, optimiser, a, b, labels))
    assert re.match(r"out of memory \(Out of memory .* so far: all\)\): lower", line)
    assert "\n" not in line
    assert optimiser.velocity == {}
    assert all(to_host(net.params[key]).tobytes() == value.tobytes() for key, value in before.items())
    half = advised(line, r"lower batch_size to (\d+)")
    assert half == 12
    train_step(net, optimiser, a[:half], b[:half], labels[:half])


def test_a_step_that_runs_out_of_memory_names_pieces_that_fit(memory, rng):
    between = midway(peak_of_a_step(PLAIN, 24, rng, 2), peak_of_a_step(PLAIN, 24, rng, 4))
    net = small(PLAIN)
    items = batch(net, 24, rng)
    memory.size = memory.taken() + between
    line = refusal(lambda: train_step(net, SGD(0.01), *items, pieces=2))
    train_step(net, SGD(0.01), *items, pieces=advised(line, r", or split it into (\d+) pieces"))


def test_with_batch_norm_there_are_no_pieces_to_name(memory, rng):
    net = small(NORMED)
    items = batch(net, 24, rng)
    memory.size = memory.taken()
    with pytest.raises(BackendError, match=r": lower batch_size to 12$"):
        train_step(net, SGD(0.01), *items)


def test_a_batch_of_one_that_runs_out_of_memory_cannot_be_smaller(memory, rng):
    net = small(PLAIN)
    items = batch(net, 1, rng)
    memory.size = memory.taken()
    with pytest.raises(BackendError, match=r"batch_size is already 1: use a smaller network or another device$"):
        train_step(net, SGD(0.01), *items)


def test_a_run_that_runs_out_of_memory_keeps_its_files_and_goes_on_once_there_is_enough(memory, split, tmp_path, steps):
    train(PAIRS, split, tmp_path / "whole", device="small", quiet=True)
    whole = [loss for _, _, loss in steps]
    steps.clear()

    saved = {}

    def another_program_comes(number):
        if number == 3:  # the first step of the second epoch
            saved.update(everything_in(tmp_path / "run"))
            del saved[tmp_path / "run" / ".lock"]  # removed at the end
            memory.size = 0

    steps.then = another_program_comes
    with pytest.raises(BackendError, match=r"^out of memory .*: lower batch_size to 6, or split it into 2 pieces"):
        train(PAIRS, split, tmp_path / "run", device="small", quiet=True)
    assert everything_in(tmp_path / "run") == saved
    memory.size = SmallMemory.size
    train(PAIRS, split, tmp_path / "run", device="small", resume=True, quiet=True)
    np.testing.assert_allclose([loss for _, _, loss in steps[-2:]], whole[-2:], rtol=1e-4)


@pytest.mark.parametrize("ask", ["embed", "evaluate"])
def test_embedding_that_runs_out_of_memory_names_how_many_images_at_a_time_fit(ask, memory, rng, split):
    net, images = replace(small(PLAIN), embed_batch=48), to_device(rng.random((50, 16, 16), np.float32), "small")
    runs = oneshot.sample_runs(split.train, 2, rng=rng, n_way=6, k_shot=3)  # of 18 supports
    asked = (lambda net: net.embed(images)) if ask == "embed" else (lambda net: oneshot.evaluate(net, runs))
    half = 24 if ask == "embed" else 9
    expected = asked(net)
    between = midway(*(traced_peak(lambda n=n: asked(replace(net, embed_batch=n))) for n in (48, half)))
    memory.size = memory.taken() + between
    line = refusal(lambda: asked(net))
    assert re.match(r"out of memory .*, give fewer images, or take a smaller net", line)
    fewer = advised(line, r"set net.embed_batch to (\d+),")
    assert fewer == half
    found = asked(replace(net, embed_batch=fewer))
    if ask == "embed":
        np.testing.assert_allclose(to_host(found), to_host(expected), atol=1e-5)
    else:
        assert found == expected


def test_a_single_image_that_runs_out_of_memory_has_no_smaller_batch(memory, rng):
    net, images = small(PLAIN), to_device(rng.random((1, 16, 16), np.float32), "small")
    memory.size = memory.taken()
    with pytest.raises(BackendError, match=r"\): give fewer images, or take a smaller network or another device$"):
        net.embed(images)


def test_on_the_host_the_line_is_the_same_and_the_exit_code_2(tmp_path, monkeypatch, capsys, split):
    monkeypatch.setattr("scratchnet.cli.training.load_split", lambda *_: split)
    monkeypatch.setattr("scratchnet.train.ranks.gradients", lambda *_: np.empty(2**59))
    settings = [f"--set={name}" for name in ("steps=2", "batch_size=8", "n_way=5", "architecture.image_size=16")]
    assert main(["train", *settings, "--out", str(tmp_path / "out"), "--json"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(
        r"scratchnet: out of memory \(Unable to allocate 4.00 EiB for .*\): lower batch_size to 4\n", err
    )
