"""The product of matrices."""

from scratchnet.backend import Array
from scratchnet.ops.accelerated import accelerated


@accelerated
def product(a: Array, b: Array) -> Array:
    """a @ b for matrices (M, K) and (K, N)."""
    return a @ b
