"""The stand-in for a GPU: how its arrays move, what Python cannot do with them, and how they are indexed."""

import copy
import math
import pickle

import numpy as np
import pytest
from strict_array import STRICT, on_device, strict

from scratchnet.backend import array_module, to_device, to_host
from scratchnet.errors import BackendError

pytestmark = pytest.mark.usefixtures("strict_device")


def test_an_array_goes_to_the_device_and_comes_back_unchanged():
    host = np.asfortranarray(np.arange(6, dtype="float32").reshape(2, 3))
    x = to_device(host, "strict")
    assert array_module(x) is strict
    assert (x.shape, x.dtype, x.ndim, x.size, x.nbytes, x.itemsize, x.strides) == (
        (2, 3),
        host.dtype,
        2,
        6,
        24,
        4,
        (4, 8),
    )
    assert not x.flags.c_contiguous
    assert len(x) == 2
    np.testing.assert_array_equal(to_host(x), host)


def test_host_and_device_share_no_memory():
    host = np.zeros(3, "float32")
    x = to_device(host, "strict")
    x += 1
    to_host(x)[:] = 7
    np.testing.assert_array_equal(host, 0)
    np.testing.assert_array_equal(to_host(x), 1)


def test_to_host_is_the_one_synchronisation_and_is_counted():
    x = on_device([1, 2])
    (x @ x + x).sum()
    assert strict.synchronisations == 0
    to_host(x)
    to_host(x)
    assert strict.synchronisations == 2


def test_every_upload_is_counted_with_its_bytes():
    strict.uploads.clear()
    x = on_device([1, 2])
    to_device(x, "strict")
    STRICT.upload(np.zeros((3, 4), np.uint8))
    assert strict.uploads == [8, 12]


@pytest.mark.parametrize(
    "read",
    [bool, float, int, complex, list, range, iter, math.sqrt, np.asarray, np.array, pickle.dumps]
    + [lambda x, name=name: getattr(x, name)() for name in ("item", "tolist", "get", "tobytes", "nonzero")]
    + [lambda x: 2 in x, lambda x: [0, 1][x], lambda x: x[None][:x], lambda x: strict.zeros(x, "float32"), max, sum],
)
def test_python_cannot_read_a_value(read):
    with pytest.raises(TypeError, match=r"to_host|synchronise"):
        read(on_device(1, "int64"))


def test_printing_shows_no_values():
    assert str(on_device([1, 2])) == "StrictArray(shape=(2,), dtype=float32)"


@pytest.mark.parametrize(
    "call",
    [np.sum, np.exp, np.zeros_like, lambda x: np.add(x, x), lambda x: np.stack([x, x]), lambda x: np.add(1, 1, out=x)],
)
def test_numpy_functions_are_refused(call):
    with pytest.raises(TypeError, match="call it on xp"):
        call(on_device([1, 2]))


@pytest.mark.parametrize("host", [np.ones(2, "float32"), np.float32(1), np.float64(1), [1, 2], None])
@pytest.mark.parametrize(
    "mix",
    [
        lambda x, host: x + host,
        lambda x, host: host * x,
        lambda x, host: x == host,
        lambda x, host: x @ host,
        lambda x, host: strict.maximum(x, host),
        lambda x, host: strict.where(x > 0, x, host),
        lambda x, host: strict.concatenate([x, host]),
        lambda x, host: x.__setitem__(0, host),
        lambda x, host: x.__iadd__(host),
    ],
)
def test_host_values_do_not_mix_with_device_arrays(mix, host):
    with pytest.raises(TypeError, match=r"to_device|expected an array on the device|call it on xp"):
        mix(on_device([1, 2]), host)


def test_only_to_device_uploads():
    for host in (np.ones(2, "float32"), [1.0, 2.0], 1.0):
        with pytest.raises(TypeError):
            strict.asarray(host)
    x = on_device([1, 2])
    assert strict.asarray(x) is x


def test_arrays_of_two_devices_are_an_error():
    with pytest.raises(BackendError, match="different devices"):
        array_module(on_device([1, 2]), np.ones(2))


@pytest.mark.parametrize("dtype", [">f4", "longdouble", "object", "U3", "datetime64[s]"])
def test_dtypes_that_cupy_lacks_are_refused(dtype):
    with pytest.raises(TypeError, match="CuPy has no arrays of dtype"):
        to_device(np.zeros(2, dtype), "strict")


