"""Files of the safetensors format, by the library of that name (extra `exchange`)."""

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from scratchnet.common.notes import expect, parse
from scratchnet.common.version import VERSION
from scratchnet.errors import CheckpointError, ScratchnetError, install_extra
from scratchnet.files.atomic import write_bytes
from scratchnet.files.reading import expect_file, reason

NOTES = "scratchnet"  # the key of our metadata


def _library(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as cause:
        raise ScratchnetError(f".safetensors needs the library safetensors; {install_extra('exchange')}") from cause


def write_safetensors(path: Path | str, tensors: Mapping[str, np.ndarray], architecture: Mapping[str, Any]) -> None:
    """Write tensors by name, and the architecture into the metadata, whole or not at all.

    Raises ScratchnetError without the library, and OSError if writing fails.
    """
    notes = json.dumps({"version": VERSION, "architecture": dict(architecture)})
    metadata = {NOTES: notes}  # one key: the library writes several in an order of chance
    write_bytes(path, _library("safetensors.numpy").save(dict(tensors), metadata))


def read_safetensors(path: Path | str) -> tuple[dict[str, np.ndarray], dict[str, Any] | None]:
    """The tensors of a file by name, and the architecture that scratchnet wrote into it, None if another program did.

    Raises ScratchnetError without the library, CheckpointError if the file is missing, damaged, or holds numbers that
    NumPy has not.
    """
    library = _library("safetensors")
    try:
        expect_file(path)
        with library.safe_open(path, framework="numpy") as file:
            written = (file.metadata() or {}).get(NOTES)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no dictionary
        if written is None:
            return tensors, None
        notes = parse(written.encode())
        expect(notes, {"architecture": {"name": str}}, "its metadata")
        return tensors, notes["architecture"]
    except (OSError, ValueError, TypeError, AttributeError, library.SafetensorError) as cause:
        raise CheckpointError(
            f"{path} is damaged, or no safetensors file ({reason(cause)}): use another copy"
        ) from cause
