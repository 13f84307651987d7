"""Small helpers that tests of many modules share: comparing parameters and folders, and small sets of drawings."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from scratchnet.backend import Array, to_host
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.data.splits import Split
from scratchnet.oneshot.trials import Run


def copied(params: Mapping[str, Array]) -> dict[str, np.ndarray]:
    """Copies of the arrays on the host."""
    return {name: to_host(value).copy() for name, value in params.items()}


def same_bits(a: Mapping[str, Array], b: Mapping[str, Array]) -> bool:
    """Whether both hold the same names in the same order, with byte-equal arrays."""
    return list(a) == list(b) and all(to_host(a[name]).tobytes() == to_host(b[name]).tobytes() for name in a)


def arrays_in(value: Any) -> list[np.ndarray]:
    """All arrays in a cache: an array, or a tuple or dictionary that holds some, however deep."""
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, dict):
        value = tuple(value.values())
    return [array for part in value for array in arrays_in(part)] if isinstance(value, tuple) else []


def everything_in(folder: Path) -> dict[Path, bytes | None]:
    """The content of every file by its path; None for a folder."""
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def tiny_split(alphabets: int = 5, *, train: int = 3) -> Split:
    """Small generated alphabets: the first `train` to train on, the others to validate on."""
    found = generate_alphabets(alphabets, characters=6, drawers=4, image_size=16, seed=3)
    return Split(found[:train], found[train:])


def one_by_one(run: Run) -> list[Run]:
    """One run per query, each with the same supports."""
    return [
        replace(run, query=run.query[q : q + 1], query_labels=run.query_labels[q : q + 1])
        for q in range(len(run.query_labels))
    ]
