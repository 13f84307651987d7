"""Where arrays live, how they move, and which device is chosen."""

import numpy as np
import pytest
from strict_array import STRICT, strict

from scratchnet import backend
from scratchnet.backend import array_module, get_device, to_device, to_host
from scratchnet.errors import BackendError

pytestmark = pytest.mark.usefixtures("fresh_devices")


def test_the_arrays_say_which_module_computes_on_them():
    x = np.zeros(3)
    assert array_module(x, np.float32(1)) is np
    assert array_module(to_device(x, "strict")) is strict


def test_arrays_on_different_devices_are_an_error_that_says_where_each_is():
    x = np.zeros((2, 3))
    with pytest.raises(BackendError, match=r"\(2, 3\) on cpu, \(2, 3\) on strict.*to_device or to_host"):
        array_module(x, to_device(x, "strict"))


@pytest.mark.parametrize("value", [[1.0, 2.0], 3.0, None, "x"])
def test_anything_but_an_array_is_an_error_that_names_its_type(value):
    with pytest.raises(BackendError, match=f"got {type(value).__name__}"):
        array_module(value)


def test_moving_there_and_back_keeps_every_bit(rng):
    x = rng.standard_normal((3, 4)).astype(np.float32)
    there = to_device(x, "strict")
    assert isinstance(there, strict.ndarray)
    np.testing.assert_array_equal(to_host(there), x)


def test_an_array_that_is_already_on_the_device_is_not_copied():
    x = np.zeros(3)
    assert to_device(x, "cpu") is x
    assert to_host(x) is x


def test_the_environment_chooses_the_device_unless_the_caller_does(monkeypatch):
    assert get_device().name == "cpu"
    monkeypatch.setenv("SCRATCHNET_DEVICE", "strict")
    assert get_device() is STRICT
    assert get_device("cpu") is backend.CPU


def test_an_unknown_device_is_an_error_that_lists_the_known_ones():
    with pytest.raises(BackendError, match="unknown device 'tpu': choose one of cpu, cuda"):
        get_device("tpu")
