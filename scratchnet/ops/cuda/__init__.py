"""CUDA C++ kernels, for work that array operations would do on a GPU in many passes over its memory.

A .cu file holds the kernels of one topic, and a .py file the functions that launch them, with the names and the results
of the definitions in `ops/`. Kernels compute in float32 or float64, which the sources call Real; complex numbers, with
which derivatives are checked, are left to the definitions. Numbers that threads share are gathered, never summed by
atomics: two runs give the same bits.

A source is compiled when it is first used. The tests compile the same sources as C++ for the host, and run them there.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scratchnet.backend import Array, array_module, device_of
from scratchnet.common.lazy import lazily

__all__ = ["FOLDER", "NAMES", "THREADS", "blocks_for", "contiguous", "launch"]

THREADS = 256  # of a block
FOLDER = Path(__file__).parent
NAMES = {"float32": "float", "float64": "double"}

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazily(__name__, __all__)  # the kernels of each topic


def launch(source: str, kernel: str, grid: int | tuple[int, ...], *arguments: Array | int | float | None) -> None:
    """Run `kernel` of the file `source` on a grid of blocks of THREADS threads.

    Arrays are passed as pointers, None as a null pointer, an int as long long and a float as Real, which is the
    precision of the first array. Arrays must be contiguous in row-major order and must not overlap.
    """
    first: Any = next(array for array in arguments if hasattr(array, "dtype"))
    blocks = grid if isinstance(grid, tuple) else (grid,)
    run = device_of(first).launch
    assert run is not None, "choose.py asks before"
    if 0 not in blocks:
        by_value = [_by_value(argument, first.dtype) for argument in arguments]
        run(FOLDER / source, kernel, NAMES[first.dtype.name], blocks, THREADS, by_value)


def blocks_for(count: int) -> int:
    """The number of blocks that hold `count` threads."""
    return -(-count // THREADS)


def contiguous(array: Array) -> Array:
    """The array itself, or a copy in row-major order: kernels do not take strides."""
    return array if array.flags.c_contiguous else array_module(array).ascontiguousarray(array)


def _by_value(argument: Array | int | float | None, dtype: Any) -> Any:
    if argument is None:
        return np.uintp(0)
    if isinstance(argument, int):
        return np.int64(argument)
    return dtype.type(argument) if isinstance(argument, float) else argument
