"""The flag of a step: raised by a single number that is not finite, on every device, and never lowered."""

import numpy as np
import pytest
from standin import strict

from scratchnet.backend import to_host
from scratchnet.ops.finite import flag_not_finite, flag_unless, new_flag, unless


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("shape", "where"), [((), ()), ((1,), (0,)), ((3, 700), (2, 699)), ((513, 2), (256, 1))])
def test_one_number_that_is_not_finite_raises_the_flag(shape, where, dtype, value, device, rng):
    good = np.asarray(rng.random(shape) * np.finfo(dtype).max, dtype)
    bad = good.copy()
    bad[where] = value
    here = [device.upload(array) for array in (good, bad)]
    flag = new_flag(here[0])
    strict.synchronisations = 0
    for arrays, raised in ([here[:1], False], [here, True], [here[:1], True]):  # and stays so
        flag_not_finite(arrays, flag)
        assert bool(flag if device.name == "cpu" else flag._array) == raised
    assert strict.synchronisations == 0


def test_any_layout_is_looked_at_to_the_end(device, rng):
    array = np.asfortranarray(rng.random((5, 300)).astype(np.float32))
    array[4, 299] = np.nan
    flag = new_flag(device.upload(array))
    flag_not_finite([device.upload(array)[::2, ::-1]], flag)
    assert to_host(flag) == 1


def test_a_flag_without_verdicts_stays_as_it_is(device):
    flag = new_flag(device.upload(np.ones(3)))
    flag_unless([], flag)
    flag_not_finite([], flag)
    assert to_host(flag) == 0
    assert to_host(flag).shape == ()


@pytest.mark.parametrize("raised", [0, 1])
def test_what_is_new_counts_unless_the_flag_is_raised(raised, device):
    old, new = device.upload(np.array([-0.0, 1], np.float32)), device.upload(np.array([np.nan, 2], np.float32))
    found = to_host(unless(device.upload(np.array(raised, np.int32)), old, new))
    assert found.tobytes() == to_host(old if raised else new).tobytes()
