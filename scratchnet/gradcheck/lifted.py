"""A complex array on which code for real numbers computes as it would on its real part.

The complex step needs an analytic forward: abs, comparisons, clip, norms, variances and eigenvalues are not, or not as
NumPy defines them on complex numbers. A `Lifted` array carries t + i h r through such code: it compares real parts,
takes |t| as t or -t, and uses the real function with its derivative where NumPy has no complex one. h is so small that
the imaginary part is the first-order term and nothing else, so f(a + i h b) = f(a) + i h f'(a) b.

Whatever has no rule here raises, or loses its imaginary part; the check then takes differences instead. It never
trusts a lifted derivative that no difference confirms.
"""

import warnings
from collections.abc import Callable
from functools import reduce
from typing import Any, ClassVar

import numpy as np

COMPARISONS = {
    "less", "less_equal", "greater", "greater_equal", "equal", "not_equal", "signbit", "isnan", "isfinite", "isinf",
    "logical_and", "logical_or", "logical_xor", "logical_not",
}  # fmt: skip
STEPS = {"sign", "floor", "ceil", "trunc", "rint", "floor_divide", "heaviside"}  # derivative zero wherever there is one


def _first_order(function: Callable[..., Any], *slopes: Callable[..., Any]) -> Callable[..., Any]:
    """f(a + i b) = f(a) + i sum_k f_k(a) b_k, from f and its partial derivatives f_k on real numbers."""

    def lifted(*arguments: Any) -> Any:
        reals = [np.real(a) for a in arguments]
        parts = [slope(*reals) * np.imag(a) for slope, a in zip(slopes, arguments, strict=True) if np.iscomplexobj(a)]
        return function(*reals) + 1j * sum(parts)

    return lifted


def _hypot(a: Any, b: Any) -> Any:
    return np.sqrt(a * a + b * b)


def _sigmoid(x: Any) -> Any:
    return 0.5 * (1 + np.tanh(0.5 * x))


def _larger(a: Any, b: Any) -> Any:
    return np.where((np.real(a) >= np.real(b)) | np.isnan(a), a, b)


def _smaller(a: Any, b: Any) -> Any:
    return np.where((np.real(a) <= np.real(b)) | np.isnan(a), a, b)


RULES: dict[str, Callable[..., Any]] = {
    "absolute": lambda z: np.where(np.real(z) < 0, -z, z),
    "fabs": lambda z: np.where(np.real(z) < 0, -z, z),
    "conjugate": lambda z: z,
    "maximum": _larger,
    "minimum": _smaller,
    "fmax": lambda a, b: np.where((np.real(a) >= np.real(b)) | np.isnan(b), a, b),
    "fmin": lambda a, b: np.where((np.real(a) <= np.real(b)) | np.isnan(b), a, b),
    "clip": lambda z, low, high: _smaller(_larger(z, low), high),
    "hypot": _hypot,
    "arctan2": _first_order(np.arctan2, lambda a, b: b / (a * a + b * b), lambda a, b: -a / (a * a + b * b)),
    "cbrt": _first_order(np.cbrt, lambda a: 1 / (3 * np.cbrt(a) ** 2)),
    "logaddexp": _first_order(np.logaddexp, lambda a, b: _sigmoid(a - b), lambda a, b: _sigmoid(b - a)),
    "logaddexp2": _first_order(
        np.logaddexp2, lambda a, b: _sigmoid((a - b) * np.log(2)), lambda a, b: _sigmoid((b - a) * np.log(2))
    ),
    "copysign": lambda z, sign: np.where(np.signbit(np.real(z)) == np.signbit(np.real(sign)), z, -z),
    "remainder": _first_order(np.remainder, lambda a, b: np.ones_like(a), lambda a, b: -np.floor(a / b)),
    "fmod": _first_order(np.fmod, lambda a, b: np.ones_like(a), lambda a, b: -np.trunc(a / b)),
    "degrees": lambda z: z * (180 / np.pi),
    "rad2deg": lambda z: z * (180 / np.pi),
    "radians": lambda z: z * (np.pi / 180),
    "deg2rad": lambda z: z * (np.pi / 180),
    "expit": _first_order(_sigmoid, lambda a: _sigmoid(a) * _sigmoid(-a)),  # of scipy.special
    "power": lambda base, exponent: _power(base, exponent),
}


def _power(base: Any, exponent: Any) -> Any:
    """base ** exponent; a negative base is fine with whole exponents, of which the complex logarithm knows nothing."""
    a, b = np.real(base), np.real(exponent)
    slope = np.where(b == 0, 0.0, b * a ** np.where(b == 0, 1.0, b - 1))
    value = a**b + 1j * slope * np.imag(base)
    if np.any(np.imag(exponent)):
        value = value + 1j * a**b * np.log(a) * np.imag(exponent)
    return value


FUNCTIONS: dict[Any, Callable[..., Any]] = {}  # rules for functions of NumPy, which `lifted_functions.py` adds