@pytest.mark.parametrize("index", [np.array([0, 1]), [0, 1], np.array([True, False]), True, np.bool_(True), 1.0])
def test_host_arrays_and_masks_are_no_indices(index):
    x = on_device([1, 2])
    with pytest.raises(TypeError, match="as an index"):
        x[index]
    with pytest.raises(TypeError, match="as an index"):
        x[index] = 0


def test_masks_are_refused():
    x = on_device([1, 2])
    with pytest.raises(TypeError, match=r"xp\.where"):
        x[x > 1]
    with pytest.raises(TypeError, match=r"xp\.where"):
        x[x > 1] = 0


@pytest.mark.parametrize(
    "key",
    [
        0,
        -1,
        (1, 2),
        (0, ..., 1),
        slice(None, None, -1),
        (slice(1), None),
        ...,
        None,
        (),
        (1, 2, 3),
        np.int64(1),
        (..., 3),
    ],
    ids=repr,
)
def test_basic_indices_give_the_view_that_numpy_gives(key):
    host = np.arange(24, dtype="float32").reshape(2, 3, 4)
    x = to_device(host, "strict")
    part = x[key]
    np.testing.assert_array_equal(to_host(part), host[key])
    part += 100
    host[key] += 100
    np.testing.assert_array_equal(to_host(x), host)


def test_an_index_out_of_range_is_an_error_where_python_knows_it():
    x = on_device([1, 2])
    with pytest.raises(IndexError):
        x[2]
    with pytest.raises(IndexError):
        x[0, 0]
    with pytest.raises(IndexError):
        x[0, on_device([0], "int64")]


@pytest.mark.parametrize(
    "place", [lambda i: i, lambda i: (slice(None), i), lambda i: (..., i, 0), lambda i: (None, 0, i)]
)
def test_index_arrays_wrap_around(place):
    host = np.arange(24, dtype="float32").reshape(2, 3, 4)
    x = to_device(host, "strict")
    size = 2 if place(0) == 0 else 3
    beyond = np.array([[1, size, size + 1, -size - 1]])
    np.testing.assert_array_equal(to_host(x[place(to_device(beyond, "strict"))]), host[place(beyond % size)])


def test_small_integers_index_long_axes():
    x = strict.arange(300)
    assert to_host(x[on_device([255], "uint8")]) == 255


def test_assignment_through_distinct_indices_works():
    x = on_device([1, 2, 3])
    x[on_device([2, 0], "int64")] = on_device([7, 8])
    np.testing.assert_array_equal(to_host(x), [8, 2, 7])


@pytest.mark.parametrize("indices", [[1, 1], [0, 3], [2, -1]])
def test_assignment_through_duplicate_indices_is_refused(indices):
    x, i = on_device([1, 2, 3]), on_device(indices, "int64")
    with pytest.raises(TypeError, match="duplicates"):
        x[i] = on_device([7, 8])
    with pytest.raises(TypeError, match="duplicates"):
        x[i] += 1
    x[i] = 5  # one value for all: no race
    np.testing.assert_array_equal(to_host(x[i]), 5)


def test_reshaping_gives_views_and_copy_does_not():
    x = on_device([[1, 2], [3, 4]])
    window = strict.lib.stride_tricks.as_strided(x, (2,), (4,))
    for view in (x.T, x.reshape(4), x.reshape((4,)), x.transpose(1, 0), x.real, x.view("int32"), x.ravel(), window):
        assert np.shares_memory(view._array, x._array)
    for fresh in (x.copy(), copy.copy(x), copy.deepcopy(x), x.astype("float32"), to_device(to_host(x), "strict")):
        assert not np.shares_memory(fresh._array, x._array)
    assert x.astype("float32", copy=False) is x


def test_real_and_imaginary_part_are_views():
    z = on_device([1 + 2j, 3], "complex64")
    z.imag.fill(5)
    np.testing.assert_array_equal(to_host(z), [1 + 5j, 3 + 5j])
    assert z.real.dtype == "float32"


def test_arrays_have_no_hash():
    with pytest.raises(TypeError, match="unhashable"):
        hash(on_device([1]))


def test_only_numpy_arrays_can_be_wrapped():
    with pytest.raises(TypeError, match="to_device"):
        strict.ndarray((2, 3))
