"""A forward on lifted arrays, and rules for the functions of NumPy whose complex version does not continue the real."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from scratchnet.backend import Array, Params
from scratchnet.gradcheck.lifted import FUNCTIONS, Lifted, lift, lower, run


@dataclass(frozen=True)
class LiftedForward:
    """A layer whose forward gets complex arrays as Lifted ones, and returns y as a plain complex array.

    is_widened: whether a forward that casts to float32 computes in float64 instead, on real arrays, too.
    """

    layer: Any
    input_names: tuple[str, ...]
    is_widened: bool = False

    def forward(self, params: Params, *inputs: Array, **options: Any) -> tuple[Array, Any]:
        """As the layer's own, which real arrays are left to."""
        if any(np.iscomplexobj(tensor) for tensor in [*params.values(), *inputs]):
            return run(self.layer.forward, params, *inputs, is_widened=self.is_widened, **options)
        y, cache = self.layer.forward(params, *inputs, **options)
        if self.is_widened:
            y = np.real(run(self.layer.forward, params, *inputs, is_widened=True, **options)[0])
        return y, cache

    @property
    def constants(self) -> dict[str, Any]:
        """Those of the layer."""
        return getattr(self.layer, "constants", {})

    def backward(self, dy: Array, cache: Any) -> Any:
        """The layer's own."""
        return self.layer.backward(dy, cache)


def _parts(z: Any) -> tuple[np.ndarray, np.ndarray]:
    plain = lower(np.asanyarray(z))
    return np.real(plain), np.imag(plain)


def _symmetric(z: Any, lower_half: str) -> tuple[np.ndarray, np.ndarray]:
    """Value and tangent of the symmetric matrix that LAPACK reads from one half."""
    take = np.tril if lower_half.upper() == "L" else np.triu
    return tuple(take(part) + take(part, -1 if take is np.tril else 1).swapaxes(-1, -2) for part in _parts(z))


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """As numpy.linalg.norm."""
    x = lift(np.asanyarray(x))
    if axis is None and (ord is None or (x.ndim == 1 and ord == 2) or ord == "fro"):
        size = np.sqrt((x * x).sum())
        return size.reshape((1,) * x.ndim) if keepdims else size
    axes = tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    if len(axes) == 1 or ord is None or ord == "fro":
        return _vector_norm(x, 2 if ord in (None, "fro") else ord, axes, keepdims)
    if axes != (0, 1) or x.ndim != 2 or keepdims:
        raise TypeError("no rule for this norm")
    rows, columns = abs(x).sum(axis=1), abs(x).sum(axis=0)
    choices: dict[Any, Callable[[], Any]] = {
        1: lambda: columns.max(), -1: lambda: columns.min(), np.inf: lambda: rows.max(), -np.inf: lambda: rows.min(),
        "nuc": lambda: svdvals(x).sum(), 2: lambda: svdvals(x).max(), -2: lambda: svdvals(x).min(),
    }  # fmt: skip
    return choices[ord]()


