"""A NaN or an infinity anywhere in a training step: nothing of the step is applied, and the message says where it was.

It is planted in turn in each layer's forward and backward, in each parameter, in images, targets and the update.
"""

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from helpers import tiny_split
from strict_array import strict

from scratchnet.backend import to_device, to_host
from scratchnet.checkpoint import load_arrays
from scratchnet.errors import NonFiniteError
from scratchnet.layers.base import backward_params, running_statistics
from scratchnet.layers.sequential import Sequential
from scratchnet.losses import NWayCrossEntropy, PairCrossEntropy
from scratchnet.models.networks import compact, koch2015
from scratchnet.ops.finite import new_flag
from scratchnet.optim.averaging import WeightAverage
from scratchnet.optim.sgd import SGD
from scratchnet.train import STATE, queue_step, train, train_step
from scratchnet.train import step as step_module
from scratchnet.train.batches import Batch, EpisodeBatches
from scratchnet.train.recipes import RECIPES

NETS = {
    "compact": functools.partial(compact, seed=1, image_size=16, width=2, features=8, device="cpu"),
    "koch2015": functools.partial(koch2015, seed=1, image_size=65, channels=(2, 3, 2, 3), features=4, device="cpu"),
}
LOSSES = {"pairs": PairCrossEntropy(), "episodes": NWayCrossEntropy(), "both ways": NWayCrossEntropy(both_ways=True)}
every_net = pytest.mark.parametrize("name", NETS)
every_loss = pytest.mark.parametrize("kind", LOSSES)
on_a_gpu = pytest.mark.parametrize("device", ["strict", "kernels"], indirect=True)


@dataclass(frozen=True)
class Poisoned:
    """A layer that gives `value` once: as the first number of its output, or of its first gradient."""

    layer: Any
    direction: str
    value: float

    def forward(self, params, *inputs):
        y, cache = self.layer.forward(params, *inputs)
        return (poisoned(y, self.value) if self.direction == "forward" else y), cache

    def backward(self, dy, cache):
        dx, grads = self.layer.backward(dy, cache)
        if self.direction == "backward" and not grads:
            return poisoned(dx, self.value), grads
        return dx, self._poisoned(grads)

    def backward_params(self, dy, cache):
        return self._poisoned(backward_params(self.layer, dy, cache))

    def running_statistics(self, cache):
        return running_statistics(self.layer, cache)

    def _poisoned(self, grads):
        if self.direction == "forward":
            return grads
        first = next(iter(grads))
        return grads | {first: poisoned(grads[first], self.value)}


def poisoned(array, value, where=None):
    array = array.copy()
    array[(0,) * array.ndim if where is None else where] = value
    return array


def with_poison(net, layer, direction, value=np.nan):
    layers = dict(net.encoder.layers)
    return replace(net, encoder=Sequential(layers | {layer: Poisoned(layers[layer], direction, value)}))


def batch(rng, kind, size, device, N=4):
    """N pairs; or N episodes of two queries and two supports."""
    if kind == "pairs":
        given = *rng.random((2, N, size, size)), np.arange(N) % 2
    else:
        given = *rng.random((2, N, 2, size, size)), np.tile(np.eye(2), (N, 1, 1))
        given = given[0][:, :, None], given[1][:, None], given[2]
    return Batch(*(to_device(each.astype(np.float32), device) for each in given), 2 * N)


def everything(net, optimiser, average=None):
    """The bits of all that a step may change."""
    groups = [net.params, optimiser.velocity, average.params if average else {}]
    return [{name: to_host(value).tobytes() for name, value in group.items()} for group in groups]


def started(name, device, rng, kind="pairs", **settings):
    """A network and its optimiser after one good step, and the batch."""
    net = NETS[name]().to_device(device)
    optimiser, items = SGD(**{"lr": 0.01} | settings), batch(rng, kind, net.image_size, device)
    train_step(net, optimiser, *items[:3], LOSSES[kind])
    return net, optimiser, items


def refusal(net, optimiser, items, kind="pairs", pieces=1):
    """What a step that must fail says, once it is sure that it changed nothing."""
    before = everything(net, optimiser)
    with pytest.raises(NonFiniteError) as raised:
        train_step(net, optimiser, *items[:3], LOSSES[kind], pieces)
    assert everything(net, optimiser) == before
    line = str(raised.value)
    assert "\n" not in line
    return line


# Born in a layer


@every_net
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_a_nan_that_is_born_in_a_layer_is_found_in_the_same_step_and_names_it(name, direction, device, rng):
    net, optimiser, items = started(name, device, rng)
    layers = list(net.encoder.layers)
    for layer in layers[:: 12 if device.name == "kernels" else 1]:  # which run three times, one thread after the other
        line = refusal(with_poison(net, layer, direction), optimiser, items)
        assert line.startswith(f"encoder.{layer}, {direction}: NaN or infinity in "), line
        assert "lower the learning rate, lr=0.01" in line


