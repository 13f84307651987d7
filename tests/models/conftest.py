"""A small network for the tests of this folder."""

from dataclasses import replace

import numpy as np
import pytest

from scratchnet.models.siamese import SiameseNet


@pytest.fixture
def net(tiny_net, rng) -> SiameseNet:
    """tiny_net as training might leave it: nothing is at its initial value, and distances count both ways."""

    def moved(name: str, value: np.ndarray) -> np.ndarray:
        if name == "head.weight":
            return rng.standard_normal(value.shape, np.float32)
        scale, offset = rng.uniform(0.8, 1.2, value.shape), rng.normal(0, 0.02, value.shape)
        return (value * scale + offset).astype(np.float32)

    return replace(tiny_net, params={name: moved(name, value) for name, value in tiny_net.params.items()})
