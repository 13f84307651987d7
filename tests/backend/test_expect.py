"""Errors about shapes and dtypes spell out what was given and what was expected."""

import re

import numpy as np
import pytest

from scratchnet.backend.expect import expect
from scratchnet.errors import BackendError, ScratchnetError, ShapeError
from scratchnet.layers import BatchNorm2d, Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sigmoid, WeightedL1
from scratchnet.losses import NWayCrossEntropy, PairCrossEntropy

WRONG_INPUTS = [
    (Conv2d(3, 2, 3), (5, 7, 2, 4), "Conv2d: x has shape (H=5, W=7, N=2, C=4), expected (H, W, N, C=3)"),
    (Conv2d(3, 2, 3), (5, 7, 3), "Conv2d: x has shape (5, 7, 3), expected (H, W, N, C=3)"),
    (Conv2d(3, 2, (3, 4)), (5, 3, 2, 3), "Conv2d: x is (H=5, W=3), smaller than the kernel (kh=3, kw=4)"),
    (MaxPool2d(3), (2, 7, 1, 1), "MaxPool2d: x is (H=2, W=7), smaller than the window (kh=3, kw=3)"),
    (MaxPool2d(2), (4, 4), "MaxPool2d: x has shape (4, 4), expected (H, W, N, C)"),
    (Linear(4, 2), (3, 5), "Linear: x has shape (N=3, C=5), expected (N, C=4)"),
    (Flatten(), (4, 4, 2), "Flatten: x has shape (4, 4, 2), expected (H, W, N, C)"),
    (BatchNorm2d(3), (4, 4, 2, 1), "BatchNorm2d: x has shape (H=4, W=4, N=2, C=1), expected (H, W, N, C=3)"),
]

HINTS = [
    (Conv2d(3, 2, 3), (5, 3, 7, 8), ": it looks like (N, C, H, W), which becomes x.transpose(2, 3, 0, 1)"),
    (Conv2d(1, 2, 3), (5, 1, 28, 28), ": it looks like (N, C, H, W), which becomes x.transpose(2, 3, 0, 1)"),
    (BatchNorm2d(3), (3, 8, 8, 5), ": it looks like (C, H, W, N), which becomes x.transpose(1, 2, 3, 0)"),
    (BatchNorm2d(3), (8, 8, 3, 5), ": it looks like (H, W, C, N), which becomes x.transpose(0, 1, 3, 2)"),
    (Conv2d(1, 2, 3), (5, 8, 9), ": images (N, H, W) become x.transpose(1, 2, 0)[..., None]"),
    (Flatten(), (5, 8, 9), ": images (N, H, W) become x.transpose(1, 2, 0)[..., None]"),
    (Conv2d(3, 2, 5), (2, 8, 9, 3), "; images first, (N, H, W, C), become x.transpose(1, 2, 0, 3)"),
    (MaxPool2d(4), (2, 8, 9, 3), "; images first, (N, H, W, C), become x.transpose(1, 2, 0, 3)"),
    (Conv2d(3, 2, 3), (5, 7, 2, 4), ""),
    (Conv2d(3, 2, 3), (5, 7, 3), ""),
    (Conv2d(3, 2, 5), (2, 3, 9, 3), ""),
    (MaxPool2d(2), (4, 4), ""),
]

WRONG_COTANGENTS = [
    (
        Conv2d(3, 2, 3),
        (5, 7, 2, 3),
        (3, 4, 2, 2),
        "dy has shape (Ho=3, Wo=4, N=2, O=2), expected (Ho=3, Wo=5, N=2, O=2)",
    ),
    (MaxPool2d(2), (4, 6, 2, 3), (2, 2, 2, 3), "dy has shape (Ho=2, Wo=2, N=2, C=3), expected (Ho=2, Wo=3, N=2, C=3)"),
    (Linear(4, 2), (3, 4), (3, 4), "dy has shape (N=3, O=4), expected (N=3, O=2)"),
    (Flatten(), (2, 3, 4, 5), (4, 31), "dy has shape (N=4, D=31), expected (N=4, D=30)"),
    (ReLU(), (3, 4), (4, 3), "dy has shape (4, 3), expected (3, 4)"),
    (Sigmoid(), (3, 4), (4, 3), "dy has shape (4, 3), expected (3, 4)"),
    (BatchNorm2d(3), (4, 4, 2, 3), (4, 4, 3), "dy has shape (4, 4, 3), expected (H=4, W=4, N=2, C=3)"),
]


@pytest.mark.parametrize(("layer", "shape", "message"), WRONG_INPUTS)
def test_forward_refuses_a_wrong_shape(layer, shape, message, rng):
    with pytest.raises(ShapeError, match=re.escape(message)):
        layer.forward(layer.init(rng), rng.standard_normal(shape).astype(np.float32))


@pytest.mark.parametrize(("layer", "shape", "hint"), HINTS)
def test_the_layout_of_another_library_is_named_with_the_line_that_turns_it(layer, shape, hint, rng):
    x = rng.standard_normal(shape).astype(np.float32)
    with pytest.raises(ShapeError) as refusal:
        layer.forward(layer.init(rng), x)
    message = str(refusal.value)
    if hint:
        assert message.endswith(hint)
        layer.forward(layer.init(rng), eval(message[message.index("x.transpose") :], {"x": x}))  # it does turn it
    else:
        assert "transpose" not in message


