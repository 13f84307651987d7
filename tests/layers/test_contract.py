"""What holds for every layer, loss and network alike: the protocol of layers/protocol.py, case by case."""

import copy

import numpy as np
import pytest
from helpers import arrays_in
from single_layers import LAYERS

from scratchnet.backend import to_host
from scratchnet.layers import BatchNorm2d, Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential, Sigmoid, WeightedL1
from scratchnet.layers.protocol import complete
from scratchnet.planted.cases import CASES, Case

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)

# Gradients that are zero for a reason: batch norm takes away the mean that a bias before it moves, and a softmax the
# bias that all its scores share.
VANISHES = ("conv.bias", "conv1.bias", "conv2.bias", "conv3.bias", "conv4.bias", "conv5.bias", "conv6.bias")


def run(case: Case, params, inputs, dy=None, seed=7):
    """Forward, and backward from a random cotangent: (y, cotangent, dinputs, grads)."""
    y, cache = case.layer.forward(params, *inputs, **case.options)
    dy = np.random.default_rng(seed).standard_normal(y.shape).astype(y.dtype) if dy is None else dy
    dinputs, grads = case.layer.backward(dy, cache)
    return y, dy, dinputs if isinstance(dinputs, tuple) else (dinputs,), grads


@every_case
def test_backward_is_the_derivative_of_forward(case):
    report = case.check(seed=3)
    assert report, report
    expected = VANISHES + (("head.bias",) if "episode to the loss" in case.name else ())
    unproven = [name for name in report.vacuous if not name.endswith(expected)]
    assert not unproven, f"a zero gradient proves nothing: {unproven}"


@pytest.mark.parametrize("case", LAYERS.values(), ids=LAYERS)
def test_central_differences_say_the_same(case):
    """Of networks they are taken entry by entry, in test_finite_differences.py: a step along all weights at once would
    cross some of their many kinks (ReLU, pooling, |h1 - h2|)."""
    report = case.check(seed=3, method="central")
    assert report, report


@every_case
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradients_have_the_keys_shapes_and_dtypes_of_what_they_belong_to(case, dtype, rng):
    params, inputs = case.draw(rng, dtype)
    y, _, dinputs, grads = run(case, params, inputs)
    assert y.dtype == dtype
    assert [name for name in params if ".running_" not in f".{name}"] == list(grads)
    for gradient, tensor in [*zip(dinputs, inputs, strict=True), *((grads[name], params[name]) for name in grads)]:
        assert gradient.shape == tensor.shape
        assert gradient.dtype == dtype


@every_case
def test_nothing_is_written_to_and_nothing_returned_is_a_view_of_the_cotangent(case, rng):
    params, inputs = case.draw(rng)
    given = [*inputs, *params.values()]
    before = copy.deepcopy(given)
    for array in given:
        array.flags.writeable = False
    y, cache = case.layer.forward(params, *inputs, **case.options)
    dy = np.array(rng.standard_normal(y.shape))
    kept, dy_before = copy.deepcopy(arrays_in(cache)), dy.copy()
    dy.flags.writeable = False
    dinputs, grads = case.layer.backward(dy, cache)
    for array, old in zip([*given, *arrays_in(cache), dy], [*before, *kept, dy_before], strict=True):
        np.testing.assert_array_equal(array, old)
    for gradient in [*(dinputs if isinstance(dinputs, tuple) else (dinputs,)), *grads.values()]:
        assert not np.shares_memory(gradient, dy)


