"""A stand-in for a GPU: arrays computed by NumPy that refuse whatever CuPy would refuse, or do worse than refuse.

Code that runs on `strict` keeps its arrays on one device, waits for it only in `to_host`, uses what CuPy has
under CuPy's names, and stays in the precision it was given. What it cannot show: kernels, streams, speed.
Transfers in both directions are counted.

    register_device(STRICT)
    x = to_device(images, "strict")
    y = to_host(layer.forward(params, x)[0])     # counted in strict.synchronisations, and x in strict.uploads

To use a function that is missing, add it to FUNCTIONS in cupy_functions.py after reading how CuPy's differs from
NumPy's.
"""

from collections.abc import Callable, Iterator
from inspect import Parameter, Signature
from operator import attrgetter
from types import SimpleNamespace
from typing import Any

import numpy as np
from cupy_functions import (
    ARRAY_PARAMETERS,
    COMPARISONS,
    CONSTANTS,
    CUPY_DTYPES,
    DISPATCHING,
    LIST_PARAMETERS,
    METHODS,
    NULLABLE_PARAMETERS,
    NUMBER_PARAMETERS,
    OPERATORS,
    SIGNATURES,
    SYNCHRONISING,
    WITHOUT_COMPLEX_LOOP,
)

from scratchnet.backend import Device