@every_net
def test_an_infinite_gradient_of_any_layer_is_found(name, rng):
    net, optimiser, items = started(name, "cpu", rng)
    for layer in net.encoder.layers:
        line = refusal(with_poison(net, layer, "backward", np.inf), optimiser, items)
        assert line.startswith(f"encoder.{layer}, backward: "), line


@every_loss
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_it_is_found_with_every_loss_and_in_pieces(kind, direction, rng):
    net, optimiser, items = started("koch2015", "cpu", rng, kind)
    line = refusal(with_poison(net, "conv3", direction), optimiser, items, kind, pieces=3)
    assert line.startswith(f"encoder.conv3, {direction}: "), line


def test_in_the_head_and_in_the_loss_it_is_named_as_well(rng):
    net, optimiser, items = started("compact", "cpu", rng)
    for direction in ("forward", "backward"):
        line = refusal(replace(net, head=Poisoned(net.head, direction, np.nan)), optimiser, items)
        assert line.startswith(f"head, {direction}: "), line
    net.params["head.bias"][:] = -3e38  # for pairs that are the same: 3e38 each, which is a loss still
    net.params["head.weight"][:] = -3e38
    assert refusal(net, optimiser, items).startswith("head, forward: ")


# In what is given


@every_net
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_parameter_that_is_not_finite_is_named_and_nothing_is_changed(name, value, rng):
    net, optimiser, items = started(name, "cpu", rng)
    for parameter in net.params:
        spoilt = replace(net, params=net.params | {parameter: poisoned(net.params[parameter], value)})
        line = refusal(spoilt, optimiser, items)
        layer = parameter.rpartition(".")[0]
        assert line.startswith(f"{layer}, forward: NaN or infinity in {parameter} before the step (1 of "), line


def test_a_momentum_that_is_not_finite_is_named(rng):
    net, optimiser, items = started("compact", "cpu", rng)
    optimiser.velocity["encoder.conv3.bias"][1] = np.inf
    line = refusal(net, optimiser, items)
    assert line.startswith("encoder.conv3, update: NaN or infinity in the velocity of encoder.conv3.bias before"), line


@pytest.mark.parametrize(
    ("kind", "where", "name", "value"),
    [
        ("pairs", (2, 3, 4), "a[2]", np.nan),
        ("pairs", (0, 0, 0), "a[0]", -np.inf),
        ("episodes", (3, 1, 0, 5, 5), "a[3, 1, 0]", np.inf),
    ],
)
def test_images_at_fault_are_named_by_their_index(kind, where, name, value, device, rng):
    net, optimiser, items = started("compact", device, rng, kind)
    line = refusal(net, optimiser, items._replace(a=poisoned(items.a, value, where)), kind)
    assert f"in the images {name}: " in line


def test_an_image_of_a_later_piece_has_its_index_in_the_whole_batch(rng):
    """Its pixels are finite, and what a layer makes of them is not."""
    net, optimiser, items = started("koch2015", "cpu", rng)
    pieces = itertools.count(1)
    first_twin_of_every_fourth = with_hook(
        net, "conv2", lambda y: y if next(pieces) % 4 else poisoned(y, np.inf, (0, 0, 0, 0))
    )
    line = refusal(first_twin_of_every_fourth, optimiser, items, pieces=4)
    assert line.startswith("encoder.conv2, forward: NaN or infinity in its output for the images a[3] ("), line
    assert "look at these, or lower the learning rate" in line


def with_hook(net, layer, change: Callable):
    """The network with a layer whose output goes through `change`."""

    class Hooked(Poisoned):
        def forward(self, params, *inputs):
            y, cache = self.layer.forward(params, *inputs)
            return change(y), cache

    layers = dict(net.encoder.layers)
    return replace(net, encoder=Sequential(layers | {layer: Hooked(layers[layer], "forward", np.nan)}))


@pytest.mark.parametrize("value", [np.nan, np.inf])
@every_loss
def test_a_target_that_is_not_finite_is_named(kind, value, rng):
    net, optimiser, items = started("compact", "cpu", rng, kind)
    line = refusal(net, optimiser, items._replace(target=poisoned(items.target, value)), kind)
    assert line.startswith("loss, forward: NaN or infinity in target (1 of "), line


# In the update


