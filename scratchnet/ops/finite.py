"""A flag on the device of a training step: whether something in it was a NaN or an infinity.

On a GPU nobody waits for the flag. What would change the network reads it there instead, and changes nothing once it
is raised, so that the network stays as it was before the step that failed.
"""

from collections.abc import Iterable, Sequence

from scratchnet.backend import Array, array_module
from scratchnet.ops import cuda
from scratchnet.ops.cuda import finite as cuda_finite


def new_flag(like: Array) -> Array:
    """A flag () int32 that is not raised, on the device of `like`."""
    return array_module(like).zeros((), dtype="int32")


def flag_not_finite(arrays: Iterable[Array], failed: Array) -> None:
    """Raise the flag unless every number of every array is finite."""
    verdicts = []
    for array in arrays:
        if cuda.usable(array):
            cuda_finite.flag(array, failed)
        else:
            verdicts.append(array_module(array).isfinite(array).all())
    flag_unless(verdicts, failed)


def flag_unless(verdicts: Sequence[Array], failed: Array) -> None:
    """Raise the flag unless all verdicts, () bool each, are true."""
    if verdicts:
        failed |= ~array_module(failed).stack(verdicts).all()


def unless(failed: Array, old: Array | float, new: Array) -> Array:
    """`new`, or `old` if the flag is raised."""
    return array_module(failed, new).where(failed != 0, old, new)