class StrictArray:
    """An array in the memory of the stand-in. Made by `to_device` or the functions of `strict`."""

    __slots__ = ("_array",)
    __hash__ = None  # type: ignore[assignment]  # as for every array: == compares the elements

    def __init__(self, array: np.ndarray) -> None:
        if not isinstance(array, np.ndarray):
            raise TypeError("a StrictArray comes from to_device or from a function of strict, such as zeros")
        if array.dtype.char not in CUPY_DTYPES or not array.dtype.isnative:
            raise TypeError(f"CuPy has no arrays of dtype {array.dtype.str}: convert on the host first")
        self._array = array

    shape = property(lambda self: self._array.shape)
    dtype = property(lambda self: self._array.dtype)
    ndim = property(lambda self: self._array.ndim)
    size = property(lambda self: self._array.size)
    nbytes = property(lambda self: self._array.nbytes)
    itemsize = property(lambda self: self._array.itemsize)
    strides = property(lambda self: self._array.strides)
    flags = property(lambda self: SimpleNamespace(c_contiguous=self._array.flags.c_contiguous))
    data = property(lambda self: SimpleNamespace(ptr=self._array.ctypes.data))  # for what reads memory by address
    T = property(lambda self: StrictArray(self._array.T))
    real = property(lambda self: StrictArray(self._array.real))
    imag = property(lambda self: StrictArray(self._array.imag))

    def __repr__(self) -> str:
        return f"StrictArray(shape={self.shape}, dtype={self.dtype})"  # the values would cost a synchronisation

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, key: Any) -> "StrictArray":
        return StrictArray(self._array[self._host_key(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        key = self._host_key(key)
        value = _to_host("x[...] = value", "value", value)
        if np.size(value) > 1 and any(isinstance(item, np.ndarray) for item in key):
            targets = np.arange(self.size).reshape(self.shape)[key]
            if np.unique(targets).size < targets.size:
                raise TypeError("assignment through an index that holds duplicates: on a GPU any of the values may win")
        self._array[key] = value

    def __abs__(self) -> "StrictArray":
        return strict.abs(self)

    def __neg__(self) -> "StrictArray":
        return strict.negative(self)

    def __invert__(self) -> "StrictArray":
        return strict.invert(self)

    def __matmul__(self, other: Any) -> "StrictArray":
        return strict.matmul(self, other)

    def __copy__(self) -> "StrictArray":
        return self.copy()

    def __deepcopy__(self, memo: dict) -> "StrictArray":
        return self.copy()

    def astype(self, dtype: Any, order: Any = "K", *, copy: bool = True) -> "StrictArray":
        array = self._array.astype(dtype, order=order, copy=copy)
        return self if array is self._array else StrictArray(array)

    def copy(self, order: Any = "C") -> "StrictArray":
        return StrictArray(self._array.copy(order))

    def fill(self, value: Any) -> None:
        self[...] = value

    def reshape(self, *shape: Any, order: Any = "C") -> "StrictArray":
        return StrictArray(self._array.reshape(*shape, order=order))

    def transpose(self, *axes: Any) -> "StrictArray":
        return StrictArray(self._array.transpose(*axes))

    def view(self, dtype: Any = None) -> "StrictArray":
        return StrictArray(self._array.view(self.dtype if dtype is None else dtype))

    def _host_key(self, key: Any) -> tuple:
        """`key` for the NumPy array inside. Integer arrays wrap around as CuPy's do: they raise no IndexError."""
        items = key if isinstance(key, tuple) else (key,)
        if not any(item is Ellipsis for item in items):
            items = (*items, Ellipsis)  # so that NumPy answers with a 0-d view where it would give a scalar
        indexed = sum(item is not None and item is not Ellipsis for item in items)
        host_items, axis = [], 0
        for item in items:
            if isinstance(item, StrictArray):
                if item.dtype.kind not in "iu":
                    raise TypeError(f"an index array of dtype {item.dtype}: masks synchronise, use xp.where")
                host_items.append(_wrapped_around(item._array, self.shape[axis]))
            elif isinstance(item, np.ndarray | np.bool_ | bool | list | float):
                raise TypeError(f"a {type(item).__name__} as an index: move index arrays with to_device")
            else:
                host_items.append(item)
            axis += self.ndim - indexed if item is Ellipsis else item is not None
        return tuple(host_items)


class StrictModule:
    """The array module of the stand-in, used like `cupy`."""

    def __init__(self) -> None:
        self.synchronisations = 0  # how often `to_host` was called; set it to 0 to count anew
        self.uploads: list[int] = []  # the bytes of each array that was moved here; clear it to count anew
        self.ndarray = StrictArray
        self.lib, self.linalg = SimpleNamespace(stride_tricks=SimpleNamespace()), SimpleNamespace()
        for name in CONSTANTS.split():
            setattr(self, name, getattr(np, name))

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"the stand-in has no {name!r}: CuPy lacks it, or tests/support/cupy_functions.py does not list it yet"
        )


def _computed(name: str, parameters: str, function: Callable) -> Callable:
    """CuPy's function `name` on StrictArrays, computed by NumPy's `function` and checked on the way in and out."""
    required, _, options = (part.split() for part in parameters.partition("|"))
    variadic = required[0].startswith("*")
    required = [parameter.strip("*") for parameter in required]
    required_kind = Parameter.VAR_POSITIONAL if variadic else Parameter.POSITIONAL_OR_KEYWORD
    option_kind = Parameter.KEYWORD_ONLY if variadic else Parameter.POSITIONAL_OR_KEYWORD
    signature = Signature(
        [Parameter(parameter, required_kind) for parameter in required]
        + [Parameter(parameter, option_kind, default=None) for parameter in options]
    )

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError as mismatch:
            raise TypeError(f"strict.{name}: {mismatch}; CuPy's parameters are {parameters!r}") from None
        operands = list(_arrays_in(list(given.values())))
        if name in WITHOUT_COMPLEX_LOOP and any(operand.dtype.kind == "c" for operand in operands):
            raise TypeError(f"strict.{name}: CuPy's takes no complex numbers")
        host = {parameter: _to_host(f"strict.{name}", parameter, value) for parameter, value in given.items()}
        positional = [host.pop(parameter) for parameter in required]
        if variadic:
            (positional,) = positional
        with np.errstate(all="ignore"):  # a GPU gives inf and NaN without a warning
            result = function(*positional, **host)
        if isinstance(result, np.ndarray | np.generic) and given.get("dtype") is None:
            _refuse_promotion(f"strict.{name}", operands, result.dtype)
        return _from_numpy(operands, result)

    call.__name__ = name
    return call


def _arrays_in(value: Any) -> Iterator[StrictArray]:
    """Every StrictArray in `value` and in the lists and tuples inside."""
    if isinstance(value, StrictArray):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _arrays_in(item)


def _to_host(name: str, parameter: str, value: Any) -> Any:
    """`value` for NumPy, or a TypeError if CuPy's function `name` would not take it as this parameter."""
    if parameter in LIST_PARAMETERS:
        return [_to_host(name, LIST_PARAMETERS[parameter], item) for item in value]
    computes = parameter in ARRAY_PARAMETERS | NUMBER_PARAMETERS
    if isinstance(value, StrictArray):
        if not computes and parameter != "item":
            raise TypeError(f"{name}: an array as {parameter} would synchronise, give a Python value")
        return value._array
    if isinstance(value, np.ndarray) or (isinstance(value, np.generic) and computes):
        raise TypeError(f"{name}: {parameter} is a {type(value).__name__} on the host, move it with to_device")
    if value is None and parameter in NULLABLE_PARAMETERS:
        return None
    if parameter in ARRAY_PARAMETERS or (computes and not isinstance(value, bool | int | float | complex)):
        raise TypeError(f"{name}: {parameter} is a {type(value).__name__}, expected an array on the device")
    return value


def _refuse_promotion(name: str, operands: list[StrictArray], result: np.dtype) -> None:
    """Raise TypeError where float32 or integers became float64 without a word."""
    floats = {operand.dtype for operand in operands if operand.dtype.kind in "fc"}
    double = {dtype for dtype in floats if dtype.char in "dD"}
    if double and floats != double:
        raise TypeError(f"{name} mixes {', '.join(sorted(map(str, floats)))}: convert with astype or say dtype=")
    if result.char in "dD" and not double:
        raise TypeError(f"{name} gives {result} from no {result} operand: say dtype=")


def _from_numpy(operands: list[StrictArray], result: Any) -> Any:
    """NumPy's `result` on the device: an operand if it is one (`out=`), and 0-d where NumPy gives a scalar."""
    for operand in operands:
        if result is operand._array:
            return operand
    return StrictArray(np.asarray(result)) if isinstance(result, np.ndarray | np.generic) else result


def _wrapped_around(indices: np.ndarray, size: int) -> np.ndarray:
    return indices.astype(np.int64) % max(size, 1)


def _empty(*args: Any, **kwargs: Any) -> np.ndarray:
    return _spoil(np.empty(*args, **kwargs))


def _empty_like(*args: Any, **kwargs: Any) -> np.ndarray:
    return _spoil(np.empty_like(*args, **kwargs))


def _spoil(array: np.ndarray) -> np.ndarray:
    """Fill memory that nobody wrote with what is sure to be noticed."""
    garbage = {"f": np.nan, "c": complex(np.nan, np.nan), "b": True}
    array.fill(garbage[array.dtype.kind] if array.dtype.kind in garbage else np.iinfo(array.dtype).max)
    return array


def _count_nonzero(a: np.ndarray, axis: int | None = None) -> np.ndarray:
    return np.asarray(np.count_nonzero(a, axis=axis))  # NumPy 2.0 counts in Python's int


def _dot(a: np.ndarray, b: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    if out is not None and not out.flags.c_contiguous:
        raise TypeError("strict.dot: CuPy wants a C-contiguous out")
    return np.dot(a, b, out=out)


def _take(a: np.ndarray, indices: np.ndarray, **options: Any) -> np.ndarray:
    return np.take(a, indices, mode="wrap", **options)


def _take_along_axis(a: np.ndarray, indices: np.ndarray, axis: int) -> np.ndarray:
    return np.take_along_axis(a, _wrapped_around(indices, a.shape[axis]), axis)


strict = StrictModule()
_own: dict[str, Callable] = {
    "count_nonzero": _count_nonzero,
    "dot": _dot,
    "empty": _empty,
    "empty_like": _empty_like,
    "take": _take,
    "take_along_axis": _take_along_axis,
}


for _name, _parameters in SIGNATURES.items():
    _path, _, _last = _name.rpartition(".")
    _numpy, _target = (attrgetter(_path)(owner) if _path else owner for owner in (np, strict))
    setattr(_target, _last, _computed(_name, _parameters, _own.get(_name) or getattr(_numpy, _last)))


def _method(function: str) -> Callable:
    def method(self: StrictArray, *args: Any, **kwargs: Any) -> StrictArray:
        return getattr(strict, function)(self, *args, **kwargs)

    return method


def _reflected(function: str) -> Callable:
    def method(self: StrictArray, other: Any) -> StrictArray:
        return getattr(strict, function)(other, self)

    return method


def _in_place(function: str) -> Callable:
    def method(self: StrictArray, other: Any) -> StrictArray:
        return getattr(strict, function)(self, other, out=self)

    return method


def _refused(name: str, reason: str) -> Callable:
    def method(self: StrictArray, *args: Any, **kwargs: Any) -> None:
        raise TypeError(f"StrictArray.{name}: {reason}")

    return method


for _name in METHODS.split():
    setattr(StrictArray, _name, _method(_name))


for _pair in COMPARISONS.split():
    _name, _function = _pair.split(":")
    setattr(StrictArray, f"__{_name}__", _method(_function))


for _pair in OPERATORS.split():
    _name, _function = _pair.split(":")
    setattr(StrictArray, f"__{_name}__", _method(_function))
    setattr(StrictArray, f"__r{_name}__", _reflected(_function))
    setattr(StrictArray, f"__i{_name}__", _in_place(_function))


for _name in SYNCHRONISING.split():
    setattr(StrictArray, _name, _refused(_name, "Python would wait for the device here, call to_host"))


for _name in DISPATCHING.split():
    setattr(StrictArray, _name, _refused(_name, "a NumPy function was given an array on the device, call it on xp"))


def upload(array: np.ndarray) -> StrictArray:
    """A copy of a host array on the device."""
    strict.uploads.append(array.nbytes)
    return StrictArray(np.array(array, order="K"))


def on_device(values: Any, dtype: Any = "float32") -> StrictArray:
    """`values` as an array on the device."""
    return upload(np.array(values, dtype))


def download(array: StrictArray) -> np.ndarray:
    """A copy on the host, and the one synchronisation there is."""
    strict.synchronisations += 1
    return array._array.copy()


STRICT = Device("strict", strict, (StrictArray,), upload, download, asynchronous=True)
