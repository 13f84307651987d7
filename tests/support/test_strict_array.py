"""The stand-in for a GPU refuses what it should, and computes what NumPy computes."""

import copy
import math
import pickle

import numpy as np
import pytest
from strict_array import STRICT, StrictArray, strict

from scratchnet import backend
from scratchnet.backend import array_module, register_device, to_device, to_host
from scratchnet.errors import BackendError


@pytest.fixture(autouse=True)
def strict_device(monkeypatch):
    monkeypatch.setattr(backend.device, "_devices", dict(backend.device._devices))
    register_device(STRICT)
    strict.synchronisations = 0


def device(values, dtype="float32"):
    return to_device(np.array(values, dtype), "strict")


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
    x = device([1, 2])
    (x @ x + x).sum()
    assert strict.synchronisations == 0
    to_host(x)
    to_host(x)
    assert strict.synchronisations == 2


def test_every_upload_is_counted_with_its_bytes():
    strict.uploads.clear()
    x = device([1, 2])
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
        read(device(1, "int64"))


def test_printing_shows_no_values():
    assert str(device([1, 2])) == "StrictArray(shape=(2,), dtype=float32)"


@pytest.mark.parametrize(
    "call",
    [np.sum, np.exp, np.zeros_like, lambda x: np.add(x, x), lambda x: np.stack([x, x]), lambda x: np.add(1, 1, out=x)],
)
def test_numpy_functions_are_refused(call):
    with pytest.raises(TypeError, match="call it on xp"):
        call(device([1, 2]))


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
        mix(device([1, 2]), host)


def test_only_to_device_uploads():
    for host in (np.ones(2, "float32"), [1.0, 2.0], 1.0):
        with pytest.raises(TypeError):
            strict.asarray(host)
    x = device([1, 2])
    assert strict.asarray(x) is x


def test_arrays_of_two_devices_are_an_error():
    with pytest.raises(BackendError, match="different devices"):
        array_module(device([1, 2]), np.ones(2))


@pytest.mark.parametrize("dtype", [">f4", "longdouble", "object", "U3", "datetime64[s]"])
def test_dtypes_that_cupy_lacks_are_refused(dtype):
    with pytest.raises(TypeError, match="CuPy has no arrays of dtype"):
        to_device(np.zeros(2, dtype), "strict")


@pytest.mark.parametrize("index", [np.array([0, 1]), [0, 1], np.array([True, False]), True, np.bool_(True), 1.0])
def test_host_arrays_and_masks_are_no_indices(index):
    x = device([1, 2])
    with pytest.raises(TypeError, match="as an index"):
        x[index]
    with pytest.raises(TypeError, match="as an index"):
        x[index] = 0


def test_masks_are_refused():
    x = device([1, 2])
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
    x = device([1, 2])
    with pytest.raises(IndexError):
        x[2]
    with pytest.raises(IndexError):
        x[0, 0]
    with pytest.raises(IndexError):
        x[0, device([0], "int64")]


@pytest.mark.parametrize(
    "place", [lambda i: i, lambda i: (slice(None), i), lambda i: (..., i, 0), lambda i: (None, 0, i)]
)
def test_index_arrays_wrap_around(place):
    host = np.arange(24, dtype="float32").reshape(2, 3, 4)
    x = to_device(host, "strict")
    size = 2 if place(0) == 0 else 3
    beyond = np.array([[1, size, size + 1, -size - 1]])
    np.testing.assert_array_equal(to_host(x[place(to_device(beyond, "strict"))]), host[place(beyond % size)])


def test_none_leaves_out_a_bound_and_out():
    np.testing.assert_array_equal(to_host(strict.clip(device([-9, 9]), None, 1.5, out=None)), [-9, 1.5])


def test_small_integers_index_long_axes():
    x = strict.arange(300)
    assert to_host(x[device([255], "uint8")]) == 255


def test_take_wraps_around():
    x = device([[1, 2, 3], [4, 5, 6]])
    beyond = device([4, -1], "int64")
    np.testing.assert_array_equal(to_host(strict.take(x, beyond, axis=1)), [[2, 3], [5, 6]])
    np.testing.assert_array_equal(to_host(strict.take_along_axis(x, beyond[:, None], axis=1)), [[2], [6]])


def test_assignment_through_distinct_indices_works():
    x = device([1, 2, 3])
    x[device([2, 0], "int64")] = device([7, 8])
    np.testing.assert_array_equal(to_host(x), [8, 2, 7])