def _vector_norm(x: Any, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    if ord == np.inf:
        return abs(x).max(axis=axes, keepdims=keepdims)
    if ord == -np.inf:
        return abs(x).min(axis=axes, keepdims=keepdims)
    if ord == 2:
        return np.sqrt((x * x).sum(axis=axes, keepdims=keepdims))
    return (abs(x) ** ord).sum(axis=axes, keepdims=keepdims) ** (1 / ord)


def svdvals(x: Any) -> Any:
    """Singular values, and their first-order change u' dx v."""
    value, tangent = _parts(x)
    u, s, vt = np.linalg.svd(value, full_matrices=False)
    return lift(s + 1j * np.einsum("...ki,...kl,...il->...i", u, tangent, vt))


def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    """Singular values alone."""
    if compute_uv or hermitian:
        raise TypeError("no rule for singular vectors")
    return svdvals(a)


def eigvalsh(a: Any, UPLO: str = "L") -> Any:
    """Eigenvalues of a symmetric matrix, and their first-order change v' da v."""
    value, tangent = _symmetric(a, UPLO)
    w, v = np.linalg.eigh(value)
    return lift(w + 1j * np.einsum("...ki,...kl,...li->...i", v, tangent, v))


def eigh(a: Any, UPLO: str = "L") -> Any:
    """Eigenvalues and vectors of a symmetric matrix, where no two eigenvalues are the same."""
    value, tangent = _symmetric(a, UPLO)
    w, v = np.linalg.eigh(value)
    inside = v.swapaxes(-1, -2) @ tangent @ v
    gaps = w[..., None, :] - w[..., :, None]
    turns = np.divide(inside, gaps, out=np.zeros_like(inside), where=gaps != 0)
    return lift(w + 1j * np.diagonal(inside, axis1=-2, axis2=-1)), lift(v + 1j * (v @ turns))


def cholesky(a: Any, **options: Any) -> Any:
    """L with L L' = a, and its first-order change L Phi(L^-1 da L'^-1); Phi takes the lower half, half the diagonal."""
    if options.get("upper"):
        raise TypeError("no rule for the upper factor")
    value, tangent = _symmetric(a, "L")
    factor = np.linalg.cholesky(value)
    inverse = np.linalg.inv(factor)
    inside = np.tril(inverse @ tangent @ inverse.swapaxes(-1, -2))
    half = np.eye(value.shape[-1]) / 2
    return lift(factor + 1j * factor @ (inside - half * inside))


def slogdet(a: Any) -> Any:
    """The sign and log |det a|, which changes by tr(a^-1 da)."""
    value, tangent = _parts(a)
    sign, logarithm = np.linalg.slogdet(value)
    change = np.trace(np.linalg.solve(value, tangent), axis1=-2, axis2=-1)
    return lift(np.asarray(sign)), lift(np.asarray(logarithm + 1j * change))


def _var(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: int = 0, keepdims: Any = False) -> Any:
    return lift(np.asanyarray(a)).var(axis=axis, ddof=ddof, keepdims=keepdims)


def _std(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: int = 0, keepdims: Any = False) -> Any:
    return lift(np.asanyarray(a)).std(axis=axis, ddof=ddof, keepdims=keepdims)


def _correlate(a: Any, v: Any, mode: Any = "valid") -> Any:
    return np.correlate(lower(a), np.conj(lower(v)), mode)


def _vdot(a: Any, b: Any) -> Any:
    return np.dot(lower(a).ravel(), lower(b).ravel())


def _quantile(a: Any, q: Any, axis: Any = None, keepdims: Any = False) -> Any:
    a, q = np.asanyarray(a), np.asarray(q)
    order = np.sort(a.ravel() if axis is None else np.moveaxis(a, axis, 0), axis=0)
    if q.ndim or keepdims:
        raise TypeError("no rule for several quantiles")
    place = float(q) * (len(order) - 1)
    below = int(place)
    return order[below] + (place - below) * (order[min(below + 1, len(order) - 1)] - order[below])


def _cov(m: Any, rowvar: bool = True) -> Any:
    m = lift(np.asanyarray(m))
    distances = (m if rowvar else m.T) - (m if rowvar else m.T).mean(axis=1, keepdims=True)
    return distances @ distances.T / (distances.shape[1] - 1)


def _refuse(*args: Any, **kwargs: Any) -> Any:
    raise TypeError("no rule for this function")


def _on_real_parts(function: Callable[..., Any]) -> Callable[..., Any]:
    def rule(*args: Any, **kwargs: Any) -> Any:
        return function(*(_parts(a)[0] if isinstance(a, Lifted) else a for a in args), **kwargs)

    return rule


RULES: dict[Any, Callable[..., Any]] = {
    np.linalg.norm: norm,
    np.linalg.svd: svd,
    np.linalg.svdvals: svdvals,
    np.linalg.eigvalsh: eigvalsh,
    np.linalg.eigh: eigh,
    np.linalg.cholesky: cholesky,
    np.linalg.slogdet: slogdet,
    np.var: _var,
    np.std: _std,
    np.correlate: _correlate,
    np.vdot: _vdot,
    np.cov: _cov,
    np.quantile: _quantile,
    np.percentile: lambda a, q, axis=None: _quantile(a, np.asarray(q) / 100, axis),
    np.real: lambda z: z,
    np.imag: lambda z: np.zeros(np.shape(z)),
    np.iscomplexobj: lambda z: False,
    np.isrealobj: lambda z: True,
    **{
        function: _on_real_parts(function)
        for function in (np.round, np.isclose, np.allclose, np.array_equal, np.searchsorted, np.digitize)
    },
    **dict.fromkeys(
        [np.linalg.pinv, np.linalg.qr, np.linalg.lstsq, np.linalg.eig, np.linalg.eigvals, np.angle, np.fft.fft,
         np.fft.ifft, np.fft.rfft, np.fft.irfft, np.fft.fft2, np.fft.ifft2, np.fft.fftn, np.fft.ifftn, np.fft.rfft2,
         np.fft.irfft2, np.interp, np.corrcoef],
        _refuse,
    ),
}  # fmt: skip
FUNCTIONS.update(RULES)
