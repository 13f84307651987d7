"""A Siamese network in training: batch norm, precision, every device, and a loss that is NaN."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from siamese_nets import SIZE, assert_close, batch, images, on_host, placed
from strict_array import strict

from scratchnet.backend import to_device
from scratchnet.common.caches import gathered
from scratchnet.errors import NonFiniteError
from scratchnet.images.augment import AffineRanges, distort
from scratchnet.models.networks import koch2015
from scratchnet.optim.sgd import SGD
from scratchnet.train import train_step


@pytest.mark.parametrize("device", ["strict"], indirect=True)
def test_a_training_step_waits_for_the_device_once(net, device, rng):
    there, optimiser = placed(net, device), SGD(0.05, weight_decay=1e-3)
    transforms = AffineRanges().draw(8, image_size=SIZE, rng=rng)
    for kind in ("pairs", "episodes"):
        a, b, target, loss = batch(rng, kind)
        a, b, target = (to_device(each, device) for each in (a, b, target))
        strict.synchronisations = 0
        if kind == "pairs":
            a = distort(a, transforms)
        train_step(there, optimiser, a, b, target, loss=loss)
        assert strict.synchronisations == 1


def test_running_statistics_follow_the_batches_in_training_and_rest_otherwise(net, rng):
    a, b, target, loss = batch(rng, "pairs")
    running = [name for name in net.params if ".running_" in name]
    assert len(running) == 12
    before = on_host(net.params)
    net.embed(a)
    net.scores(a, b)
    _, cache = net.forward(net.params, a, b)
    assert gathered(cache, "running_statistics") == {}
    assert_close(net.params, before)
    train_step(net, SGD(0.0), a, b, target, loss=loss)
    for name, value in net.params.items():
        assert np.array_equal(value, before[name]) == (name not in running), name


def test_embeddings_in_evaluation_do_not_depend_on_the_rest_of_the_batch(net, rng):
    a, others = images(rng, 1), images(rng, 6)
    np.testing.assert_allclose(net.embed(np.concatenate([a, others]))[:1], net.embed(a), rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["pairs", "episodes"])
def test_training_lowers_the_loss_of_a_batch(tiny_net, kind, rng):
    a, b, target, loss = batch(rng, kind)
    optimiser = SGD(0.05)
    losses = [train_step(tiny_net, optimiser, a, b, target, loss=loss) for _ in range(60)]
    assert losses[-1] < 0.5 * losses[0]


def test_a_loss_that_is_no_number_changes_nothing(net, rng):
    a, b, target, loss = batch(rng, "pairs")
    before, optimiser = on_host(net.params), SGD(0.1)
    a[0, 3, 4] = np.nan
    with pytest.raises(NonFiniteError, match=r"in the images a\[0\]"):
        train_step(net, optimiser, a, b, target, loss=loss)
    assert_close(net.params, before)
    assert optimiser.velocity == {}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_network_computes_in_the_precision_of_its_parameters(tiny_net, dtype, rng):
    net = replace(tiny_net, params=tiny_net.init(rng, dtype))
    picture = Image.fromarray(rng.integers(0, 256, (SIZE, SIZE), dtype=np.uint8))
    for given in ([picture], images(rng, 2).astype(dtype), images(rng, 2) > 0.5):
        assert net.embed(given).dtype == dtype
        assert net.scores(given, given).dtype == dtype


def test_the_papers_layers_train_on_every_device(device, rng):
    here = koch2015(1, image_size=65, channels=(2, 3, 2, 3), features=4)
    there = placed(here, device)
    a, b = rng.random((2, 2, 65, 65), np.float32)
    labels = np.array([0, 1], np.float32)
    one, other = (
        train_step(net, SGD(0.01), *(to_device(each, net.device) for each in (a, b, labels))) for net in (here, there)
    )
    assert one == pytest.approx(other, rel=1e-4)
    assert_close(on_host(there.params), here.params, rtol=1e-3, atol=1e-5)