@pytest.mark.parametrize("indices", [[1, 1], [0, 3], [2, -1]])
def test_assignment_through_duplicate_indices_is_refused(indices):
    x, i = device([1, 2, 3]), device(indices, "int64")
    with pytest.raises(TypeError, match="duplicates"):
        x[i] = device([7, 8])
    with pytest.raises(TypeError, match="duplicates"):
        x[i] += 1
    x[i] = 5  # one value for all: no race
    np.testing.assert_array_equal(to_host(x[i]), 5)


@pytest.mark.parametrize(
    "promote",
    [
        lambda x, wide: x + wide,
        lambda x, wide: x > wide,
        lambda x, wide: x @ wide,
        lambda x, wide: x.__iadd__(wide),
        lambda x, wide: wide.__iadd__(x),
        lambda x, wide: strict.where(x > 0, x, wide),
        lambda x, wide: strict.stack([x, wide]),
        lambda x, wide: strict.add(x, x, out=wide),
        lambda x, wide: wide.astype("complex128") * x,
    ],
)
def test_float32_and_float64_do_not_mix(promote):
    with pytest.raises(TypeError, match="mixes"):
        promote(device([1, 2]), device([1, 2], "float64"))


@pytest.mark.parametrize(
    "promote",
    [
        lambda i: i / 2,
        lambda i: i * 0.5,
        lambda i: i.mean(),
        lambda i: (i > 1) * 1.0,
        lambda i: strict.where(i > 1, 1.0, 0.0),
        lambda i: strict.sqrt(i),
    ],
)
def test_integers_do_not_become_float64_unasked(promote):
    with pytest.raises(TypeError, match="say dtype="):
        promote(device([1, 2], "int64"))


@pytest.mark.parametrize(
    "create",
    [
        lambda **options: strict.zeros(3, **options),
        lambda **options: strict.ones((2, 3), **options),
        lambda **options: strict.empty(3, **options),
        lambda **options: strict.full(3, 0.5, **options),
        lambda **options: strict.arange(0, 1, 0.25, **options),
    ],
)
def test_a_new_array_is_float64_only_by_name(create):
    with pytest.raises(TypeError, match="say dtype="):
        create()
    assert create(dtype=strict.float32).dtype == "float32"
    assert create(dtype=strict.float64).dtype == "float64"


def test_float64_stays_float64_and_may_be_asked_for():
    wide = device([1, 2], "float64")
    assert (wide * 2 + wide.mean() + strict.zeros_like(wide)).dtype == "float64"
    assert device([1, 2]).sum(dtype=strict.float64).dtype == "float64"
    assert device([1, 2]).astype(strict.float64).dtype == "float64"


def test_python_numbers_keep_float32():
    x = device([1, 2])
    assert (2.5 * x**2 - 1 / x).dtype == "float32"
    assert strict.clip(strict.maximum(x, 0.0), 0.0, 1.5).dtype == "float32"
    assert strict.where(x > 0, x, 0.0).dtype == "float32"
    assert strict.result_type(x, strict.float64) == "float64"


@pytest.mark.parametrize("reduce", ["sum", "mean", "max", "min", "argmax", "all", "any"])
def test_reductions_give_arrays_without_axes(reduce):
    host = np.array([[1, 5, 2], [4, 0, 3]], "float32")
    x = to_device(host, "strict")
    for result in (getattr(x, reduce)(), getattr(strict, reduce)(x)):
        assert type(result) is StrictArray
        assert result.shape == ()
        assert to_host(result) == getattr(np, reduce)(host)
    np.testing.assert_array_equal(to_host(getattr(x, reduce)(axis=0)), getattr(np, reduce)(host, axis=0))


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_empty_memory_is_full_of_nan(dtype):
    for empty in (strict.empty((2, 3), dtype), strict.empty_like(strict.zeros((2, 3), dtype))):
        host = to_host(empty)
        assert np.isnan(host.real).all()
        assert np.isnan(host.imag).all() or host.dtype.kind == "f"


def test_empty_integers_are_garbage():
    assert (to_host(strict.empty(3, "int32")) == 2**31 - 1).all()
    assert to_host(strict.empty(3, "bool")).all()


@pytest.mark.parametrize(
    "name", ["errstate", "nditer", "memmap", "vecdot", "unstack", "seterr", "array", "nonzero", "asnumpy", "random"]
)
def test_names_that_are_not_listed_do_not_exist(name):
    assert not hasattr(strict, name)
    with pytest.raises(AttributeError, match=r"tests/support/strict_array\.py does not list it"):
        getattr(strict, name)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.sum(initial=0),
        lambda x: strict.max(x, where=x > 0),
        lambda x: strict.exp(x, where=x > 0),
        lambda x: strict.take(x, 0, mode="clip"),
        lambda x: strict.argmax(x, dtype="int32"),
        lambda x: strict.where(x > 0),
        lambda x: strict.asarray(x, device="cpu"),
        lambda x: strict.sum([x, x]),
        lambda x: strict.where(True, x, x),
        lambda x: strict.repeat(x, x.astype("int64")),
        lambda x: strict.sum(x, axis=x.astype("int64")),
    ],
)
def test_arguments_that_cupy_does_not_take_are_refused(call):
    with pytest.raises(TypeError):
        call(device([1, 2]))


