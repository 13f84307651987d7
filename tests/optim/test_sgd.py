"""The update: the paper's, with settings for each layer, and only for parameters that have a gradient."""

import numpy as np
import pytest
from helpers import copied, same_bits

from scratchnet.backend import to_device, to_host
from scratchnet.backend.threads import BLOCK_BYTES
from scratchnet.errors import ScratchnetError, ShapeError
from scratchnet.ops.finite import new_flag
from scratchnet.optim.penalty import PrintedSGD, l2_penalty
from scratchnet.optim.schedules import Cosine, Decay, MomentumRise
from scratchnet.optim.sgd import SGD

SHAPES = {"encoder.conv1.weight": (3, 2), "encoder.conv1.bias": (2,), "encoder.conv10.weight": (4,), "head.bias": (1,)}


def random_like(rng: np.random.Generator, dtype: type = np.float64) -> dict[str, np.ndarray]:
    return {name: rng.standard_normal(shape).astype(dtype) for name, shape in SHAPES.items()}


@pytest.fixture
def params(rng) -> dict[str, np.ndarray]:
    return random_like(rng)


def test_momentum_carries_earlier_gradients_on(params, rng):
    optimiser = SGD(0.1, momentum=0.7, per_layer={"head": {"momentum": 0.2}})
    expected, velocity = copied(params), {name: np.zeros(shape) for name, shape in SHAPES.items()}
    for _ in range(4):
        grads = random_like(rng)
        optimiser.step(params, grads)
        for name, gradient in grads.items():
            momentum = 0.2 if name == "head.bias" else 0.7
            velocity[name] = momentum * velocity[name] - 0.1 * gradient
            expected[name] = expected[name] + velocity[name]
            np.testing.assert_allclose(params[name], expected[name], rtol=1e-12)


def test_weight_decay_is_the_l2_penalty_of_half_its_strength(params, rng):
    weights = {name for name in SHAPES if name.endswith("weight")}
    decayed, penalised = params, copied(params)
    by_decay, by_penalty = SGD(0.1, weight_decay=2 * 0.03), SGD(0.1)
    for _ in range(4):
        grads = random_like(rng)
        _, penalty = l2_penalty(penalised, dict.fromkeys(weights, 0.03))
        by_decay.step(decayed, grads)
        by_penalty.step(penalised, {name: gradient + penalty.get(name, 0) for name, gradient in grads.items()})
    for name in SHAPES:
        np.testing.assert_allclose(decayed[name], penalised[name], rtol=1e-12)


def test_two_steps_worked_out_by_hand():
    """w = 2, g = 1, lr 0.5, momentum 0.5, weight decay 0.25: v = -0.75, w = 1.25, then v = -1.03125, w = 0.21875."""
    optimiser, params = SGD(0.5, momentum=0.5, weight_decay=0.25), {"weight": np.array([2.0])}
    for v, w in ((-0.75, 1.25), (-1.03125, 0.21875)):
        optimiser.step(params, {"weight": np.array([1.0])})
        assert (optimiser.velocity["weight"][0], params["weight"][0]) == (v, w)


def test_weights_decay_and_biases_do_not(params):
    before = copied(params)
    SGD(0.1, weight_decay=1).step(params, {name: np.zeros(shape) for name, shape in SHAPES.items()})
    for name, value in params.items():
        shrunk = 0.9 if name.endswith("weight") else 1
        np.testing.assert_allclose(value, shrunk * before[name], rtol=1e-12)


def test_the_longest_prefix_wins_setting_by_setting():
    optimiser = SGD(
        0.1,
        momentum=0.9,
        weight_decay=0.01,
        per_layer={
            "encoder": {"lr": 0.2, "momentum": 0.8},
            "encoder.conv1": {"lr": 0.3},
            "encoder.conv1.weight": {"weight_decay": 0.04},
        },
    )
    assert optimiser.settings("encoder.conv1.weight") == (0.3, 0.8, 0.04)
    assert optimiser.settings("encoder.conv1.bias") == (0.3, 0.8, 0)
    assert optimiser.settings("encoder.conv10.weight") == (0.2, 0.8, 0.01)  # conv1 is not a prefix of conv10
    assert optimiser.settings("head.weight") == (0.1, 0.9, 0.01)


