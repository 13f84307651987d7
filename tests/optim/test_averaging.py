"""The running average of the weights is the weighted sum that its docstring gives, and leaves the weights alone."""

import numpy as np
import pytest

from scratchnet.backend import device_of, to_device, to_host
from scratchnet.backend.threads import BLOCK_BYTES
from scratchnet.optim.averaging import WeightAverage

SHAPES = {"encoder.conv1.weight": (5, 4, 3), "encoder.norm1.running_var": (3,), "head.bias": (1,)}


def random_params(rng: np.random.Generator, dtype: type = np.float64) -> dict[str, np.ndarray]:
    return {name: rng.standard_normal(shape).astype(dtype) for name, shape in SHAPES.items()}


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.998, 1.0])
def test_the_average_is_a_sum_of_all_past_weights_with_falling_shares(decay, rng):
    history = [random_params(rng) for _ in range(40)]
    average = WeightAverage.starting_at(history[0], decay=decay)
    for step, params in enumerate(history[1:]):
        average.update(params, step)
    decays = [min(decay, (1 + step) / (10 + step)) for step in range(39)]
    weights = [np.prod(decays)] + [(1 - d) * np.prod(decays[step + 1 :]) for step, d in enumerate(decays)]
    assert sum(weights) == pytest.approx(1)
    for name in SHAPES:
        expected = sum(weight * params[name] for weight, params in zip(weights, history, strict=True))
        np.testing.assert_allclose(average.params[name], expected, rtol=1e-12, atol=1e-14)


def test_the_untrained_weights_fade_within_a_few_steps(rng):
    untrained, trained = random_params(rng), random_params(rng)
    average = WeightAverage.starting_at(untrained, decay=0.998)
    for step in range(10):
        average.update(trained, step)
    for name, value in trained.items():
        np.testing.assert_allclose(average.params[name], value, atol=1e-4)


def test_the_average_is_a_copy_and_changes_in_place(rng):
    start, params = random_params(rng), random_params(rng)
    before, given = ({name: value.copy() for name, value in each.items()} for each in (start, params))
    average = WeightAverage.starting_at(start, decay=0.9)
    arrays = dict(average.params)
    average.update(params, 3)
    for name in SHAPES:
        assert average.params[name] is arrays[name]
        np.testing.assert_array_equal(start[name], before[name])
        np.testing.assert_array_equal(params[name], given[name])
        assert not np.array_equal(average.params[name], before[name])


def test_every_device_averages_alike_and_keeps_the_precision(device, rng):
    history = [random_params(rng, np.float32) for _ in range(5)]
    placed = [{name: to_device(value, device) for name, value in params.items()} for params in history]
    here, there = (WeightAverage.starting_at(first, decay=0.7) for first in (history[0], placed[0]))
    for step in range(1, 5):
        here.update(history[step], step)
        there.update(placed[step], step)
    for name, value in here.params.items():
        assert device_of(there.params[name]) is device
        assert there.params[name].dtype == np.float32
        # The terms may cancel, so the bound is absolute. A step rounds a difference, its share and a sum: together less
        # than 2.5 eps of the largest number, of which the next step keeps 0.36. Devices may differ by twice that.
        largest = max(np.abs(params[name]).max() for params in history)
        np.testing.assert_allclose(
            to_host(there.params[name]), value, rtol=0, atol=8 * np.finfo(np.float32).eps * largest
        )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray])
@pytest.mark.parametrize("shape", [(1,), (257, 3), (2, 5, 7, 33)])
def test_every_device_averages_arrays_of_any_size_and_layout(shape, layout, dtype, device, rng):
    start, value = (layout(array.astype(dtype)) for array in rng.standard_normal((2, *shape)))
    average = WeightAverage.starting_at({"w": to_device(start, device)}, decay=0.7)
    average.update({"w": to_device(value, device)}, 100)
    expected = 0.7 * start.astype(np.float64) + 0.3 * value
    np.testing.assert_allclose(to_host(average.params["w"]), expected, rtol=0, atol=10 * np.finfo(dtype).eps)


def test_a_gpu_averages_each_array_in_one_pass(launched, rng):
    start, params = (
        {name: to_device(value, "kernels") for name, value in random_params(rng).items()} for _ in range(2)
    )
    average = WeightAverage.starting_at(start, decay=0)  # an int will do
    average.update(params, 3)
    for name, value in params.items():
        np.testing.assert_allclose(to_host(average.params[name]), to_host(value), rtol=1e-12)
    assert launched == ["sgd_approach"] * len(SHAPES)


@pytest.mark.parametrize("raised", [0, 1])
def test_an_average_whose_flag_is_raised_keeps_its_bits(raised, device, rng):
    start, params = random_params(rng, np.float32), random_params(rng, np.float32)
    start["head.bias"][:] = -0.0
    average = WeightAverage.starting_at({name: to_device(value, device) for name, value in start.items()}, decay=0.7)
    flag = device.upload(np.array(raised, np.int32))
    average.update({name: to_device(value, device) for name, value in params.items()}, 100, failed=flag)
    for name, value in start.items():
        assert (to_host(average.params[name]).tobytes() == value.tobytes()) == bool(raised)


def test_an_array_of_many_blocks_is_averaged_to_its_last_row(monkeypatch, rng):
    monkeypatch.setenv("SCRATCHNET_THREADS", "2")
    start, value = rng.random((2, 5 * BLOCK_BYTES // 80 + 3, 10))
    average = WeightAverage.starting_at({"w": start}, decay=0.5)
    average.update({"w": value}, 100)
    np.testing.assert_allclose(average.params["w"], (start + value) / 2, rtol=1e-12)
