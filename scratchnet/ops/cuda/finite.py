"""The launch of finite.cu."""

from scratchnet.backend import Array
from scratchnet.ops.cuda import blocks_for, contiguous, launch


def flag(values: Array, failed: Array) -> None:
    """failed <- 1 where some value is a NaN or an infinity; failed () int32."""
    launch("finite.cu", "flag_not_finite", blocks_for(values.size), contiguous(values), failed, values.size)