def test_the_order_in_which_prefixes_are_given_does_not_matter():
    one = {"encoder.conv1": {"lr": 0.3}, "encoder": {"lr": 0.2}}
    other = dict(reversed(one.items()))
    for per_layer in (one, other):
        assert SGD(0.1, per_layer=per_layer).settings("encoder.conv1.bias")[0] == 0.3


def test_a_layer_with_its_own_learning_rate_moves_by_it(params, rng):
    before, grads = copied(params), random_like(rng)
    SGD(0.1, per_layer={"encoder.conv1": {"lr": 0.0}, "head.bias": {"lr": 2.0}}).step(params, grads)
    for name, lr in zip(SHAPES, [0, 0, 0.1, 2.0], strict=True):
        np.testing.assert_allclose(params[name], before[name] - lr * grads[name], rtol=1e-12)


@pytest.mark.parametrize("prefix", ["encoder.conv2", "encoder.conv", "conv1", "encoder.conv1.weights", ""])
def test_a_prefix_that_matches_no_parameter_is_an_error_and_nothing_moves(prefix, params, rng):
    before = copied(params)
    with pytest.raises(
        ScratchnetError, match=rf"per_layer sets {prefix}, which is no part of the network.*: .*encoder\.conv1\.bias"
    ):
        SGD(0.1, per_layer={"encoder": {"lr": 1}, prefix: {"lr": 1}}).step(params, random_like(rng))
    for name, value in params.items():
        np.testing.assert_array_equal(value, before[name])


def test_a_setting_that_does_not_exist_is_an_error():
    with pytest.raises(ScratchnetError, match="per_layer sets rate: it can set lr, momentum, weight_decay"):
        SGD(0.1, per_layer={"encoder": {"rate": 0.1, "lr": 0.1}})


@pytest.mark.parametrize(("epoch", "lr"), [(0, 0.5), (1, 0.495), (2, 0.49005), (100, 0.5 * 0.99**100)])
def test_the_learning_rate_falls_by_a_factor_every_epoch(epoch, lr):
    optimiser = SGD(0.1, per_layer={"head": {"lr": 0.5}}, lr_schedule=Decay(0.99), epoch=epoch)
    assert optimiser.settings("head.weight")[0] == pytest.approx(lr, rel=1e-12)
    assert optimiser.settings("encoder.weight")[0] == pytest.approx(lr / 5, rel=1e-12)


def test_schedules_follow_the_epoch_that_was_started():
    optimiser = SGD(
        0.1,
        momentum=0.9,
        per_layer={"head": {"lr": 0.5, "momentum": 0.7}},
        lr_schedule=Cosine(4),
        momentum_rise=MomentumRise(initial=0.5, epochs=4),
    )
    assert optimiser.settings("head.weight") == (0.5, 0.5, 0)
    optimiser.start_epoch(2)
    assert optimiser.settings("head.weight") == pytest.approx((0.25, 0.6, 0), rel=1e-12)
    assert optimiser.settings("encoder.weight") == pytest.approx((0.05, 0.7, 0), rel=1e-12)
    assert optimiser.rate == optimiser.settings("encoder.weight")[0]


def test_without_schedules_the_epoch_changes_nothing():
    assert SGD(0.1, momentum=0.8, epoch=0).settings("a.weight") == SGD(0.1, momentum=0.8, epoch=9).settings("a.weight")


def test_a_parameter_without_gradient_is_left_alone(params, rng):
    before, grads = copied(params), random_like(rng)
    del grads["encoder.conv10.weight"]
    optimiser = SGD(0.1, weight_decay=0.1)
    optimiser.step(params, grads)
    np.testing.assert_array_equal(params["encoder.conv10.weight"], before["encoder.conv10.weight"])
    assert set(optimiser.velocity) == set(grads)


