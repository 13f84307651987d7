"""Several ranks take the gradients of one process, to rounding: of pairs and episodes, in pieces, with batch norm."""

from dataclasses import replace

import numpy as np
import pytest
from rank_threads import on_ranks
from short_runs import PLAIN, RUNS
from tiny_batches import LOSSES, batch, both_kinds

from scratchnet.backend import CPU
from scratchnet.checkpoint import load_arrays
from scratchnet.data.drawings import Drawings
from scratchnet.errors import NonFiniteError, ScratchnetError
from scratchnet.models.networks import compact, koch2015
from scratchnet.optim.sgd import SGD
from scratchnet.parallel.comm import ALONE, told_by
from scratchnet.train import STATE, train, train_step
from scratchnet.train.batches import OBJECTIVES, PairBatches
from scratchnet.train.gradients import gradients as gradients_alone
from scratchnet.train.ranks import expect_to_divide, gradients_on
from scratchnet.train.signals import Stop

SIZES = [1, 2, 3, 4]


def small_net(name, dtype=np.float64):
    """With batch norm, or the paper's without."""
    net = compact(1, image_size=16, width=2, features=8) if name == "compact" else koch2015(
        1, image_size=65, channels=(2, 3, 2, 3), features=4
    )  # fmt: skip
    net.params = {key: value.astype(dtype) for key, value in net.params.items()}
    return net


def own(ranks, array):
    each = len(array) // ranks.size
    return array[ranks.rank * each : (ranks.rank + 1) * each]


def trained(name, kind, size, steps=3, pieces=1, dtype=np.float64):
    """The losses of some steps on `size` ranks, and the parameters after them, of each rank."""

    def run(ranks):
        net, rng, optimiser = small_net(name, dtype), np.random.default_rng(2), SGD(0.02)
        take, losses = gradients_on(ranks, net), []
        for _ in range(steps):
            a, b, target = (own(ranks, x) for x in batch(rng, kind, 12, dtype, net.image_size))
            losses.append(train_step(net, optimiser, a, b, target, loss=LOSSES[kind], pieces=pieces, take=take))
        return losses, net.params

    return on_ranks(size, run)


@both_kinds
@pytest.mark.parametrize("name", ["compact", "koch2015"])
@pytest.mark.parametrize("size", SIZES[1:])
def test_ranks_end_with_the_weights_of_one_process(name, kind, size):
    ((losses, params),) = trained(name, kind, 1)
    largest = max(np.abs(value).max() for value in params.values())
    for found, of_rank in trained(name, kind, size):
        np.testing.assert_allclose(found, losses, rtol=1e-12)
        for key, value in params.items():
            assert np.abs(of_rank[key] - value).max() <= 1e-12 * largest, key


@both_kinds
def test_pieces_on_ranks_add_up_as_well(kind):
    ((losses, params),) = trained("koch2015", kind, 1)
    for found, of_rank in trained("koch2015", kind, 2, pieces=3):
        np.testing.assert_allclose(found, losses, rtol=1e-12)
        for key, value in params.items():
            np.testing.assert_allclose(of_rank[key], value, rtol=1e-10, atol=1e-14, err_msg=key)


def test_float32_agrees_to_five_digits_where_no_pixel_passes_a_kink():
    ((_, params),) = trained("koch2015", "pairs", 1, steps=10, dtype=np.float32)
    largest = max(np.abs(value).max() for value in params.values())
    for _, of_rank in trained("koch2015", "pairs", 4, steps=10, dtype=np.float32):
        assert max(np.abs(of_rank[key] - value).max() for key, value in params.items()) <= 1e-5 * largest


def test_all_ranks_have_the_same_bits():
    first, *others = (params for _, params in trained("compact", "episodes", 3, dtype=np.float32))
    for params in others:
        assert all(params[key].tobytes() == value.tobytes() for key, value in first.items())


def test_batch_norm_in_pieces_is_refused_on_ranks_too():
    with pytest.raises(ScratchnetError, match="batch norm needs the whole batch"):
        trained("compact", "pairs", 2, pieces=2)


def test_a_process_that_is_alone_takes_the_usual_way():
    assert gradients_on(ALONE, small_net("compact")) is gradients_alone


def test_the_last_layers_are_on_their_way_while_the_first_run_backward(monkeypatch):
    """The head's gradient is handed over before the first layer's backward is called."""
    monkeypatch.setattr("scratchnet.parallel.buckets.BYTES", 1)
    seen = []

    def run(ranks):
        net = small_net("koch2015")
        take = gradients_on(ranks, net)
        first = take._network.encoder.layers["conv1"]
        backward = type(first).backward

        def noted(layer, dy, cache, **options):
            if layer is first:
                seen.append(len(ranks.meeting.sums))
            return backward(layer, dy, cache, **options)

        monkeypatch.setattr(type(first), "backward", noted)
        take(net, LOSSES["pairs"], *batch(np.random.default_rng(0), "pairs", 4, np.float64), 1)

    on_ranks(1, lambda ranks: run(Two(ranks)))
    assert seen == [10]  # weight and bias of the head, the dense layer and three convolutions


