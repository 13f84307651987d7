"""Products that OpenBLAS need not prepare: on processors with AVX-512 it multiplies small matrices where they lie.

Larger factors are first packed, which costs a quarter of the time at the sizes of a convolution's.
"""

from scratchnet.backend import Array

SMALL = 10**6  # multiply-adds of a product whose factors are not packed


def multiply(a: Array, b: Array) -> Array:
    """a[k] @ b[k] for every k, in products that are SMALL: (K, P, C) and (K, C, O) to (K, P, O)."""
    (K, P, C), O = a.shape, b.shape[2]
    least = max(1, -(-P * C * O // SMALL))
    pieces = next((pieces for pieces in range(least, P + 1) if P % pieces == 0), 1)
    products = a.reshape(K, pieces, P // pieces, C) @ b[:, None]
    return products.reshape(K, P, O)