@every_case
def test_backward_twice_gives_the_same_bits(case, rng):
    params, inputs = case.draw(rng)
    y, cache = case.layer.forward(params, *inputs, **case.options)
    dy = np.array(rng.standard_normal(y.shape))
    first, second = (arrays_in(case.layer.backward(dy, cache)) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


@every_case
def test_the_gradients_of_the_parameters_alone_are_the_same_bits(case, rng):
    params, inputs = case.draw(rng)
    y, cache = case.layer.forward(params, *inputs, **case.options)
    dy = np.array(rng.standard_normal(y.shape))
    _, expected = case.layer.backward(dy, cache)
    _, found = complete(case.layer).backward(dy, cache, needs_dx=False)
    assert list(found) == list(expected)
    for name, gradient in expected.items():
        np.testing.assert_array_equal(found[name], gradient)


@every_case
def test_the_layout_in_memory_does_not_matter(case, rng):
    params, inputs = case.draw(rng)
    expected = run(case, params, inputs)

    def strided(array):
        return np.repeat(array, 2, axis=-1)[..., ::2] if array.ndim else array

    for relaid in (np.asfortranarray, strided):
        new_params = {name: relaid(value) for name, value in params.items()}
        found = run(case, new_params, [relaid(x) for x in inputs], relaid(np.asarray(expected[1])))
        for a, b in zip(arrays_in(found), arrays_in(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@every_case
def test_float32_agrees_with_float64(case, rng):
    params, inputs = case.draw(rng, np.float32)
    narrow = run(case, params, inputs)
    wide = run(
        case,
        {name: value.astype(np.float64) for name, value in params.items()},
        [x.astype(np.float64) for x in inputs],
        np.asarray(narrow[1]).astype(np.float64),
    )
    largest = max(np.linalg.norm(gradient) for gradient in arrays_in(wide[2:]))
    for a, b in zip(arrays_in(narrow[2:]), arrays_in(wide[2:]), strict=True):
        assert np.linalg.norm(a - b) <= 1e-4 * max(np.linalg.norm(b), 1e-2 * largest)
    np.testing.assert_allclose(narrow[0], wide[0], rtol=1e-4, atol=1e-4)


@every_case
def test_every_device_gives_the_result_of_numpy(case, device, rng):
    params, inputs = case.draw(rng, np.float32)
    expected = run(case, params, inputs)
    there = {name: device.upload(value) for name, value in params.items()}
    y, cache = case.layer.forward(there, *map(device.upload, inputs), **case.options)
    dinputs, grads = case.layer.backward(device.upload(np.asarray(expected[1])), cache)
    found = [y, *(dinputs if isinstance(dinputs, tuple) else (dinputs,)), *grads.values()]
    for a, b in zip(found, [expected[0], *expected[2], *expected[3].values()], strict=True):
        np.testing.assert_allclose(to_host(a), b, rtol=1e-4, atol=1e-4)


# The layers whose batch axis can be cut: (layer, shape of an input, its batch axis, that of the output).
BATCHED = [
    (Conv2d(2, 3, 3, padding=1), (5, 4, 4, 2), 2, 2),
    (Conv2d(2, 3, 2, stride=2, algorithm="offsets"), (5, 4, 4, 2), 2, 2),
    (MaxPool2d(2), (5, 4, 4, 2), 2, 2),
    (ReLU(), (5, 4, 4, 2), 2, 2),
    (Sigmoid(), (4, 5), 0, 0),
    (BatchNorm2d(2), (5, 4, 4, 2), 2, 2),
    (Flatten(), (5, 3, 4, 2), 2, 0),
    (Linear(5, 3), (4, 5), 0, 0),
    (Sequential({"conv": Conv2d(2, 3, 3), "flatten": Flatten(), "linear": Linear(18, 2)}), (5, 4, 4, 2), 2, 0),
]


@pytest.mark.parametrize(("layer", "shape", "axis", "out_axis"), BATCHED)
def test_two_forwards_then_two_backwards_equal_one_batch_of_both(layer, shape, axis, out_axis, rng):
    params, (x,) = Case(layer, (shape,)).draw(rng)
    y, cache = layer.forward(params, x)
    dy = rng.standard_normal(y.shape)
    dx, grads = layer.backward(dy, cache)

    forwards = [layer.forward(params, half) for half in np.split(x, 2, axis)]
    backwards = [
        layer.backward(dy_half, half_cache)
        for dy_half, (_, half_cache) in zip(np.split(dy, 2, out_axis), forwards, strict=True)
    ]
    np.testing.assert_allclose(np.concatenate([half for half, _ in forwards], out_axis), y, rtol=1e-12)
    np.testing.assert_allclose(np.concatenate([half for half, _ in backwards], axis), dx, rtol=1e-12, atol=1e-14)
    for name, gradient in grads.items():
        np.testing.assert_allclose(backwards[0][1][name] + backwards[1][1][name], gradient, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("layer", "shape", "axis", "out_axis"), BATCHED)
@pytest.mark.parametrize("batch", [0, 1])
def test_a_batch_of_none_or_one_passes_through(layer, shape, axis, out_axis, batch, rng):
    shape = tuple(batch if i == axis else size for i, size in enumerate(shape))
    params, (x,) = Case(layer, (shape,)).draw(rng)
    y, cache = layer.forward(params, x)
    dx, grads = layer.backward(rng.standard_normal(y.shape), cache)
    assert y.shape[out_axis] == batch
    assert dx.shape == shape
    assert all(grads[name].shape == params[name].shape for name in grads)


@pytest.mark.parametrize(
    ("h1", "h2", "logits"), [((0, 4), (0, 4), (0,)), ((1, 4), (1, 4), (1,)), ((0, 1, 4), (3, 4), (0, 3))]
)
def test_the_head_takes_a_batch_of_none_or_one(h1, h2, logits, rng):
    params, inputs = Case(WeightedL1(4), (h1, h2)).draw(rng)
    y, cache = WeightedL1(4).forward(params, *inputs)
    dinputs, _ = WeightedL1(4).backward(rng.standard_normal(y.shape), cache)
    assert y.shape == logits
    assert [dx.shape for dx in dinputs] == [h1, h2]
