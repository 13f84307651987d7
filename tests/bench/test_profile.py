"""The profile of a training step: its parts, their operations and their bytes."""

import numpy as np
import pytest
from bench_parts import TINY

from scratchnet.backend import CPU
from scratchnet.bench import peers
from scratchnet.bench.profile import REST, UPDATE, product_flop, profile
from scratchnet.bench.workload import Workload
from scratchnet.errors import install_extra
from scratchnet.layers import Conv2d, Linear, MaxPool2d, ReLU
from scratchnet.ops.choose import choose_convolution
from scratchnet.ops.fast.conv_cost import Problem


@pytest.mark.parametrize(
    ("layer", "y_shape", "flop"),
    [
        (Conv2d(3, 4, (2, 5)), (4, 6, 7, 4), 2 * (4 * 6 * 7) * (2 * 5) * 3 * 4),
        (Conv2d(1, 2, 3, stride=2, padding=1), (5, 5, 1, 2), 2 * 25 * 9 * 2),
        (Linear(5, 3), (7, 3), 2 * 7 * 5 * 3),
        (MaxPool2d(2), (4, 6, 7, 4), 0),
        (ReLU(), (7, 3), 0),
    ],
)
def test_flop_are_the_multiplications_and_additions_of_the_direct_sum(layer, y_shape, flop):
    assert product_flop(layer, y_shape) == flop


@pytest.mark.parametrize("padding", [0, 20])
def test_the_algorithm_is_the_one_asked_for_or_the_choice_for_the_padded_image(padding):
    def algorithm(**options):
        layer = Conv2d(8, 8, 7, padding=padding, **options)
        return layer.forward(layer.init(np.random.default_rng(0)), np.ones((8, 8, 2, 8), np.float32))[1].saved.algorithm

    assert algorithm(algorithm="offsets") == "offsets"
    problem = Problem.of((8, 8, 2, 8), (7, 7, 8, 8), (1, 1), (padding, padding))
    assert algorithm() == choose_convolution(CPU, problem)


def test_the_profile_has_every_layer_in_order_and_the_rest(training):
    names = [part.name for part in profile(training, rounds=1)]
    assert names == [*training.net.fused.encoder.layers, REST, UPDATE]


def test_the_first_layer_finds_no_dx_and_the_others_two_gradients(training):
    parts = {part.name: part for part in profile(training, rounds=1)}
    assert parts["conv1"].forward.flop == 2 * (16 * 16 * 4) * 25 * 2  # 2 pairs are 4 images
    assert parts["conv1"].backward.flop == parts["conv1"].forward.flop
    for name in ("conv2", "linear"):
        assert parts[name].backward.flop == 2 * parts[name].forward.flop > 0
    assert all((part.algorithm is not None) == name.startswith("conv") for name, part in parts.items())


def test_a_measured_step_is_a_training_step(training):
    other = TINY.prepare()
    profile(training, rounds=1)  # two steps
    losses = [other.step(), other.step()]
    assert losses[0] != losses[1]
    for name, value in other.net.params.items():
        np.testing.assert_array_equal(training.net.params[name], value)
    assert training.step() == other.step()  # with the same velocity


def test_the_bytes_of_a_layer_are_those_that_it_must_read_and_write(training):
    parts = {part.name: part for part in profile(training, rounds=1)}
    params = training.net.params
    images, channels = 4 * 4 * 16 * 16, 2  # four of 16 x 16 pixels; conv1 has 5 x 5 kernels
    first = images + channels * images + 4 * (5 * 5 * channels + channels)  # x, y, parameters; x, dy, gradients
    assert (parts["conv1"].forward.bytes, parts["conv1"].backward.bytes) == (first, first)
    pooled = channels * images // 4
    assert parts["pool1"].forward.bytes == parts["pool1"].backward.bytes == channels * images + pooled
    norm = 4 * 2 * channels  # its weight and its bias
    assert parts["norm1"].forward.bytes == 2 * pooled + 2 * norm  # and the running statistics
    assert parts["norm1"].backward.bytes == 3 * pooled + 2 * norm  # x again, and the weights
    linear = params["encoder.linear.weight"].nbytes + params["encoder.linear.bias"].nbytes
    x, y = 4 * 4 * len(params["encoder.linear.weight"]), 4 * 4 * len(params["encoder.linear.bias"])
    assert parts["linear"].forward.bytes == x + y + linear
    assert parts["linear"].backward.bytes == y + 2 * x + 2 * linear  # dy, x and weights; dx and gradients
    trained = sum(value.nbytes for name, value in params.items() if ".running_" not in name)
    assert parts[UPDATE].backward.bytes == 5 * trained


# Few channels: what runs on the host takes its time
FEW = {"image_size": 65, "channels": [2, 3, 2, 3], "features": 4}


def test_fused_layers_are_counted_and_compared_as_separate_ones(kernels):
    training, host = (Workload("koch2015", 1, place, FEW).prepare() for place in (kernels.name, "cpu"))
    assert "pool1" not in training.net.fused.encoder.layers
    parts, on_host = ({part.name: part for part in profile(each, rounds=1)} for each in (training, host))
    for name in ("conv1", "conv2", "conv3", "conv4", "linear"):
        assert parts[name].forward.flop == on_host[name].forward.flop > 0, name
        assert parts[name].backward.flop == on_host[name].backward.flop > 0, name
    assert parts["conv1"].algorithm == "im2col"  # as on a GPU, and not "bands"
    torch_peer = pytest.importorskip(
        "scratchnet.bench.torch_peer", reason=f"is about torch, an extra; {install_extra('bench')}"
    )
    peer = torch_peer.TorchPeer(training, "contiguous_format")
    assert peers.difference(training.gradients(), peer.gradients()).is_rounding("float32")
