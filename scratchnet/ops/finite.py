"""A flag on the device of a training step: raised if anything in the step is a NaN or an infinity.

On a GPU nobody waits for the flag. Whatever would change the network reads it there, and changes nothing once it is
raised, so that the network stays as it was before the step that failed.
"""

from collections.abc import Sequence
from itertools import accumulate

from scratchnet.backend import Array, array_module
from scratchnet.ops.accelerated import accelerated


def new_flag(like: Array) -> Array:
    """A new flag () int32, lowered, on the device of `like`."""
    return array_module(like).zeros((), dtype="int32")


@accelerated
def flag_not_finite(arrays: Sequence[Array], failed: Array) -> None:
    """Raise the flag unless every number of every array is finite."""
    flag_unless([array_module(array).isfinite(array).all() for array in arrays], failed)


def flag_unless(verdicts: Sequence[Array], failed: Array) -> None:
    """Raise the flag unless all verdicts, () bool each, are true."""
    if verdicts:
        failed |= ~array_module(failed).stack(verdicts).all()


def unless(failed: Array | None, old: Array | float, new: Array) -> Array:
    """`new`, or `old` if there is a flag and it is raised."""
    return new if failed is None else array_module(failed, new).where(failed, old, new)


def unless_all(failed: Array, old: Sequence[Array], new: Sequence[Array]) -> list[Array]:
    """`unless` for many small arrays of one precision in one operation; they become views of one array."""
    if not old:
        return []
    joined = (array_module(failed).concatenate([array.reshape(-1) for array in arrays]) for arrays in (old, new))
    flat, ends = unless(failed, *joined), list(accumulate(array.size for array in old))
    return [flat[end - array.size : end].reshape(array.shape) for array, end in zip(old, ends, strict=True)]
