"""Malformed results of forward and backward are reported, and malformed points refused."""

import numpy as np
import pytest
from wrong_layers import Wrong, edit

from scratchnet.backend import to_host
from scratchnet.errors import ScratchnetError
from scratchnet.gradcheck import check
from scratchnet.layers import Linear, Sigmoid


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda dx, grads: (dx[:1], grads), "dx has shape (1, 5), expected an array of shape (3, 5)"),
        (lambda dx, grads: (None, grads), "no gradient for x: if that is right"),
        (lambda dx, grads: ("dx", grads), "dx is a str, expected an array of shape (3, 5)"),
        (lambda dx, grads: ((dx, dx), grads), "2 input gradients for 1 inputs"),
        (lambda dx, grads: (dx, grads | {"scale": dx}), "gradients for unknown parameters: scale"),
        (lambda dx, grads: (dx, {"weight": grads["weight"]}), "no gradient for bias: if that is right"),
        (lambda dx, grads: (dx.astype(np.float32), grads), "dx is float32, expected float64 like x"),
        (lambda dx, grads: (dx, None), "backward returned a tuple, expected (dinput, gradients by name)"),
        (lambda dx, grads: (edit(dx, (1, 2), np.nan), grads), "dx contains nan at (1, 2); 1 of its 15 entries"),
    ],
)
def test_a_backward_of_another_form_is_reported(mistake, message, rng):
    layer = Linear(5, 2)
    report = check(Wrong(layer, mistake), layer.init(rng, np.float64), rng.standard_normal((3, 5)))
    assert not report
    assert message in str(report)


def test_a_backward_that_returns_nothing_is_reported(rng):
    class Nothing:
        def forward(self, params, x):
            return 2 * x, None

        def backward(self, dy, cache):
            return None

    assert "backward returned None, expected (dinput, gradients by name)" in str(check(Nothing(), {}, rng.random(3)))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda x: x, "forward returned a ndarray, expected (y, cache)"),
        (lambda x: ("y", None), "forward returned a str for y, expected arrays of floats"),
        (lambda x: (x.astype(np.float32), None), "y is float32, expected float64"),
    ],
)
def test_a_forward_of_another_form_is_reported(answer, message):
    class Odd:
        def forward(self, params, x):
            return answer(x)

        def backward(self, dy, cache):
            return dy, {}

    report = check(Odd(), {}, np.ones((2, 3)))
    assert not report
    assert message in str(report)


def test_a_forward_that_gives_nan_is_reported():
    assert "y contains nan at (1,)" in str(check(Sigmoid(), {}, np.array([0.0, np.nan])))


@pytest.mark.parametrize("dtype", [np.float32, np.complex128])
def test_anything_but_float64_is_refused(dtype, rng):
    with pytest.raises(ScratchnetError, match=f"x is {np.dtype(dtype)}, expected float64"):
        check(Sigmoid(), {}, rng.standard_normal((2, 3)).astype(dtype))


def test_a_parameter_that_is_called_like_an_input_is_refused(rng):
    with pytest.raises(ScratchnetError, match="x is both a parameter and an input"):
        check(Wrong(Sigmoid(), lambda dx, grads: (dx, {"x": dx})), {"x": rng.random(2)}, rng.random((2, 3)))


def test_a_gradient_on_another_device_is_reported(device, rng):
    if device.name == "cpu":
        pytest.skip("there is one memory alone")
    layer = Linear(5, 2)
    params = {name: device.upload(value) for name, value in layer.init(rng, np.float64).items()}
    downloaded = Wrong(layer, lambda dx, grads: (to_host(dx), grads))
    report = check(downloaded, params, device.upload(rng.standard_normal((3, 5))))
    assert not report
    assert f"dx is on cpu, expected it on {device.name} like x" in str(report)
