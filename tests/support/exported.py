"""Networks with every kind of layer, for other programs."""

from dataclasses import replace

import numpy as np

from scratchnet.models.networks import build
from scratchnet.models.siamese import SiameseNet

NETWORKS = {
    "compact": {"name": "compact", "image_size": 16, "width": 2, "features": 8},
    "without norm": {"name": "compact", "image_size": 20, "width": 2, "features": 8, "norm": False, "frame": "ink"},
    "koch2015": {"name": "koch2015", "image_size": 66, "channels": [2, 3, 4, 5], "features": 6},
}


def network(name: str) -> SiameseNet:
    """A network whose every parameter matters: none is 0 or 1."""
    net = build(NETWORKS[name], seed=3)
    rng = np.random.default_rng(4)
    params = dict(net.params)
    for key, value in params.items():
        if value.ndim == 1:
            centre = 0.0 if key.endswith(("bias", "mean")) else 1.0
            params[key] = (centre + rng.uniform(-0.4, 0.4, value.shape)).astype(np.float32)
    params["head.weight"] *= rng.choice([-3, -3, 2], params["head.weight"].shape).astype(np.float32)
    return replace(net, params=params)