def test_parameters_move_in_place_and_gradients_are_not_written_to(params, rng):
    arrays, grads = dict(params), random_like(rng)
    before, given = copied(params), copied(grads)
    SGD(0.1, weight_decay=0.1).step(params, grads)
    for name in SHAPES:
        assert params[name] is arrays[name]
        assert not np.array_equal(params[name], before[name])
        np.testing.assert_array_equal(grads[name], given[name])


def test_every_device_makes_the_same_steps_and_keeps_the_precision(device, rng):
    optimiser, placed_optimiser = (SGD(0.1, weight_decay=0.02, lr_schedule=Decay(0.9), epoch=2) for _ in range(2))
    params = random_like(rng, np.float32)
    placed = {name: to_device(value.copy(), device) for name, value in params.items()}
    for _ in range(3):
        grads = random_like(rng, np.float32)
        optimiser.step(params, grads)
        placed_optimiser.step(placed, {name: to_device(value, device) for name, value in grads.items()})
    for name, value in params.items():
        assert placed[name].dtype == np.float32
        np.testing.assert_allclose(to_host(placed[name]), value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray])
@pytest.mark.parametrize("shape", [(1,), (257, 3), (2, 5, 7, 33)])
def test_every_device_updates_arrays_of_any_size_and_layout(shape, layout, dtype, device, rng):
    weight = layout(rng.standard_normal(shape).astype(dtype))
    placed = {"weight": to_device(weight, device)}
    optimiser = SGD(lr=1, momentum=1, weight_decay=0.02)  # ints will do
    expected, velocity = weight.astype(np.float64), 0.0
    for _ in range(2):
        gradient = layout(rng.standard_normal(shape).astype(dtype))
        optimiser.step(placed, {"weight": to_device(gradient, device)})
        velocity = velocity - (gradient + 0.02 * expected)
        expected = expected + velocity
    tolerance = 50 * np.finfo(dtype).eps
    assert placed["weight"].dtype == optimiser.velocity["weight"].dtype == dtype
    np.testing.assert_allclose(to_host(placed["weight"]), expected, rtol=0, atol=tolerance)
    np.testing.assert_allclose(to_host(optimiser.velocity["weight"]), velocity, rtol=0, atol=tolerance)


FINE = {"weight": 0.5, "velocity": 0.1, "gradient": 2.0, "lr": 0.1, "momentum": 0.9, "weight_decay": 0.0}


@pytest.mark.parametrize(
    ("changes", "raised"),
    [
        ({}, False),
        ({"gradient": 1e30, "lr": 1e-32}, False),  # its square overflows float32
        ({"weight": 3e38}, False),
        ({"gradient": np.nan}, True),
        ({"gradient": np.inf, "lr": 0.0}, True),
        ({"weight": np.nan}, True),
        ({"velocity": -np.inf}, True),
        ({"gradient": -1e20, "lr": 1e19}, True),
        ({"lr": 1e39}, True),
        ({"weight": 3e38, "velocity": 2e38}, True),
        ({"weight": 1e38, "weight_decay": 30.0}, False),  # 1e38 - 3e38
        ({"weight": 1e38, "weight_decay": 60.0}, True),
        ({"velocity": 1e38, "momentum": 5.0}, True),
    ],
)
@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray])
def test_the_flag_says_on_every_device_whether_the_update_would_overflow(changes, raised, layout, device, rng):
    case = FINE | changes
    arrays = {}
    for name in ("weight", "velocity", "gradient"):
        value = rng.random((7, 5)).astype(np.float32)
        value[6, 3] = case[name]
        arrays[name] = to_device(layout(value), device)
    optimiser = SGD(
        case["lr"],
        momentum=case["momentum"],
        weight_decay=case["weight_decay"],
        velocity={"weight": arrays["velocity"]},
    )
    before = {name: to_host(value).copy() for name, value in arrays.items()}
    flag = new_flag(arrays["weight"])
    with np.errstate(all="ignore"):  # as in a training step
        optimiser.flag({"weight": arrays["weight"]}, {"weight": arrays["gradient"]}, flag)
        assert bool(to_host(flag)) == raised
        for name, value in arrays.items():
            np.testing.assert_array_equal(to_host(value), before[name])
        optimiser.step({"weight": arrays["weight"]}, {"weight": arrays["gradient"]}, failed=flag)
    changed = [to_host(arrays[name]).tobytes() != before[name].tobytes() for name in ("weight", "velocity")]
    assert changed == [not raised, not raised]


