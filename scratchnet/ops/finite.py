"""A flag on the device of a training step: whether something in it was a NaN or an infinity.

On a GPU nobody waits for the flag. What would change the network reads it there instead, and changes nothing once it
is raised, so that the network stays as it was before the step that failed.
"""

from collections.abc import Iterable, Sequence
from itertools import accumulate

from scratchnet.backend import Array, array_module
from scratchnet.ops.cuda import sgd as cuda_sgd


def new_flag(like: Array) -> Array:
    """A flag () int32 that is not raised, on the device of `like`."""
    return array_module(like).zeros((), dtype="int32")


def flag_not_finite(arrays: Iterable[Array], failed: Array) -> None:
    """Raise the flag unless every number of every array is finite."""
    entries, verdicts = [], []
    for array in arrays:
        if cuda_sgd.usable(array):
            entries.append(cuda_sgd.Entry(array))
        else:
            verdicts.append(array_module(array).isfinite(array).all())
    cuda_sgd.flag(entries, failed)
    flag_unless(verdicts, failed)


def flag_unless(verdicts: Sequence[Array], failed: Array) -> None:
    """Raise the flag unless all verdicts, () bool each, are true."""
    if verdicts:
        failed |= ~array_module(failed).stack(verdicts).all()


def unless(failed: Array, old: Array | float, new: Array) -> Array:
    """`new`, or `old` if the flag is raised."""
    return array_module(failed, new).where(failed, old, new)


def unless_all(failed: Array, old: Sequence[Array], new: Sequence[Array]) -> list[Array]:
    """`unless` for many small arrays of one precision, in one operation; they are parts of one array then."""
    if not old:
        return []
    joined = (array_module(failed).concatenate([array.reshape(-1) for array in arrays]) for arrays in (old, new))
    flat, ends = unless(failed, *joined), list(accumulate(array.size for array in old))
    return [flat[end - array.size : end].reshape(array.shape) for array, end in zip(old, ends, strict=True)]
