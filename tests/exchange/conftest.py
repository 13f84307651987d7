"""Networks to export, and images for them."""

import numpy as np
import pytest
from exported import NETWORKS, network


@pytest.fixture(params=NETWORKS)
def net(request):
    return network(request.param)


@pytest.fixture
def pairs(net, rng):
    """2,000 images (N, S, S), as `net.prepare` gives them: 1,000 pairs."""
    size = net.image_size
    return tuple(net.prepare(images > 0.7) for images in rng.random((2, 1000, size, size), np.float32))