@pytest.mark.parametrize(("layer", "shape", "dy_shape", "message"), WRONG_COTANGENTS)
def test_backward_refuses_a_wrong_shape(layer, shape, dy_shape, message, rng):
    _, cache = layer.forward(layer.init(rng), rng.standard_normal(shape).astype(np.float32))
    with pytest.raises(ShapeError, match=re.escape(message)):
        layer.backward(rng.standard_normal(dy_shape).astype(np.float32), cache)


@pytest.mark.parametrize("layer", [Conv2d(2, 3, 2), Linear(4, 3), BatchNorm2d(2)])
@pytest.mark.parametrize("name", ["weight", "bias"])
def test_forward_refuses_a_parameter_of_a_wrong_shape(layer, name, rng):
    params = layer.init(rng)
    params[name] = np.concatenate([params[name], params[name]])
    shape = (5, 4) if isinstance(layer, Linear) else (4, 5, 3, 2)
    with pytest.raises(ShapeError, match=f"{name} has shape .* expected"):
        layer.forward(params, rng.standard_normal(shape).astype(np.float32))


@pytest.mark.parametrize("dtype", ["int64", "float16", "complex64", "bool"])
def test_layers_refuse_other_dtypes_and_name_those_they_take(dtype, rng):
    with pytest.raises(ShapeError, match=f"x is {dtype}, expected float32, float64 or complex128"):
        ReLU().forward({}, rng.standard_normal((2, 3)).astype(dtype))


def test_two_precisions_in_one_layer_are_refused(rng):
    layer = Linear(4, 2)
    with pytest.raises(
        ShapeError, match="Linear: x is float64, weight is float32, bias is float32, expected one precision"
    ):
        layer.forward(layer.init(rng), rng.standard_normal((3, 4)))


@pytest.mark.parametrize(("layer", "shape", "dy_shape", "message"), WRONG_COTANGENTS)
def test_backward_refuses_another_precision(layer, shape, dy_shape, message, rng):
    y, cache = layer.forward(layer.init(rng), rng.standard_normal(shape).astype(np.float32))
    with pytest.raises(ShapeError, match="dy is int64, expected float32"):
        layer.backward(np.zeros(y.shape, np.int64), cache)
    if type(layer) not in (MaxPool2d, Flatten):  # their caches hold no floats to compare with
        with pytest.raises(ShapeError, match=r"x is float32, .*dy is float64, expected one precision"):
            layer.backward(rng.standard_normal(y.shape), cache)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Conv2d(0, 1, 3),
        lambda: Conv2d(1, 1, 0),
        lambda: Conv2d(1, 1, (2, 0)),
        lambda: Conv2d(1, 1, 3, stride=0),
        lambda: Conv2d(1, 1, 3, padding=-1),
        lambda: MaxPool2d(0),
        lambda: MaxPool2d(2, stride=0),
        lambda: MaxPool2d(2, stride=-1),
    ],
)
def test_impossible_layers_are_refused_at_construction(make):
    with pytest.raises(ScratchnetError, match="at least 1"):
        make()


def test_the_head_wants_two_embeddings_of_its_size(rng):
    head = WeightedL1(4)
    with pytest.raises(ShapeError, match=re.escape("h2 has shape (3, 5), expected (..., D=4)")):
        head.forward(head.init(rng, np.float64), rng.standard_normal((3, 4)), rng.standard_normal((3, 5)))


@pytest.mark.parametrize(("loss", "shape"), [(PairCrossEntropy(), (0,)), (NWayCrossEntropy(), (0, 3))])
def test_a_loss_over_nothing_is_refused(loss, shape):
    with pytest.raises(ShapeError, match="expected at least one"):
        loss.forward(np.zeros(shape), np.zeros(shape))


@pytest.mark.parametrize("loss", [PairCrossEntropy(), NWayCrossEntropy()])
def test_a_target_of_another_shape_is_refused(loss, rng):
    pairs = isinstance(loss, PairCrossEntropy)
    shape, other = ((3,), (4,)) if pairs else ((2, 3), (3, 2))
    message = "has shape (N=4), expected (N=3)" if pairs else "has shape (3, 2), expected (2, 3)"
    with pytest.raises(ShapeError, match=re.escape(message)):
        loss.forward(rng.standard_normal(shape), rng.random(other))


@pytest.mark.parametrize("value", [[[1.0, 2.0]], 1.5])
def test_a_list_instead_of_an_array_is_refused(value):
    with pytest.raises(BackendError, match="expected a NumPy or CuPy array"):
        ReLU().forward({}, value)


def test_arrays_in_two_memories_are_refused(device, rng):
    layer, x = Linear(4, 2), rng.standard_normal((3, 4)).astype(np.float32)
    params = {name: device.upload(value) for name, value in layer.init(rng).items()}
    if device.name == "cpu":
        layer.forward(params, x)
    else:
        with pytest.raises(BackendError, match="different devices"):
            layer.forward(params, x)


def test_a_letter_has_one_size_within_an_array_as_well():
    expect("f", "x: N N", np.zeros((2, 2)))
    with pytest.raises(ShapeError, match=r"f: x has shape \(N=2, N=3\)"):
        expect("f", "x: N N", np.zeros((2, 3)))
