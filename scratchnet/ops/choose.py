"""Which function computes an operation: the one place that decides.

Definitions are in `ops/`, and of images in `images/`. For real numbers there are functions of the same names that are
faster: in `ops/fast/` (two convolutions there also run on a GPU, if asked for), in `ops/cuda/`, and the products in
`backend/products.py`. All give the same results to rounding; the tests hold each to its definition. A new method is a
file, and a line here.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from scratchnet.backend import CPU, Array, Device, device_of, products, thread_count
from scratchnet.ops.conv import Saved
from scratchnet.ops.cuda import conv_cost as cuda_conv_cost
from scratchnet.ops.cuda import conv_dft as cuda_conv_dft
from scratchnet.ops.cuda import conv_im2col as cuda_conv_im2col
from scratchnet.ops.cuda import norm as cuda_norm
from scratchnet.ops.cuda import pool as cuda_pool
from scratchnet.ops.cuda import stroke as cuda_stroke
from scratchnet.ops.cuda import update as cuda_update
from scratchnet.ops.cuda import warp as cuda_warp
from scratchnet.ops.fast import (
    conv_bands,
    conv_cost,
    conv_dft,
    conv_im2col,
    conv_winograd,
    inference,
    norm,
    norm_relu,
    pixels,
    pool,
    update,
)
from scratchnet.ops.fast.conv_cost import Problem

REAL = {"f", "d"}  # float32 and float64
ON_CPU = {
    "dense": products, "inference": inference, "norm": norm, "norm_relu": norm_relu, "pixels": pixels, "pool": pool,
    "update": update,
}  # fmt: skip
ON_GPU = {
    "augment": cuda_stroke, "dense": products, "finite": cuda_update, "norm": cuda_norm, "pool": cuda_pool,
    "update": cuda_update, "warp": cuda_warp,
}  # fmt: skip
CONVOLUTIONS = {  # None: the definition
    "offsets": None, "im2col": conv_im2col, "bands": conv_bands, "dft": conv_dft, "winograd": conv_winograd,
}  # fmt: skip
CONVOLUTIONS_ELSEWHERE = CONVOLUTIONS | {"dft": cuda_conv_dft}  # on any device but the CPU
CONVOLUTIONS_ON_GPU = CONVOLUTIONS_ELSEWHERE | {"im2col": cuda_conv_im2col}


def faster(operation: str, function: str, arguments: tuple[Any, ...]) -> Callable[..., Any] | None:
    """The `function` of `operation` for these arguments, in a faster tier; None where the definition is the choice."""
    arrays = _arrays_in(arguments)
    kinds = {array.dtype.char for array in arrays if array.dtype.kind in "fc"}
    if not kinds or not kinds <= REAL:
        return None  # complex numbers, used to check derivatives; or no numbers to compute with
    device = device_of(arrays[0])
    if operation == "conv":
        module = _convolution(device, arguments)
    else:
        module = (ON_CPU if device is CPU else ON_GPU if device.launch else {}).get(operation)
    return getattr(module, function, None)


def _arrays_in(arguments: Sequence[Any]) -> list[Array]:
    """The arrays among the arguments, and in lists and tuples of them."""
    found = []
    for argument in arguments:
        if isinstance(argument, list | tuple):
            found += _arrays_in(argument)
        elif hasattr(argument, "dtype"):
            found.append(argument)
    return found


def _convolution(device: Device, arguments: tuple[Any, ...]) -> Any:
    """The module of the algorithm: in forward the one asked for, in backward the one that forward took."""
    match arguments:
        case [_, _, _, Saved(algorithm=algorithm), *_]:
            pass
        case [x, weight, stride, padding, algorithm]:
            if algorithm == "auto":
                algorithm = choose_convolution(device, Problem.of(x.shape, weight.shape, stride, padding))
    if device is CPU:
        return CONVOLUTIONS[algorithm]
    return (CONVOLUTIONS_ON_GPU if device.launch else CONVOLUTIONS_ELSEWHERE)[algorithm]


def choose_convolution(device: Device, problem: Problem) -> str:
    """The algorithm that "auto" stands for: the one with the least cost."""
    return _cheapest(problem, thread_count() if device is CPU else None)


@lru_cache(maxsize=1024)
def _cheapest(problem: Problem, threads: int | None) -> str:
    """The algorithm with the least cost on so many threads of the CPU, or on another device."""
    costs = conv_cost.costs(problem, threads) if threads else cuda_conv_cost.costs(problem)
    return min(costs, key=costs.__getitem__)
