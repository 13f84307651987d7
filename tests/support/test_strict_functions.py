"""The functions of the stand-in for a GPU compute what NumPy computes and refuse what CuPy refuses."""

import numpy as np
import pytest
from strict_array import StrictArray, on_device, strict

from scratchnet.backend import to_device, to_host

pytestmark = pytest.mark.usefixtures("strict_device")


def test_none_leaves_out_a_bound_and_out():
    np.testing.assert_array_equal(to_host(strict.clip(on_device([-9, 9]), None, 1.5, out=None)), [-9, 1.5])


def test_take_wraps_around():
    x = on_device([[1, 2, 3], [4, 5, 6]])
    beyond = on_device([4, -1], "int64")
    np.testing.assert_array_equal(to_host(strict.take(x, beyond, axis=1)), [[2, 3], [5, 6]])
    np.testing.assert_array_equal(to_host(strict.take_along_axis(x, beyond[:, None], axis=1)), [[2], [6]])


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
        promote(on_device([1, 2]), on_device([1, 2], "float64"))


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
        promote(on_device([1, 2], "int64"))


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
    wide = on_device([1, 2], "float64")
    assert (wide * 2 + wide.mean() + strict.zeros_like(wide)).dtype == "float64"
    assert on_device([1, 2]).sum(dtype=strict.float64).dtype == "float64"
    assert on_device([1, 2]).astype(strict.float64).dtype == "float64"


def test_python_numbers_keep_float32():
    x = on_device([1, 2])
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
    with pytest.raises(AttributeError, match=r"tests/support/cupy_functions\.py does not list it"):
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
        call(on_device([1, 2]))


@pytest.mark.parametrize("name", ["logical_and", "logical_or", "logical_not", "clip"])
def test_complex_numbers_are_refused_where_cupy_has_no_loop(name):
    z = on_device([1j, 2], "complex128")
    arguments = {"logical_not": (z,), "clip": (z, 0, 1)}.get(name, (z, z))
    with pytest.raises(TypeError, match="complex"):
        getattr(strict, name)(*arguments)


def test_results_are_written_where_out_says():
    x, out = on_device([[1, 2], [3, 4]]), strict.empty((2, 2), "float32")
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
    np.testing.assert_array_equal(to_host(strict.log(on_device([0, -1])) / 0), [-np.inf, np.nan])
    assert not recwarn.list


def test_overlapping_windows_cannot_be_written_to():
    windows = strict.lib.stride_tricks.sliding_window_view(on_device([1, 2, 3]), 2)
    np.testing.assert_array_equal(to_host(windows), [[1, 2], [2, 3]])
    with pytest.raises(ValueError, match="read-only"):
        windows[0] = 0
