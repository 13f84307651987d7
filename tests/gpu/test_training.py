"""Training on a device agrees with the host up to rounding, gives the same bits each time, and goes on anywhere."""

import functools
import json
from dataclasses import replace

import numpy as np
import pytest
from short_runs import TINY, tiny_split

from scratchnet.backend import to_device, to_host
from scratchnet.checkpoint import load_arrays
from scratchnet.models.networks import compact, koch2015
from scratchnet.optim.sgd import SGD
from scratchnet.train import LOG, STATE, train, train_step

STEPS = 20
NETS = {
    "koch2015": koch2015(seed=1, image_size=65, channels=(2, 3, 2, 3), features=4, device="cpu"),
    "compact": compact(seed=1, image_size=16, width=4, features=16, device="cpu"),
}
# More than the relative error of a sum in each precision: at most 2^-24 sqrt(n / 2) and 2^-11, see test_precision.py.
NUDGE = {"float32": 2.0**-18, "tf32": 2.0**-9}
both_networks = pytest.mark.parametrize("name", NETS)


def trained(name, place, nudge=0.0, signs=0, steps=STEPS):
    """The losses of some steps on the same pairs, and the parameters and velocities after them.

    nudge: the relative change of all weights before the first step; signs: the seed of its signs.
    """
    rng, net = np.random.default_rng(5), NETS[name]
    a, b = rng.random((2, 4, net.image_size, net.image_size), np.float32)
    items = [to_device(each, place) for each in (a, b, np.array([0, 1, 0, 1], np.float32))]
    rng = np.random.default_rng(signs)
    moved = {
        key: (value * (1 + nudge * rng.choice([-1, 1], value.shape))).astype(np.float32)
        for key, value in net.params.items()
    }
    there, optimiser = replace(net, params=moved).to_device(place), SGD(0.002, momentum=0.9, weight_decay=2e-4)
    losses = [float(train_step(there, optimiser, *items)) for _ in range(steps)]
    arrays = [*there.params.values(), *optimiser.velocity.values()]
    return np.array(losses), [to_host(array) for array in arrays]


@functools.cache
def on_the_host(name, nudge=0.0, signs=0):
    return trained(name, "cpu", nudge, signs)[0]


def steps_on(device):
    """Few on the stand-in, which only has to prove the test: it runs each launch three times, thread by thread."""
    return STEPS if device.name == "cuda" else 4


@both_networks
def test_training_on_the_device_agrees_with_the_host(name, device, precision):
    """Rounding grows from step to step, faster where a pixel passes a kink; the network itself shows how fast.

    The losses on the device may differ from the host's no more than the host's own do when all weights start off by
    more than rounding could change them. The tolerance is the largest such difference over two starts, and it is small
    compared with what the network learns.
    """
    expected, nudged = on_the_host(name), [on_the_host(name, NUDGE[precision], signs) for signs in range(2)]
    tolerance = np.max(np.abs(nudged - expected))
    assert tolerance < 0.05 * (expected[0] - expected[-1])
    losses, _ = trained(name, device, steps=steps_on(device))
    np.testing.assert_allclose(losses, expected[: len(losses)], rtol=0, atol=tolerance)


@both_networks
def test_training_on_the_device_twice_gives_the_same_bits(name, device, precision):
    (losses, arrays), (again, others) = (trained(name, device, steps=min(5, steps_on(device) // 2)) for _ in range(2))
    assert losses.tobytes() == again.tobytes()
    assert [array.tobytes() for array in arrays] == [array.tobytes() for array in others]


RUN = replace(TINY, epochs=2, steps=10, n_way=4, batch_size=1, lr=0.02, validation_trials=4, weight_average=0.9)


@pytest.mark.parametrize("back", [False, True], ids=["from the host to the device", "from the device to the host"])
def test_a_run_goes_on_on_another_device_to_rounding(back, device, tmp_path):
    split = tiny_split(train=1, validation=1, characters=4, drawers=3)
    train(RUN, split, tmp_path / "whole", device="cpu", quiet=True)
    for number, place in enumerate((device, "cpu") if back else ("cpu", device)):
        train(RUN, split, tmp_path / "moved", device=place, max_minutes=0, resume=number > 0, quiet=True)
    (state, notes), (expected, whole) = (load_arrays(tmp_path / out / STATE) for out in ("moved", "whole"))
    assert (notes["epoch"], notes["step"]) == (whole["epoch"], whole["step"]) == (2, 0)
    assert list(state) == list(expected)
    for name, value in expected.items():
        assert np.linalg.norm(state[name] - value) <= 1e-3 * np.linalg.norm(value) + 1e-6, name
    losses, uninterrupted = (
        [json.loads(line)["loss"] for line in (tmp_path / out / LOG).read_text().splitlines()]
        for out in ("moved", "whole")
    )
    np.testing.assert_allclose(losses, uninterrupted, rtol=1e-4)