@pytest.mark.parametrize("settings", [{"lr": 1e39}, {"lr": 1e38, "weight_decay": 1e38}])
def test_an_update_that_overflows_is_refused_before_any_parameter_changes(settings, device, rng):
    net, optimiser, items = started("compact", device, rng)
    line = refusal(net, replace(optimiser, **settings), items)
    assert line.startswith("encoder.conv1, update: encoder.conv1.weight overflows, by a gradient of up to "), line
    assert f"lr={settings['lr']:g}: lower the learning rate" in line


def test_the_update_of_one_layer_alone_is_named(rng):
    net, optimiser, items = started("compact", "cpu", rng)
    high = replace(optimiser, per_layer={"encoder.linear": {"lr": 1e39}})
    assert refusal(net, high, items).startswith("encoder.linear, update: encoder.linear.weight overflows")


def test_statistics_that_overflow_are_refused(device, rng):
    """The variance of such maps is no number of float32; what is normalised by it is 0, and finite."""
    net, optimiser, items = started("compact", device, rng)
    net.params["encoder.conv1.weight"] *= 1e30
    line = refusal(net, optimiser, items)
    assert line.startswith("encoder.norm1, forward: "), line


def test_what_a_second_pass_does_not_show_is_refused_all_the_same(rng):
    net, optimiser, items = started("compact", "cpu", rng)
    passes = itertools.count()
    once = with_hook(net, "conv2", lambda y: y if next(passes) else poisoned(y, np.nan))
    line = refusal(once, optimiser, items)
    assert "a second pass over the step does not show" in line


def test_a_step_that_is_well_takes_no_second_pass(monkeypatch, device, rng):
    monkeypatch.setattr(step_module, "diagnosis", lambda *_: pytest.fail("a second pass"))
    net, optimiser, items = started("compact", device, rng)
    strict.synchronisations = 0
    assert np.isfinite(train_step(net, optimiser, *items[:3]))
    assert strict.synchronisations == (1 if device.module is strict else 0)


def test_the_check_takes_two_launches_on_a_gpu(launched, rng):
    net, optimiser, items = started("compact", "kernels", rng)
    launched.clear()
    queue_step(net, optimiser, items, LOSSES["pairs"], new_flag(items.a))
    statistics = [name for name in net.params if ".running_" in name]
    assert launched.count("sgd_update") == len(net.params) - len(statistics)
    assert launched.count("sgd_flag") == 2


# On a device that nobody waits for


@on_a_gpu
@pytest.mark.parametrize("how", ["forward", "backward", "image", "update"])
def test_nothing_is_applied_from_the_step_that_fails_on_until_somebody_reads(how, device, rng):
    net, optimiser, items = started("compact", device, rng)
    average, failed = WeightAverage.starting_at(net.params, 0.9), new_flag(items.a)
    strict.synchronisations = 0

    def take(network, rule, given, number):
        loss = queue_step(network, rule, given, LOSSES["pairs"], failed)
        average.update(network.params, number, failed)
        return loss

    losses = [take(net, optimiser, items, 0)]
    waited, after_one = strict.synchronisations, everything(net, optimiser, average)
    bad, rule, given = net, optimiser, items
    if how == "image":
        given = items._replace(b=poisoned(items.b, np.nan))
    elif how == "update":
        rule = replace(optimiser, lr=1e39)
    else:
        bad = with_poison(net, "conv4", how)
    losses += [take(bad, rule, given, 1), *(take(net, optimiser, items, number) for number in (2, 3))]
    assert waited == 0
    assert everything(net, optimiser, average) == after_one
    assert [bool(np.isfinite(to_host(loss))) for loss in losses] == [True, False, False, False]
    assert to_host(failed) == 1


TINY = replace(
    RECIPES["glyphs"],
    architecture={"name": "compact", "image_size": 16, "width": 2, "features": 8},
    epochs=3,
    steps=4,
    n_way=5,
    batch_size=2,
    validation_trials=20,
    weight_average=0.9,
)


@pytest.mark.parametrize("device", ["cpu", "strict"], indirect=True)
def test_a_training_names_the_step_and_keeps_its_last_state(device, tmp_path, monkeypatch):
    whole = EpisodeBatches.batch

    def batch_with_a_bad_image(self, epoch, step):
        found = whole(self, epoch, step)
        return found._replace(b=poisoned(found.b, np.inf)) if (epoch, step) == (1, 2) else found

    monkeypatch.setattr(EpisodeBatches, "batch", batch_with_a_bad_image)
    split = tiny_split(4, train=2)
    with pytest.raises(NonFiniteError, match=r"^step 3 of epoch 2: encoder, forward: .* in the images b\[0, 0, 0, 0"):
        train(TINY, split, tmp_path, device, quiet=True)
    state, notes = load_arrays(tmp_path / STATE)
    assert (notes["epoch"], notes["step"]) == (1, 0)
    assert all(np.isfinite(value).all() for value in state.values())
