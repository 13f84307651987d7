"""Batch normalisation and ReLU in one layer: what the two give one after the other."""

import numpy as np
import pytest

from scratchnet.backend import to_host
from scratchnet.layers import BatchNorm2d, ReLU, Sequential
from scratchnet.layers.norm_relu import NormReLU


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_gives_what_the_two_layers_give(training, dtype, device, rng):
    two, one = Sequential({"norm": BatchNorm2d(3), "relu": ReLU()}), NormReLU(BatchNorm2d(3))
    params = {
        "weight": rng.standard_normal(3), "bias": rng.standard_normal(3),
        "running_mean": rng.standard_normal(3), "running_var": rng.random(3) + 0.5,
    }  # fmt: skip
    params = {name: device.upload(value.astype(dtype)) for name, value in params.items()}
    x, dy = (device.upload(rng.normal(1, 2, (5, 4, 6, 3)).astype(dtype)) for _ in range(2))
    expected, cache = two.forward({f"norm.{name}": value for name, value in params.items()}, x, training=training)
    expected_dx, expected_grads = two.backward(dy, cache)
    y, one_cache = one.forward(params, x, training=training)
    dx, grads = one.backward(dy, one_cache)
    tolerance = 1e-4 if dtype == np.float32 else 1e-12
    statistics = one_cache.running_statistics
    assert statistics.keys() == cache["norm"].running_statistics.keys()
    for found, wanted in [
        (y, expected), (dx, expected_dx),
        *((grads[name], expected_grads[f"norm.{name}"]) for name in grads),
        *((statistics[name], cache["norm"].running_statistics[name]) for name in statistics),
    ]:  # fmt: skip
        np.testing.assert_allclose(to_host(found), to_host(wanted), rtol=tolerance, atol=tolerance)
    assert (to_host(y) == 0).any(), "ReLU was not tried"
