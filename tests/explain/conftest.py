"""Two small networks with a pair each, as the page explains them."""

from dataclasses import replace

import numpy as np
import pytest

from scratchnet.explain.examples import Example, example
from scratchnet.explain.numbers import Numbers, numbers
from scratchnet.models.networks import compact, koch2015

SMALL = {
    "compact": lambda: compact(image_size=24, width=10, features=20),
    "koch2015": lambda: koch2015(image_size=73, channels=(3, 9, 9, 10), features=12),
}
MOST = 4  # channels shown


@pytest.fixture(scope="package", params=SMALL)
def explained(request) -> Example:
    """A network whose biases and batch norms are not at their initial values, and two generated drawings."""
    net = SMALL[request.param]()
    rng = np.random.default_rng(3)

    def moved(value: np.ndarray) -> np.ndarray:
        return (value * rng.uniform(0.8, 1.2, value.shape) + rng.normal(0, 0.02, value.shape)).astype(np.float32)

    return example(replace(net, params={name: moved(value) for name, value in net.params.items()}), model="small")


@pytest.fixture(scope="package")
def found(explained) -> Numbers:
    return numbers(explained.trace, explained.alone, MOST)
