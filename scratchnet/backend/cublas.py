"""Matrix products on a GPU: cuBLAS through CuPy's wrapper, with the strides, sums and precision we need.

In a batch, CuPy's own matmul copies matrices that are transposed or slices of others; it cannot add to `out`; and it
takes TF32 from an environment variable, for single matrices only. cuBLAS has one call for all of this, without copies.
`cupy.cuda.cublas` is undocumented, so everything that depends on its names is in this file, and the tests run it on a
stand-in that follows the definition of the call.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

Array = Any  # of CuPy
PRECISIONS = ("float32", "tf32")


class Operand(NamedTuple):
    """A batch of matrices in memory, as cuBLAS reads it: column by column."""

    transposed: bool
    leading: int  # numbers from one column to the next
    stride: int  # numbers from one matrix to the next; 0 if all are the same


class Cublas:
    """gemm(a, b, out, alpha, beta, precision): out <- alpha a @ b + beta out."""

    def __init__(self, library: Any, handle: Callable[[], int], real_types: dict[str, int]) -> None:
        """library: `cupy.cuda.cublas`. real_types: CUDA's numbers for "float32" and "float64"."""
        self.library, self.handle, self.real_types = library, handle, real_types
        self.compute_types = {
            ("float32", "float32"): library.CUBLAS_COMPUTE_32F,
            ("float32", "tf32"): library.CUBLAS_COMPUTE_32F_FAST_TF32,
            ("float64", "float32"): library.CUBLAS_COMPUTE_64F,
            ("float64", "tf32"): library.CUBLAS_COMPUTE_64F,
        }

    def gemm(self, a: Array, b: Array, out: Array, alpha: float, beta: float, precision: str) -> None:
        """a (..., M, K), b (..., K, N), out (..., M, N), all float32 or all float64; leading axes broadcast to out's.

        precision: "float32", or "tf32", which rounds the numbers of a and b to 11 bits and sums in float32; it
        changes nothing for float64. Raises ValueError for batches broadcast along an inner axis, and for an `out`
        that is not stored row by row.
        """
        *batch, M, N = out.shape
        K = a.shape[-1]
        if out.size == 0:
            return
        if K == 0:  # an empty sum, for which cuBLAS accepts no addresses
            out[...] = out * beta if beta else 0.0
            return
        a, b = _readable(a, batch), _readable(b, batch)
        # Stored row by row, out = a @ b; read column by column, the same memory is out.T = b.T @ a.T.
        left, right, target = operand(b, batch), operand(a, batch), operand(out, batch)
        if left is None or right is None or target is None or target.transposed:
            shapes = " and ".join(str(array.shape) for array in (a, b, out))
            raise ValueError(f"the matrices {shapes} have no single stride: copy each into an array of its own")
        one = np.dtype(out.dtype).type
        factors = np.array([one(alpha), one(beta)])
        kind, library = self.real_types[out.dtype.name], self.library
        library.gemmStridedBatchedEx(
            self.handle(),
            _op(library, left),
            _op(library, right),
            N,
            M,
            K,
            factors.ctypes.data,
            b.data.ptr,
            kind,
            left.leading,
            left.stride,
            a.data.ptr,
            kind,
            right.leading,
            right.stride,
            factors.ctypes.data + factors.itemsize,
            out.data.ptr,
            kind,
            target.leading,
            target.stride,
            int(np.prod(batch, dtype=np.int64)),
            self.compute_types[out.dtype.name, precision],
            library.CUBLAS_GEMM_DEFAULT,
        )


def operand(matrices: Array, batch: Sequence[int]) -> Operand | None:
    """How cuBLAS finds matrices (..., R, C), stored row by row, broadcast to `batch`; None if it cannot."""
    rows, columns = matrices.shape[-2:]
    row, column = (stride // matrices.itemsize for stride in matrices.strides[-2:])
    stride = _batch_stride(matrices, batch)
    if stride is None:
        return None
    if (column == 1 or columns == 1) and (row >= columns or rows == 1):
        return Operand(False, row if rows > 1 else columns, stride)
    if (row == 1 or rows == 1) and (column >= rows or columns == 1):
        return Operand(True, column if columns > 1 else rows, stride)
    return None


def _batch_stride(matrices: Array, batch: Sequence[int]) -> int | None:
    """The single stride from each matrix of a batch to the next, in numbers; None if there is none."""
    sizes = (1,) * (len(batch) - (matrices.ndim - 2)) + tuple(matrices.shape[:-2])
    strides = (0,) * (len(batch) - (matrices.ndim - 2)) + tuple(matrices.strides[:-2])
    steps = [
        (count, stride // matrices.itemsize if size > 1 else 0)
        for count, size, stride in zip(batch, sizes, strides, strict=True)
        if count > 1
    ]
    if not steps:
        return 0
    within, stride = steps[-1]
    for count, step in reversed(steps[:-1]):
        if step != within * stride:
            return None
        within *= count
    return stride


def _readable(matrices: Array, batch: Sequence[int]) -> Array:
    """The matrices themselves, or a copy if cuBLAS cannot use their strides."""
    return matrices if operand(matrices, batch) else matrices.copy(order="C")


def _op(library: Any, matrices: Operand) -> int:
    return library.CUBLAS_OP_T if matrices.transposed else library.CUBLAS_OP_N