class Two:
    """A rank of two, the other of which has the same images."""

    def __init__(self, one):
        self.meeting, self.rank, self.size = one.meeting, 0, 2
        self.broadcast, self.barrier = one.broadcast, one.barrier
        self.start_allreduce, self.allreduce = one.start_allreduce, one.allreduce


@pytest.mark.parametrize("name", [*RUNS, "plain"])
@pytest.mark.parametrize("size", [2, 3])
def test_the_rows_of_all_ranks_are_the_batch_of_one(name, size, split):
    recipe = replace(RUNS.get(name, PLAIN), batch_size=6)
    drawings = Drawings.of(split.train, 16)

    def batches(ranks):
        return OBJECTIVES[recipe.objective](recipe, drawings, CPU, ranks).batch(1, 1)

    whole, parts = batches(ALONE), on_ranks(size, batches)
    for field in ("a", "b", "target"):
        together = np.concatenate([getattr(part, field) for part in parts])
        np.testing.assert_allclose(together, getattr(whole, field), atol=1e-6, err_msg=field)
    assert sum(part.images for part in parts) == whole.images


def test_ranks_that_do_not_divide_the_batch_are_told_what_does():
    class Three:
        size = 3

    expect_to_divide(6, Three)
    with pytest.raises(ScratchnetError, match=r"batch_size=8 .* 3 ranks .*--set batch_size=6 or 9, or start another"):
        expect_to_divide(8, Three)
    with pytest.raises(ScratchnetError, match=r"batch_size=3, or start"):
        expect_to_divide(2, Three)


@pytest.mark.parametrize("name", ["pairs, fixed distortions", "episodes both ways, averaged"])
def test_a_run_on_ranks_is_that_of_one_process_and_rank_0_writes_it(name, split, tmp_path):
    """Averaged weights, validation, measured gradients and the log, of the paper's layers: few pixels pass a kink."""
    recipe = replace(RUNS[name], architecture=PLAIN.architecture, lr=0.01, batch_size=6, epochs=2)
    train(recipe, split, tmp_path / "one", quiet=True)
    nets = on_ranks(3, lambda ranks: train(recipe, split, tmp_path / "three", ranks=ranks, quiet=True))
    (arrays, notes), (expected, whole) = (load_arrays(tmp_path / out / STATE) for out in ("three", "one"))
    assert arrays.keys() == expected.keys()
    largest = max(np.abs(value).max() for value in expected.values())
    for key, value in expected.items():
        assert np.abs(arrays[key] - value).max() <= 1e-5 * largest, key
    assert (notes["epoch"], notes["step"]) == (whole["epoch"], whole["step"])
    for record, of_one in zip(notes["history"], whole["history"], strict=True):
        assert (record["ranks"], of_one["ranks"]) == (3, 1)
        for key in ("loss", "validation", "lr"):
            assert record[key] == pytest.approx(of_one[key], rel=1e-5), key
        assert list(record["gradient_norms"]) == list(of_one["gradient_norms"])
        assert record["gradient_norms"] == pytest.approx(of_one["gradient_norms"], rel=1e-3)
    assert all(np.array_equal(net.params["head.weight"], nets[0].params["head.weight"]) for net in nets)


def test_a_failure_on_one_rank_is_one_of_all_with_the_reason_of_that_rank(split, tmp_path, monkeypatch):
    batch_of = PairBatches.batch

    def spoilt(batches, epoch, step):
        made = batch_of(batches, epoch, step)
        if batches.rows.start > 0 and step == 2:
            made.a[1, 0, 0] = np.nan
        return made

    monkeypatch.setattr(PairBatches, "batch", spoilt)
    monkeypatch.setattr("scratchnet.train.synchronous.BatchLook.read", lambda look, loss, failed: (loss, bool(failed)))
    errors = []

    def run(ranks):
        try:
            train(PLAIN, split, tmp_path / "run", ranks=ranks, quiet=True)
        except NonFiniteError as error:
            errors.append(str(error))

    on_ranks(2, run)
    assert len(set(errors)) == 1
    assert errors[0].startswith("step 3 of epoch 1: rank 1: encoder, forward: NaN or infinity in the images a[1]")


def test_the_first_of_two_requests_to_stop_is_that_of_all(split):
    def asked(ranks):
        stop = Stop(number=15 if ranks.rank == 2 else 0)
        return stop.agreed(ranks), stop.answer, Stop().agreed(ranks), Stop(deadline=0.0).agreed(ranks)

    assert on_ranks(3, asked) == 3 * [(True, 15, False, True)]


def test_a_text_of_one_rank_is_told_to_all():
    assert on_ranks(3, lambda ranks: told_by(ranks, 1, f"äh, {ranks.rank}")) == 3 * ["äh, 1"]
