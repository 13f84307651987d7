"""Runs our CUDA kernels on the host: their own sources, compiled as C++ with tests/support/cuda_on_host.h.

    launch(source, "pool_forward", "float", (4,), 256, arguments)      # as a Device's launch, on arrays of the stand-in

Each launch runs three times, in three orders of threads and blocks, and must give the same bits each time, write
through no pointer to const, and leave alone what lies before and behind each array, which is full of NaN. Large
launches, of whole networks, run once, in random order: the tests of each kernel have small ones.
"""

import atexit
import ctypes
import math
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from strict_array import StrictArray

HEADER = Path(__file__).with_name("cuda_on_host.h")
COMPILER = shutil.which("g++")
GUARD = 4096  # bytes on either side of an array
ORDERS = {"forward": 0, "reversed": 1, "random": 2}
LARGE = 12  # blocks
KERNEL = re.compile(r'extern "C" __global__ void\s*(?:__launch_bounds__\([^)]*\))?\s*(\w+)\(')


class Kernel(NamedTuple):
    run: Any  # (grid, threads, arguments, order) -> Failure
    kinds: str  # of its parameters, as cuda_on_host.h has them


def kernel_names(source: str) -> list[str]:
    return KERNEL.findall(source)


def launch(source: Path, kernel: str, real: str, grid: tuple[int, ...], threads: int, arguments: Sequence[Any]) -> None:
    found = compiled(source, real)[kernel]
    if len(arguments) != len(found.kinds):
        raise TypeError(f"{kernel} takes {len(found.kinds)} arguments, given {len(arguments)}")
    arrays = [argument._array if isinstance(argument, StrictArray) else argument for argument in arguments]
    _expect_arguments(kernel, found.kinds, arrays)
    orders = ["random"] if math.prod(grid) > LARGE else list(ORDERS)
    first, *others = (_run(kernel, found, grid, threads, arrays, order) for order in orders)
    for order, outputs in zip(orders[1:], others, strict=True):
        for number, output in outputs.items():
            if output != first[number]:
                raise AssertionError(f"{kernel}: argument {number} differs between forward and {order} order")
    for number, output in first.items():
        arrays[number][...] = np.frombuffer(output, arrays[number].dtype).reshape(arrays[number].shape)


def _expect_arguments(kernel: str, kinds: str, arguments: Sequence[Any]) -> None:
    """A GPU would take anything for a pointer, and any bytes for a number."""
    for number, (kind, argument) in enumerate(zip(kinds, arguments, strict=True)):
        if kind in "rw":
            if isinstance(argument, np.ndarray) and not argument.flags.c_contiguous:
                raise TypeError(f"{kernel}: argument {number} is not contiguous, and kernels know no strides")
            if not isinstance(argument, np.ndarray) and not (isinstance(argument, np.uintp) and argument == 0):
                raise TypeError(f"{kernel}: argument {number} is a {type(argument).__name__}, expected an array")
        elif not isinstance(argument, np.generic) or argument.nbytes != int(kind):
            raise TypeError(f"{kernel}: argument {number} is a {type(argument).__name__}, expected {kind} bytes")
    arrays = [argument for argument in arguments if isinstance(argument, np.ndarray) and argument.size]
    for i, array in enumerate(arrays):
        if any(np.may_share_memory(array, other) for other in arrays[:i]):
            raise TypeError(f"{kernel}: two arguments share memory, and the kernel trusts __restrict__")


def _run(
    kernel: str, found: Kernel, grid: tuple[int, ...], threads: int, arguments: Sequence[Any], order: str
) -> dict[int, bytes]:
    """What the kernel leaves in the arrays that it may write, by the number of the argument."""
    guarded, pointers = [], (ctypes.c_void_p * len(arguments))()
    for number, argument in enumerate(arguments):
        if isinstance(argument, np.ndarray):
            memory = np.full(2 * GUARD + argument.nbytes, 0xFF, np.uint8)
            memory[GUARD : GUARD + argument.nbytes] = np.frombuffer(argument.tobytes(), np.uint8)
            argument = np.uintp(memory.ctypes.data + GUARD)
        else:
            memory = None
        value = np.array(argument)
        guarded.append((memory, value))
        pointers[number] = value.ctypes.data
    blocks = (ctypes.c_uint * 3)(*(*grid, 1, 1)[:3])
    if found.run(blocks, threads, pointers, ORDERS[order]):
        raise AssertionError(f"{kernel}: some threads end where others wait at a barrier")
    outputs = {}
    for number, (kind, (memory, _)) in enumerate(zip(found.kinds, guarded, strict=True)):
        if memory is None:
            continue
        inside, length = memory[GUARD:-GUARD].tobytes(), memory.size - 2 * GUARD
        if not (memory[:GUARD] == 0xFF).all() or not (memory[GUARD + length :] == 0xFF).all():
            raise AssertionError(f"{kernel}: writes outside of argument {number}")
        if kind == "w":
            outputs[number] = inside
        elif inside != arguments[number].tobytes():
            raise AssertionError(f"{kernel}: writes into argument {number}, a pointer to const")
    return outputs


@cache
def compiled(source: Path, real: str) -> dict[str, Kernel]:
    """The kernels of a file by name, compiled for the host. Raises RuntimeError with what the compiler says."""
    code = source.read_text(encoding="utf-8")
    barriers = str("__syncthreads" in code).lower()
    unit = [f'#include "{HEADER}"', code]
    for name in kernel_names(code):
        unit.append(
            f'extern "C" int run_{name}(const unsigned* grid, unsigned threads, void** arguments, int order) '
            f"{{ return host::launch({name}, grid, threads, arguments, order, {barriers}); }}\n"
            f'extern "C" void describe_{name}(char* kinds) {{ host::describe({name}, kinds); }}'
        )
    library = _folder() / f"{source.stem}_{real}.so"
    cpp = library.with_suffix(".cpp")
    cpp.write_text("\n".join(unit), encoding="utf-8")
    # No contraction to fused multiply-add: the sums of NumPy, to the bit where the order is the same.
    options = ["-std=c++17", "-O2", "-ffp-contract=off", "-shared", "-fPIC", f"-DReal={real}", "-w"]
    command = [str(COMPILER), *options, str(cpp), "-o", str(library)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{source.name} does not compile on the host: {done.stderr[:2000]}")
    loaded = ctypes.CDLL(str(library))
    kernels = {}
    for name in kernel_names(code):
        kinds = ctypes.create_string_buffer(256)
        getattr(loaded, f"describe_{name}")(kinds)
        kernels[name] = Kernel(getattr(loaded, f"run_{name}"), kinds.value.decode())
    return kernels


@cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="scratchnet_kernels_"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
