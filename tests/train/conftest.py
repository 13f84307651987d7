"""Runs to compare with, and networks that can be trained in pieces."""

from dataclasses import replace

import numpy as np
import pytest
from short_runs import RUN, RUNS, outcome, tiny_split
from tiny_batches import SIZE

from scratchnet.layers import Conv2d, Flatten, Linear, Sequential, WeightedL1
from scratchnet.models.networks import koch2015
from scratchnet.models.siamese import SiameseNet
from scratchnet.train import train


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory):
    """What each of RUNS leaves behind when nothing stops it."""
    outcomes = {}
    for name, recipe in RUNS.items():
        out = tmp_path_factory.mktemp("whole")
        train(recipe, tiny_split(), out, quiet=True)
        outcomes[name] = outcome(out)
    return outcomes


@pytest.fixture(scope="session")
def whole(uninterrupted):
    """What RUN leaves behind when nothing stops it."""
    return uninterrupted[next(name for name, recipe in RUNS.items() if recipe is RUN)]


@pytest.fixture
def net():
    """The paper's layers, without batch norm, in miniature."""
    return koch2015(1, image_size=SIZE, channels=(2, 3, 2, 3), features=4)


@pytest.fixture
def steady():
    """A network whose convolution uses the same algorithm for any batch, and so memory in proportion."""
    encoder = Sequential(
        {"conv": Conv2d(1, 4, 3, algorithm="offsets"), "flatten": Flatten(), "linear": Linear(4 * (SIZE - 2) ** 2, 2)}
    )
    net = SiameseNet(encoder, WeightedL1(2), SIZE)
    return replace(net, params=net.init(np.random.default_rng(2)))