def test_one_nan_in_many_blocks_raises_the_flag(monkeypatch, rng):
    monkeypatch.setenv("SCRATCHNET_THREADS", "2")
    weight = rng.random((5 * BLOCK_BYTES // 80 + 3, 10))
    for row in (0, len(weight) // 2, -1):
        gradient, flag = np.zeros_like(weight), new_flag(weight)
        gradient[row, 4] = np.nan
        SGD(0.1).flag({"weight": weight}, {"weight": gradient}, flag)
        assert flag == 1


def test_a_gpu_updates_each_array_in_one_pass_if_its_layout_and_dtype_suit_the_kernels(launched, rng):
    weight = rng.standard_normal((4, 3))
    for array in (weight, np.asfortranarray(weight), weight + 0j, weight.astype(np.float32)):
        SGD(0.1).step({"weight": to_device(array, "kernels")}, {"weight": to_device(array, "kernels")})
    assert launched == ["sgd_update"] * 2


def test_a_gradient_of_another_shape_is_refused_before_anything_moves(params, rng):
    before, grads = copied(params), random_like(rng)
    grads["head.bias"] = rng.standard_normal((3, 1))
    with pytest.raises(ShapeError, match=r"gradient of head.bias has shape \(3, 1\), expected \(1,\) like head.bias"):
        SGD(0.1).step(params, grads)
    for name, value in before.items():
        np.testing.assert_array_equal(params[name], value)


def test_some_gradients_may_be_missing_for_a_step():
    params = {"enc.weight": np.ones(2), "head.weight": np.ones(2)}
    SGD(0.5, per_layer={"enc": {"lr": 0.0}}).step(params, {"head.weight": np.ones(2)})
    assert params["head.weight"].tolist() == [0.5, 0.5]
    assert params["enc.weight"].tolist() == [1, 1]


def test_a_gradient_of_nothing_is_refused():
    with pytest.raises(ScratchnetError, match=r"a gradient of hea.weight, which is no parameter \(did you mean"):
        SGD(0.5).step({"head.weight": np.ones(2)}, {"hea.weight": np.ones(2)})


def test_only_what_is_called_weight_decays():
    optimiser = SGD(0.1, weight_decay=0.1)
    assert optimiser.settings("head.weight").weight_decay == 0.1
    assert optimiser.settings("head.mixing_weight").weight_decay == 0


def test_parameters_in_place_of_the_learning_rate_are_refused():
    with pytest.raises(ScratchnetError, match="takes no parameters: they go to step"):
        SGD({"head.weight": np.ones(2)})  # type: ignore[arg-type]


def test_as_printed_every_weight_grows_by_a_share_of_its_size(params, device, rng):
    """The penalty is beside the velocity, of the weight before the step, and unscaled by the learning rate."""
    grads, expected, velocity = random_like(rng), copied(params), dict.fromkeys(SHAPES, 0.0)
    there = {name: to_device(value.copy(), device) for name, value in params.items()}
    optimiser = PrintedSGD(0.1, momentum=0.5, weight_decay=0.25, per_layer={"encoder.conv10": {"weight_decay": 0.5}})
    for _ in range(3):
        optimiser.step(there, {name: to_device(gradient, device) for name, gradient in grads.items()})
        for name, gradient in grads.items():
            decay = 0.0 if name.endswith("bias") else 0.5 if "conv10" in name else 0.25
            velocity[name] = 0.5 * velocity[name] - 0.1 * gradient
            expected[name] = expected[name] + velocity[name] + decay * np.abs(expected[name])
    for name, value in there.items():
        np.testing.assert_allclose(to_host(value), expected[name], rtol=1e-12)


def test_as_printed_nothing_changes_once_a_step_has_failed(params, rng):
    before, optimiser = copied(params), PrintedSGD(0.1, weight_decay=0.25)
    optimiser.step(params, random_like(rng), failed=np.ones((), np.int32))
    assert same_bits(params, before)
