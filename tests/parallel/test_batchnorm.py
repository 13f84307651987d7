"""Batch norm on several ranks is batch norm of the whole batch, forward and backward."""

from dataclasses import dataclass

import numpy as np
import pytest
from rank_threads import on_ranks

from scratchnet.backend import to_device, to_host
from scratchnet.errors import ShapeError
from scratchnet.gradcheck import check
from scratchnet.layers import BatchNorm2d
from scratchnet.layers.norm_relu import NormReLU
from scratchnet.parallel.batchnorm import RanksBatchNorm2d, RanksNormReLU

LAYERS = {
    "batch norm": (BatchNorm2d(3), lambda ranks: RanksBatchNorm2d(3, ranks=ranks)),
    "with ReLU": (NormReLU(BatchNorm2d(3)), lambda ranks: RanksNormReLU(RanksBatchNorm2d(3, ranks=ranks))),
}
each_layer = pytest.mark.parametrize("name", LAYERS)


@dataclass(frozen=True)
class OnRanks:
    """A layer of which each rank has its images, as a layer that has them all."""

    name: str
    size: int

    def init(self, rng, dtype=np.float32):
        return LAYERS[self.name][0].init(rng, dtype)

    def forward(self, params, x, training=False):
        def run(ranks):
            return self.layer(ranks).forward(params, self.own(ranks, x), training=training)

        found = on_ranks(self.size, run)
        return np.concatenate([y for y, _ in found], axis=2), [cache for _, cache in found]

    def backward(self, dy, cache):
        def run(ranks):
            return self.layer(ranks).backward(self.own(ranks, dy), cache[ranks.rank])

        found = on_ranks(self.size, run)
        grads = {name: sum(grads[name] for _, grads in found) for name in found[0][1]}
        return np.concatenate([dx for dx, _ in found], axis=2), grads

    def layer(self, ranks):
        return LAYERS[self.name][1](ranks)

    def own(self, ranks, x):
        each = x.shape[2] // self.size
        return x[:, :, ranks.rank * each : (ranks.rank + 1) * each]


def drawn(rng, images=12, dtype=np.float64):
    params = {"weight": rng.standard_normal(3), "bias": rng.standard_normal(3)}
    params |= {"running_mean": rng.standard_normal(3), "running_var": rng.random(3) + 0.5}
    x, dy = 2 + rng.standard_normal((2, 4, 5, images, 3))
    return {name: value.astype(dtype) for name, value in params.items()}, x.astype(dtype), dy.astype(dtype)


@each_layer
@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("training", [True, False])
def test_ranks_compute_what_one_process_does(name, size, training, rng):
    params, x, dy = drawn(rng)
    one, several = LAYERS[name][0], OnRanks(name, size)
    (y, cache), (y_ranks, caches) = (layer.forward(params, x, training=training) for layer in (one, several))
    (dx, grads), (dx_ranks, grads_ranks) = one.backward(dy, cache), several.backward(dy, caches)
    np.testing.assert_allclose(y_ranks, y, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(dx_ranks, dx, rtol=1e-12, atol=1e-13)
    for key, value in grads.items():
        np.testing.assert_allclose(grads_ranks[key], value, rtol=1e-12, err_msg=key)
    for key, value in cache.running_statistics.items():
        for own in caches:
            np.testing.assert_allclose(own.running_statistics[key], value, rtol=1e-12, err_msg=key)
    assert bool(cache.running_statistics) is training


@each_layer
@pytest.mark.parametrize("derivative", ["complex", "central"])
@pytest.mark.parametrize("size", [1, 2])
def test_backward_is_the_derivative_of_forward_over_all_ranks(name, size, derivative, rng):
    params, x, _ = drawn(rng, images=4)
    statistics = ["running_mean", "running_var"]
    report = check(OnRanks(name, size), params, x, without_gradient=statistics, training=True, method=derivative)
    assert report, report


def test_images_on_a_device_are_summed_there_and_back(device, rng):
    params, x, dy = drawn(rng, dtype=np.float32)
    expected, _ = LAYERS["batch norm"][0].backward(dy, LAYERS["batch norm"][0].forward(params, x, training=True)[1])

    def run(ranks):
        own = OnRanks("batch norm", 2).own(ranks, np.arange(12)[None, None])[0, 0]
        there = {key: to_device(value, device) for key, value in params.items()}
        layer = RanksBatchNorm2d(3, ranks=ranks)
        _, cache = layer.forward(there, to_device(np.ascontiguousarray(x[:, :, own]), device), training=True)
        return to_host(layer.backward(to_device(np.ascontiguousarray(dy[:, :, own]), device), cache)[0])

    dx = np.concatenate(on_ranks(2, run), axis=2)
    np.testing.assert_allclose(dx, expected, rtol=1e-4, atol=1e-5)


def test_one_pixel_in_all_is_no_batch(rng):
    params, x, _ = drawn(rng, images=1)
    with pytest.raises(ShapeError, match="1 pixels a channel"):
        OnRanks("batch norm", 1).forward(params, x[:1, :1], training=True)
