"""The gradient check on a device: forward and backward run there alone, and mistakes made only there are found."""

from dataclasses import replace

import numpy as np
import pytest
from single_layers import LAYERS

from scratchnet import backend
from scratchnet.backend import device_of, to_device, to_host
from scratchnet.errors import ScratchnetError
from scratchnet.gradcheck import check
from scratchnet.layers import Sigmoid
from scratchnet.planted.cases import CASES


@pytest.fixture
def downloads(device, monkeypatch):
    """The shape of every array that is copied to the host."""
    fetched = []

    def download(array):
        fetched.append(array.shape)
        return device.download(array)

    monkeypatch.setitem(backend.device._devices, device.name, replace(device, download=download))
    return fetched


class OnDevice:
    """A layer that must take and return arrays on the device, and copy none to the host in between."""

    def __init__(self, layer, name, downloads):
        self.layer, self.name, self.downloads = layer, name, downloads

    def __getattr__(self, name):
        return getattr(self.layer, name)  # such as branches

    def forward(self, params, *inputs, **options):
        before = len(self.downloads)
        y, cache = self.layer.forward(params, *inputs, **options)
        self._expect_on_device([*params.values(), *inputs, y], before)
        return y, cache

    def backward(self, dy, cache):
        before = len(self.downloads)
        dinputs, grads = self.layer.backward(dy, cache)
        self._expect_on_device([dy, *(dinputs if isinstance(dinputs, tuple) else (dinputs,)), *grads.values()], before)
        return dinputs, grads

    def _expect_on_device(self, arrays, downloads_before):
        assert {device_of(array).name for array in arrays} == {self.name}
        assert self.downloads[downloads_before:] == [], "computed on the host"


def checked(layer, case, device, method, seed=3):
    """The report of a case with another layer, on float64 arrays on the device."""

    def draw(rng):
        params, inputs = case.draw(rng)
        return {name: to_device(value, device.name) for name, value in params.items()}, [
            to_device(x, device.name) for x in inputs
        ]

    params, inputs = draw(np.random.default_rng(seed))
    statistics = [name for name in params if ".running_" in f".{name}"]
    options = {"without_gradient": statistics, "redraw": draw, "directions": 1, **case.options}
    return check(layer, params, *inputs, seed=seed, method=method, **options)


@pytest.mark.parametrize("name", CASES)
def test_backward_on_the_device_is_the_derivative_of_forward(name, device, downloads):
    report = checked(OnDevice(CASES[name].layer, device.name, downloads), CASES[name], device, "auto")
    assert report, report


@pytest.mark.parametrize("name", LAYERS)
def test_differences_of_the_kernels_own_forward_say_the_same(name, device, downloads):
    """The complex step uses array operations: the kernels take no complex numbers. Whole networks would take minutes
    on emulated kernels, and consist of these layers."""
    report = checked(OnDevice(CASES[name].layer, device.name, downloads), CASES[name], device, "central4")
    assert report, report
    assert {tensor.method for tensor in report.tensors} == {"central4"}


class WrongOnDevice(Sigmoid):
    """Right on the host, and a thousandth too large elsewhere."""

    def backward(self, dy, cache):
        dx, grads = super().backward(dy, cache)
        return dx * (1.001 if device_of(dx).name != "cpu" else 1.0), grads


class OnHost(Sigmoid):
    """Right, but not where it should be."""

    def forward(self, params, x, training=False):
        y, cache = super().forward(params, to_host(x))
        return to_device(y, device_of(x)), cache


@pytest.mark.parametrize("method", ["auto", "central4"])
def test_what_is_wrong_on_the_device_alone_is_found_there(method, device):
    case = CASES["Sigmoid() on (5, 7, 3, 2)"]
    assert checked(Sigmoid(), case, device, method)
    report = checked(WrongOnDevice(), case, device, method)
    assert [tensor.passed for tensor in report.tensors] == [False]


def test_a_layer_that_computes_on_the_host_is_found_out(device, downloads):
    case = CASES["Sigmoid() on (5, 7, 3, 2)"]
    with pytest.raises(ScratchnetError, match="computed on the host"):  # what forward raised, told by the checker
        checked(OnDevice(OnHost(), device.name, downloads), case, device, "auto")
