"""A stand-in for `cupy.cuda.cublas`: its one call that we use, by the definition in cuBLAS's documentation.

    C_i <- alpha op(A_i) op(B_i) + beta C_i     for i = 0 .. batch - 1, op the identity or the transpose,

with column-major matrices at raw addresses in the host's memory: element (r, c) of A_i is A[i strideA + c lda + r].
"""

import numpy as np

CUBLAS_OP_N, CUBLAS_OP_T = 0, 1
CUBLAS_COMPUTE_32F, CUBLAS_COMPUTE_64F, CUBLAS_COMPUTE_32F_FAST_TF32 = 68, 70, 77
CUBLAS_GEMM_DEFAULT = -1
REAL_TYPES = {"float32": 0, "float64": 1}
DTYPES = {number: np.dtype(name) for name, number in REAL_TYPES.items()}
compute_types: list[int] = []  # of the calls so far


def gemmStridedBatchedEx(
    handle, transa, transb, m, n, k, alpha, A, Atype, lda, strideA, B, Btype, ldb, strideB, beta, C, Ctype, ldc,
    strideC, batchCount, computeType, algo,
):  # fmt: skip
    compute_types.append(computeType)
    dtype = DTYPES[Atype]
    assert (Atype, Atype) == (Btype, Ctype)
    assert computeType in {0: (CUBLAS_COMPUTE_32F, CUBLAS_COMPUTE_32F_FAST_TF32), 1: (CUBLAS_COMPUTE_64F,)}[Atype]
    assert lda >= max(1, k if transa else m), "as cuBLAS demands"
    assert ldb >= max(1, n if transb else k)
    assert ldc >= max(1, m)

    def matrices(address, rows, columns, leading, stride, transposed):
        shape = (columns, rows) if transposed else (rows, columns)
        steps = (stride * dtype.itemsize, dtype.itemsize, leading * dtype.itemsize)
        length = 1 + (batchCount - 1) * abs(stride) + (shape[0] - 1) + (shape[1] - 1) * leading
        memory = np.ctypeslib.as_array((np.ctypeslib.as_ctypes_type(dtype) * length).from_address(address))
        found = np.lib.stride_tricks.as_strided(memory, (batchCount, *shape), steps)
        return found.swapaxes(1, 2) if transposed else found

    scale, keep = (np.ctypeslib.as_array((np.ctypeslib.as_ctypes_type(dtype) * 1).from_address(p))[0]
                   for p in (alpha, beta))  # fmt: skip
    a = matrices(A, m, k, lda, strideA, transa == CUBLAS_OP_T)
    b = matrices(B, k, n, ldb, strideB, transb == CUBLAS_OP_T)
    c = matrices(C, m, n, ldc, strideC, False)
    product = scale * np.matmul(a, b)
    c[...] = product + keep * c if keep else product  # C is not read where beta is 0
