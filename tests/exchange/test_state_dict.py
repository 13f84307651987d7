"""State dicts as PyTorch's users have them: wrapped, half as precise, with counters; and those that do not fit."""

import numpy as np
import pytest
from exported import NETWORKS
from helpers import same_bits

from scratchnet.errors import CheckpointError
from scratchnet.exchange.state_dict import from_state_dict, network_of, to_state_dict


def test_the_shapes_are_pytorchs(net):
    shapes = {name: value.shape for name, value in to_state_dict(net, net.params).items()}
    assert list(shapes) == list(net.params)
    kh, kw, C, O = net.params["encoder.conv2.weight"].shape
    assert shapes["encoder.conv2.weight"] == (O, C, kh, kw)
    assert shapes["encoder.linear.weight"] == net.params["encoder.linear.weight"].shape[::-1]
    assert shapes["head.weight"] == (1, net.head.features)


def test_gradients_come_back_too(net, rng):
    theirs = {key: rng.standard_normal(v.shape) for key, v in to_state_dict(net, net.params).items()}
    again = to_state_dict(net, from_state_dict(net, theirs))
    for name, value in theirs.items():
        np.testing.assert_array_equal(again[name], value)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_names_may_be_wrapped_and_counters_are_left_out(prefix, net):
    tensors = {prefix + name: value for name, value in to_state_dict(net, net.params).items()}
    tensors[f"{prefix}encoder.norm1.num_batches_tracked"] = np.array(7)
    assert same_bits(network_of(tensors, net.architecture, "here").params, net.params)


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_precisions_become_float32(dtype, net):
    tensors = {name: value.astype(dtype) for name, value in to_state_dict(net, net.params).items()}
    params = network_of(tensors, net.architecture, "here").params
    for name, value in params.items():
        assert value.dtype == np.float32
        np.testing.assert_allclose(value, net.params[name], rtol=1e-3, atol=1e-3)


FAULTS = {
    "missing": (lambda t: t.pop("head.bias"), "here has no head.bias: it is of another architecture"),
    "superfluous": (lambda t: t.update(more=np.zeros(1, np.float32)), "here has more, which the architecture lacks"),
    "of our shape": (
        lambda t: t.update({"encoder.conv1.weight": t["encoder.conv1.weight"].transpose(2, 3, 1, 0)}),
        r"here has encoder.conv1.weight as float32 \(5, 5, 1, 2\), expected float32 \(2, 1, 5, 5\)",
    ),
    "integers": (
        lambda t: t.update({"head.bias": np.array([1])}),
        r"head.bias as int64: in PyTorch, save model\.float",
    ),
    "a NaN": (lambda t: t.update({"head.bias": np.full(1, np.nan)}), "a NaN or an infinity in head.bias"),
    "too large": (lambda t: t.update({"head.bias": np.full(1, 1e300)}), "a NaN or an infinity in head.bias"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("net", ["compact"], indirect=True)
def test_tensors_that_do_not_fit_are_refused(fault, net):
    change, complaint = FAULTS[fault]
    tensors = to_state_dict(net, net.params)
    change(tensors)
    with pytest.raises(CheckpointError, match=complaint):
        network_of(tensors, NETWORKS["compact"], "here")
