"""Matrix products, and the precision in which a GPU computes them."""

import os

from scratchnet.backend.cublas import PRECISIONS
from scratchnet.backend.device import CPU, Array, Gemm, array_module, device_of
from scratchnet.backend.threads import for_each, thread_count
from scratchnet.common.spelling import hint
from scratchnet.errors import BackendError

SMALL_PRODUCT = 10_000_000  # multiply-adds; below this many, threads cost more than they save
_precision = os.environ.get("SCRATCHNET_PRECISION") or "float32"


def set_precision(name: str) -> None:
    """Set how a GPU multiplies float32 matrices from now on: "float32" or "tf32".

    TF32 rounds the factors to 11 bits, a relative error of at most 2^-11 = 5e-4 in each, and sums in float32; some
    GPUs compute it many times faster. It changes nothing on the CPU, nor in float64. The environment variable
    SCRATCHNET_PRECISION sets the initial value. Raises BackendError for any other name.
    """
    global _precision  # noqa: PLW0603
    if name not in PRECISIONS:
        raise BackendError(f"unknown precision {name!r}{hint(name, PRECISIONS)}: choose one of {', '.join(PRECISIONS)}")
    _precision = name


def get_precision() -> str:
    """The precision of products on a GPU. Raises BackendError if SCRATCHNET_PRECISION is not one."""
    if _precision not in PRECISIONS:
        raise BackendError(
            f"SCRATCHNET_PRECISION={_precision}{hint(_precision, PRECISIONS)}: choose one of {', '.join(PRECISIONS)}"
        )
    return _precision


def product(a: Array, b: Array) -> Array:
    """a @ b for matrices (M, K) and (K, N); a large product is split among all threads."""
    xp = array_module(a, b)
    (M, K), N = a.shape, b.shape[1]
    out = xp.empty((M, N), dtype=xp.result_type(a.dtype, b.dtype))
    pieces = thread_count() if M * K * N > SMALL_PRODUCT and device_of(a) is CPU else 1

    def multiply(piece: int) -> None:
        some = slice(piece * max(M, N) // pieces, (piece + 1) * max(M, N) // pieces)
        if M >= N:
            matmul(a[some], b, out=out[some])
        else:
            matmul(a, b[:, some], out=out[:, some])

    for_each(multiply, range(pieces), like=a)
    return out


def matmul(a: Array, b: Array, out: Array) -> None:
    """out <- a @ b for batches of matrices (..., M, K) and (..., K, N), in the calling thread alone."""
    gemm = _gemm(a, b, out)
    if gemm is None:
        array_module(a, b, out).matmul(a, b, out=out)
    else:
        gemm(a, b, out, 1.0, 0.0, get_precision())


def add_product(a: Array, b: Array, out: Array, sign: float = 1.0) -> None:
    """out <- out + sign a @ b, for batches of matrices as in `matmul`."""
    gemm = _gemm(a, b, out)
    if gemm is None:
        out += sign * array_module(a, b).matmul(a, b)
    else:
        gemm(a, b, out, sign, 1.0, get_precision())


def _gemm(*arrays: Array) -> Gemm | None:
    """The device's own product, if it has one for these dtypes."""
    gemm = device_of(arrays[0]).gemm
    if gemm is None:
        return None
    alike = all(array.dtype == arrays[0].dtype for array in arrays)
    return gemm if alike and arrays[0].dtype.name in ("float32", "float64") else None
