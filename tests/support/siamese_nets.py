"""What the tests of Siamese networks share: images, batches, and copies of a network on a device."""

from dataclasses import replace

import numpy as np

from scratchnet.backend import Device, Params, get_device, to_host
from scratchnet.losses import NWayCrossEntropy, PairCrossEntropy
from scratchnet.models.siamese import SiameseNet

SIZE = 16  # of the images of tiny_net


def images(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.random((*shape, SIZE, SIZE), np.float32)


def placed(net: SiameseNet, device: Device | str, dtype: str = "float32") -> SiameseNet:
    """A copy of the network that shares no memory with it."""
    device = get_device(device)
    return replace(net, params={name: device.upload(value.astype(dtype)) for name, value in net.params.items()})


def on_host(params: Params) -> Params:
    return {name: np.array(to_host(value)) for name, value in params.items()}


def assert_close(one: Params, other: Params, rtol: float = 0, atol: float = 0) -> None:
    assert list(one) == list(other)
    for name, value in one.items():
        np.testing.assert_allclose(value, other[name], rtol=rtol, atol=atol, err_msg=name)


def batch(rng: np.random.Generator, kind: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, object]:
    """What a training step takes: eight pairs, or two episodes of four queries and supports."""
    if kind == "pairs":
        return images(rng, 8), images(rng, 8), (np.arange(8) % 2).astype(np.float32), PairCrossEntropy()
    target = np.stack([np.eye(4, dtype=np.float32)] * 2)
    return images(rng, 2, 4, 1), images(rng, 2, 1, 4), target, NWayCrossEntropy()