@pytest.mark.parametrize("name", ["logical_and", "logical_or", "logical_not", "clip"])
def test_complex_numbers_are_refused_where_cupy_has_no_loop(name):
    z = device([1j, 2], "complex128")
    arguments = {"logical_not": (z,), "clip": (z, 0, 1)}.get(name, (z, z))
    with pytest.raises(TypeError, match="complex"):
        getattr(strict, name)(*arguments)


def test_results_are_written_where_out_says():
    x, out = device([[1, 2], [3, 4]]), strict.empty((2, 2), "float32")
    for name in ("matmul", "dot", "add", "maximum"):
        assert getattr(strict, name)(x, x, out=out) is out
        np.testing.assert_array_equal(to_host(out), getattr(np, name)(to_host(x), to_host(x)))
    with pytest.raises(TypeError, match="host"):
        strict.matmul(x, x, out=np.empty((2, 2), "float32"))
    with pytest.raises(TypeError, match="C-contiguous"):
        strict.dot(x, x, out=out.T)


@pytest.mark.parametrize("operator", ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow"])
@pytest.mark.parametrize("other", [3.0, "array"])
def test_operators_compute_what_numpy_computes(operator, other):
    host = np.array([1, 2, 5], "float32")
    x = to_device(host, "strict")
    second, host_second = (x + 1, host + 1) if other == "array" else (other, other)
    for method in (f"__{operator}__", f"__r{operator}__", f"__i{operator}__"):
        result = getattr(x, method)(second)
        host_result = getattr(host, method)(host_second)
        np.testing.assert_array_equal(to_host(result), host_result)
    assert result is x  # the last one was in place


@pytest.mark.parametrize("operator", ["and", "or", "xor", "lshift", "rshift"])
def test_operators_on_bits_compute_what_numpy_computes(operator):
    host = np.array([1, 2, 5])
    x = to_device(host, "strict")
    np.testing.assert_array_equal(to_host(getattr(x, f"__{operator}__")(2)), getattr(host, f"__{operator}__")(2))


def test_comparisons_and_signs_compute_what_numpy_computes():
    host = np.array([[-1, 2], [3, 2]], "float32")
    x = to_device(host, "strict")
    for method in ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"):
        np.testing.assert_array_equal(to_host(getattr(x, method)(2)), getattr(host, method)(2))
    np.testing.assert_array_equal(to_host(-x), -host)
    np.testing.assert_array_equal(to_host(abs(x)), abs(host))
    np.testing.assert_array_equal(to_host(~(x > 0)), ~(host > 0))
    np.testing.assert_array_equal(to_host(x @ x), host @ host)


def test_functions_that_divide_by_zero_do_not_warn(recwarn):
    np.testing.assert_array_equal(to_host(strict.log(device([0, -1])) / 0), [-np.inf, np.nan])
    assert not recwarn.list


def test_reshaping_gives_views_and_copy_does_not():
    x = device([[1, 2], [3, 4]])
    window = strict.lib.stride_tricks.as_strided(x, (2,), (4,))
    for view in (x.T, x.reshape(4), x.reshape((4,)), x.transpose(1, 0), x.real, x.view("int32"), x.ravel(), window):
        assert np.shares_memory(view._array, x._array)
    for fresh in (x.copy(), copy.copy(x), copy.deepcopy(x), x.astype("float32"), to_device(to_host(x), "strict")):
        assert not np.shares_memory(fresh._array, x._array)
    assert x.astype("float32", copy=False) is x


def test_overlapping_windows_cannot_be_written_to():
    windows = strict.lib.stride_tricks.sliding_window_view(device([1, 2, 3]), 2)
    np.testing.assert_array_equal(to_host(windows), [[1, 2], [2, 3]])
    with pytest.raises(ValueError, match="read-only"):
        windows[0] = 0


def test_real_and_imaginary_part_are_views():
    z = device([1 + 2j, 3], "complex64")
    z.imag.fill(5)
    np.testing.assert_array_equal(to_host(z), [1 + 5j, 3 + 5j])
    assert z.real.dtype == "float32"


def test_arrays_have_no_hash():
    with pytest.raises(TypeError, match="unhashable"):
        hash(device([1]))


def test_only_numpy_arrays_can_be_wrapped():
    with pytest.raises(TypeError, match="to_device"):
        strict.ndarray((2, 3))
