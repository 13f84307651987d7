"""The training step: the loss falls, and nothing changes unless everything is finite."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import copied, same_bits
from short_runs import every_objective

from scratchnet.backend import CPU
from scratchnet.data.drawings import Drawings
from scratchnet.errors import BackendError, NonFiniteError, ShapeError
from scratchnet.losses import PairCrossEntropy
from scratchnet.models.networks import build
from scratchnet.optim.sgd import SGD
from scratchnet.train import train_step
from scratchnet.train.batches import OBJECTIVES


def example(recipe, split):
    """A network, its optimiser after one good step, and the next batch."""
    batches = OBJECTIVES[recipe.objective](recipe, Drawings.of(split.train, 16), CPU)
    net, optimiser = build(recipe.architecture, seed=5), recipe.optimiser()
    train_step(net, optimiser, *batches.batch(0, 0)[:3], loss=batches.loss)
    return net, optimiser, batches.batch(0, 1), batches.loss


@every_objective
def test_steps_on_one_batch_lower_its_loss(recipe, split):
    net, optimiser, (a, b, target, _), loss = example(replace(recipe, lr=0.02), split)
    losses = [train_step(net, optimiser, a, b, target, loss=loss) for _ in range(25)]
    assert losses[-1] < 0.8 * losses[0]


def test_the_loss_of_a_step_is_that_before_the_update(tiny_net, rng):
    a, b = rng.random((2, 4, 16, 16)).astype(np.float32)
    labels = rng.integers(0, 2, 4).astype(np.float32)
    expected, _ = PairCrossEntropy().forward(tiny_net.forward(tiny_net.params, a, b, training=True)[0], labels)
    assert train_step(tiny_net, SGD(0.1), a, b, labels) == float(expected)


@pytest.mark.parametrize("dtype", [bool, np.float16, np.float64])
def test_images_and_labels_of_any_precision_train_as_those_of_the_network(dtype, tiny_net, rng):
    a, b = rng.random((2, 4, 16, 16)) < 0.3
    labels = np.array([0, 1, 1, 0])
    again = replace(tiny_net, params=copied(tiny_net.params))
    expected = train_step(again, SGD(0.1), *(images.astype(np.float32) for images in (a, b)), labels.astype(np.float32))
    assert train_step(tiny_net, SGD(0.1), a.astype(dtype), b.astype(dtype), labels) == expected
    assert same_bits(tiny_net.params, again.params)


def test_images_with_a_channel_are_refused_with_the_line_that_drops_it(tiny_net):
    a = np.zeros((4, 1, 16, 16), np.float32)
    with pytest.raises(ShapeError, match=r"\(N, C, H, W\) loses its channels as a\[:, 0\]"):
        train_step(tiny_net, SGD(0.1), a, a, np.zeros(4, np.float32))


def test_lists_are_refused(tiny_net):
    with pytest.raises(BackendError, match="got list"):
        train_step(tiny_net, SGD(0.1), [[[0.0]]], [[[0.0]]], [1.0])


def test_a_step_writes_the_statistics_of_batch_norm_back(tiny_net, rng):
    a, b = rng.random((2, 4, 16, 16)).astype(np.float32)
    before = copied(tiny_net.params)
    train_step(tiny_net, SGD(0.1), a, b, rng.integers(0, 2, 4).astype(np.float32))
    running = [name for name in before if ".running_" in name]
    assert running
    assert all((tiny_net.params[name] != before[name]).any() for name in running)


@every_objective
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["a", "b", "target"])
def test_a_batch_with_a_nan_or_an_infinity_is_refused_before_anything_changes(recipe, value, where, split, rng):
    net, optimiser, batch, loss = example(recipe, split)
    poisoned = getattr(batch, where).copy()
    poisoned.flat[rng.integers(poisoned.size)] = value
    a, b, target, _ = batch._replace(**{where: poisoned})
    params, velocity = copied(net.params), copied(optimiser.velocity)
    with pytest.raises(NonFiniteError, match=r"in the images [ab]\[" if where in "ab" else "in target"):
        train_step(net, optimiser, a, b, target, loss=loss)
    assert same_bits(net.params, params)
    assert same_bits(optimiser.velocity, velocity)
