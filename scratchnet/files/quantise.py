"""Quantised storage of weights: float16 or int8 in the file, float32 again once loaded.

Tensors of two axes or more are quantised, the weights of convolutions and dense layers, which make up nearly all of a
network. Tensors of one axis stay float32: biases, batch norm, the head. For a weight w of output unit o (the last axis)
that is loaded again as w', the largest error is, up to a rounding in float32,

    float32   0
    float16   |w' - w| <= |w| / 2^11,  and at most 1 / 2^25 where |w| < 1 / 2^14
    int8      |w' - w| <= scale_o / 2  with  scale_o = max over the weights of o of |w| / 127

float16 rounds to nearest, ties to even. int8 is symmetric: w' = scale_o rint(w / scale_o), an integer from -127 to 127
times the scale of the unit, which is stored next to the tensor as float32.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from scratchnet.backend import Array, to_host
from scratchnet.common.spelling import hint
from scratchnet.errors import CheckpointError

STORAGES = ("float32", "float16", "int8")
LEVELS = 127  # of int8, on either side of zero
FLOAT16_LIMIT = 65504.0
SCALE = ".scale"  # suffix of the scales of a tensor


def quantise(params: Mapping[str, Array], storage: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return the arrays to write, and the storage of each tensor that was quantised.

    params: float32 arrays by name. storage: one of STORAGES. A tensor (..., O) in int8 comes with its scales (O,) in
    float32, called NAME.scale. Raises CheckpointError for an unknown storage, and for weights that it cannot represent:
    NaN, infinity, or too large for float16.
    """
    if storage not in STORAGES:
        raise CheckpointError(
            f"storage {storage!r} is unknown{hint(storage, STORAGES)}: choose one of {', '.join(STORAGES)}"
        )
    arrays: dict[str, np.ndarray] = {}
    stored: dict[str, str] = {}
    for name, value in params.items():
        if storage == "float32" or value.ndim < 2:
            arrays[name] = to_host(value)
            continue
        weight, stored[name] = to_host(value), storage
        _expect_to_fit(name, weight, storage)
        if storage == "float16":
            arrays[name] = weight.astype(np.float16)
        else:
            arrays[name], arrays[name + SCALE] = _to_int8(weight)
    return arrays, stored


def dequantise(arrays: Mapping[str, np.ndarray], stored: Mapping[str, Any], path: Path) -> dict[str, np.ndarray]:
    """The inverse of `quantise`, up to rounding: the parameters in float32.

    stored: the storage of each quantised tensor, as `quantise` returned it. path: the file, for messages. Raises
    CheckpointError, naming the tensor, if the arrays do not match `stored`.
    """
    whole = dict(arrays)
    for name, storage in stored.items():
        if storage not in STORAGES[1:]:
            raise CheckpointError(
                f"{path} stores {name} as {storage}, which is unknown: use the scratchnet that wrote it"
            )
        if name not in whole or whole[name].dtype != storage:
            found = whole[name].dtype if name in whole else "nothing"
            raise CheckpointError(f"{path} has {name} as {found}, expected {storage}: use another copy")
        weight = whole[name]
        scale = _take_scale(whole, name, path) if storage == "int8" else np.float32(1)
        with np.errstate(over="ignore", invalid="ignore"):  # values that are not finite are refused later
            whole[name] = weight.astype(np.float32) * scale
    return whole


def _expect_to_fit(name: str, weight: np.ndarray, storage: str) -> None:
    largest = np.abs(weight).max(initial=0.0)
    if not np.isfinite(largest):
        raise CheckpointError(f"{name} has a NaN or an infinity, which {storage} cannot represent: train it again")
    if storage == "float16" and largest > FLOAT16_LIMIT:
        raise CheckpointError(f"{name} has a weight of {largest:.0f}, too large for float16: store it as int8")


def _to_int8(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """weight (..., O) as int8 numbers and float32 scales (O,): weight = numbers * scale, up to rounding."""
    units = tuple(range(weight.ndim - 1))
    scale = (np.abs(weight).max(axis=units, initial=0.0) / LEVELS).astype(np.float32)
    numbers = weight / np.where(scale > 0, scale, 1)
    return np.clip(np.rint(numbers), -LEVELS, LEVELS).astype(np.int8), scale


def _take_scale(arrays: dict[str, np.ndarray], name: str, path: Path) -> np.ndarray:
    """Remove the scales (O,) of a tensor (..., O) from `arrays` and return them."""
    scale = arrays.pop(name + SCALE, None)
    expected = arrays[name].shape[-1:]
    if scale is None or scale.dtype != np.float32 or scale.shape != expected:
        found = "nothing" if scale is None else f"{scale.dtype} {scale.shape}"
        raise CheckpointError(f"{path} has {name + SCALE} as {found}, expected float32 {expected}: use another copy")
    return scale