class Lifted(np.ndarray):
    """A complex128 array that passes for its real part."""

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        """Real comparisons, the rules above, and NumPy's own complex loops for all else."""
        plain = tuple(lower(value) for value in inputs)
        name = ufunc.__name__
        if name in COMPARISONS:
            return getattr(ufunc, method)(*map(np.real, plain), out=out, **options)
        if name in STEPS:
            return lift(getattr(ufunc, method)(*map(np.real, plain), **options))
        if name in RULES and method == "__call__":
            result = RULES[name](*plain)
            if "where" in options or out is not None:
                return _written(result, out, options.get("where", True))
            return lift(result)
        if name in RULES and method == "reduce" and name not in ("maximum", "minimum"):
            return _folded(RULES[name], *plain, **options)
        if out is not None:
            options["out"] = tuple(lower(value) for value in out)
        result = getattr(ufunc, method)(*plain, **options)
        return out[0] if out is not None else lift(result)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """The rules below, and NumPy's own implementation, on this class, for all else."""
        rule = FUNCTIONS.get(function)
        if rule is not None:
            return lift(rule(*args, **kwargs))
        return lift(super().__array_function__(function, types, args, kwargs))

    @property  # type: ignore[misc]
    def real(self) -> "Lifted":  # type: ignore[override]
        """The array itself: for real code, the real part of x is x."""
        return self

    @property  # type: ignore[misc]
    def imag(self) -> np.ndarray:
        """Zeros."""
        return np.zeros(self.shape)

    def astype(self, dtype: Any, *args: Any, **kwargs: Any) -> Any:
        """The same numbers for double precision; a TypeError for less, unless float32 is to be taken for it."""
        if np.dtype(dtype).kind in "biu":
            return np.real(lower(self)).astype(dtype)
        if np.dtype(dtype) == np.float32 and FORWARD.is_widened:
            return self.copy()
        if np.dtype(dtype) not in (np.dtype(np.float64), np.dtype(np.complex128)):
            raise TypeError(f"forward computes in {np.dtype(dtype)}")
        return self.copy()

    def __float__(self) -> float:
        """The real part; if it is what forward returns, `run` gives back what was lost."""
        FORWARD.floats.append(complex(lower(self)))
        return FORWARD.floats[-1].real

    def var(self, axis: Any = None, *_: Any, ddof: float = 0, keepdims: Any = False, **options: Any) -> Any:
        """The mean square of the distances from the mean, without absolute values."""
        distances = self - self.mean(axis=axis, keepdims=True)
        squares = (distances * distances).sum(axis=axis, keepdims=keepdims)
        return squares / (self.size / max(1, np.size(squares)) - ddof)

    def std(self, axis: Any = None, *_: Any, ddof: float = 0, keepdims: Any = False, **options: Any) -> Any:
        """The square root of `var`."""
        return np.sqrt(self.var(axis=axis, ddof=ddof, keepdims=keepdims))

    def round(self, decimals: Any = 0, out: Any = None) -> Any:
        """The rounded real parts, whose derivative is zero."""
        return lift(np.round(np.real(lower(self)), decimals))

    def conj(self) -> "Lifted":
        """The array itself."""
        return self

    conjugate = conj


class Forward:
    """The forward that runs: whether it takes float32 for float64, and the numbers that float() has been called on."""

    is_widened = False
    floats: ClassVar[list[complex]] = []


FORWARD = Forward()


def run(forward: Callable[..., Any], *arguments: Any, is_widened: bool, **options: Any) -> tuple[Any, Any]:
    """(y, cache) of a forward on lifted arguments. Raises TypeError if float() lost an imaginary part within it."""
    FORWARD.is_widened = is_widened
    FORWARD.floats.clear()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            y, cache = forward(*map(lift, arguments), **options)
    finally:
        FORWARD.is_widened = False
    y, floats = lower(y), list(FORWARD.floats)
    if not floats:
        return y, cache
    if len(floats) > 1 or np.ndim(y) or np.iscomplexobj(y) or y != floats[0].real:
        raise TypeError("forward computes on with float()")
    return np.asarray(floats[0]), cache


def lift(value: Any) -> Any:
    """Complex arrays and numbers as Lifted, real ones as complex, also within tuples and the like; bools, ints stay."""
    if isinstance(value, dict):
        return {name: lift(part) for name, part in value.items()}
    if isinstance(value, tuple | list):
        parts = [lift(part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "fc":
        return np.asarray(value).astype(np.complex128, copy=False).view(Lifted)
    return value


def lower(value: Any) -> Any:
    """The plain complex array of a Lifted one; other values as they are."""
    return value.view(np.ndarray) if isinstance(value, Lifted) else value


def _folded(rule: Callable[..., Any], z: Any, axis: Any = 0, keepdims: bool = False, **options: Any) -> Any:
    """A reduction by a rule, one entry after the other."""
    axes = range(z.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    result = np.moveaxis(z, tuple(axes), tuple(range(len(axes)))).reshape(-1, *np.delete(z.shape, tuple(axes)))
    folded = reduce(rule, result)
    return lift(np.asarray(np.expand_dims(folded, tuple(axes)) if keepdims else folded))


def _written(result: Any, out: Any, where: Any) -> Any:
    if out is None:
        return lift(np.where(where, result, 0))
    np.copyto(lower(out[0]), result, where=where)
    return out[0]
