"""The flag of a step: raised by a single number that is not finite, on every device, and never lowered."""

import numpy as np
import pytest
from strict_array import strict

from scratchnet.backend import to_host
from scratchnet.ops.finite import flag_not_finite, flag_unless, new_flag, unless, unless_all


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("shape", "where"), [((), ()), ((1,), (0,)), ((3, 700), (2, 699)), ((513, 2), (256, 1))])
def test_one_number_that_is_not_finite_raises_the_flag(shape, where, dtype, value, device, rng):
    good = np.asarray(rng.random(shape) * np.finfo(dtype).max, dtype)
    bad = good.copy()
    bad[where] = value
    here = [device.upload(array) for array in (good, bad)]
    flag = new_flag(here[0])
    seen = []  # and read only when nobody has waited
    strict.synchronisations = 0
    for arrays in (here[:1], here, here[:1]):  # raised by the second, and stays so
        flag_not_finite(arrays, flag)
        seen.append(flag.copy())
    assert strict.synchronisations == 0
    assert [bool(to_host(value)) for value in seen] == [False, True, True]


def test_any_layout_is_looked_at_to_the_end(device, rng):
    array = np.asfortranarray(rng.random((5, 300)).astype(np.float32))
    array[4, 299] = np.nan
    flag = new_flag(device.upload(array))
    flag_not_finite([device.upload(array)[::2, ::-1]], flag)
    assert to_host(flag) == 1


@pytest.mark.parametrize("bad", range(4))
def test_arrays_of_several_sizes_and_precisions_are_looked_at_together(bad, device, rng):
    arrays = [
        rng.random(size).astype(dtype)
        for size, dtype in (((3, 200), "float32"), ((1,), "float64"), ((5,), "float32"), ((2, 300), "float64"))
    ]
    arrays[bad].flat[-1] = np.inf
    flag = new_flag(device.upload(arrays[0]))
    flag_not_finite([device.upload(array) for array in arrays], flag)
    assert to_host(flag) == 1


def test_no_array_is_read_in_the_precision_of_another(device):
    looks_like_nan = np.array([0x3FF000007FC00000] * 4, np.uint64).view(np.float64)  # to who reads float32
    arrays = [device.upload(array) for array in (np.ones(3, np.float32), looks_like_nan)]
    flag = new_flag(arrays[0])
    flag_not_finite(arrays, flag)
    assert to_host(flag) == 0


def test_arrays_kept_together_have_their_shapes_and_bits(device, rng):
    old, new = ([rng.random(size).astype(np.float32) for size in ((3,), (1,), (2, 2))] for _ in range(2))
    for raised, expected in ((0, new), (1, old)):
        there = ([device.upload(array) for array in arrays] for arrays in (old, new))
        kept = unless_all(device.upload(np.array(raised, np.int32)), *there)
        assert [to_host(array).tobytes() for array in kept] == [array.tobytes() for array in expected]
        assert [array.shape for array in kept] == [(3,), (1,), (2, 2)]
    assert unless_all(device.upload(np.array(0, np.int32)), [], []) == []


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
