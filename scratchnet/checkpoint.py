"""Networks and training states as files: NumPy's .npz with a JSON description, no pickle, written whole or not at all.

An .npz is a zip, so every array has a checksum and a flipped byte is noticed.
"""

import json
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from scratchnet import pretrained
from scratchnet.backend import Array, Device, to_host
from scratchnet.errors import CheckpointError
from scratchnet.files import atomic_write
from scratchnet.models import build
from scratchnet.siamese import SiameseNet
from scratchnet.storage import pack, unpack

DESCRIPTION = "description.json"
VERSION = 1
WEIGHTS = "weights.npz"  # the network's file in a run folder


def save_arrays(path: Path | str, arrays: Mapping[str, Array], description: Mapping[str, Any]) -> None:
    """Write arrays and a JSON description to one file, whole or not at all."""
    text = json.dumps({"version": VERSION, "arrays": list(arrays), **description}).encode()
    with atomic_write(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, value in {DESCRIPTION: np.frombuffer(text, np.uint8), **arrays}.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, to_host(value), allow_pickle=False)


def load_arrays(path: Path | str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what `save_arrays` wrote. Raises CheckpointError when it is missing, damaged or of another kind."""
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path} is no file: expected a saved network or a run folder with {WEIGHTS}")
    try:
        _refuse_bombs(path)
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        description = json.loads(arrays.pop(DESCRIPTION).tobytes())
        version = description["version"]
        listed = description.pop("arrays", [])
    except CheckpointError:
        raise
    except Exception as cause:  # a damaged zip fails in seven ways
        reason = " ".join(str(cause).split())[:200]
        raise CheckpointError(f"{path} is damaged or not by scratchnet ({reason}): use another copy") from cause
    if version != VERSION:
        raise CheckpointError(f"{path} has format {version}, expected {VERSION}: use the scratchnet that wrote it")
    if listed != list(arrays):  # damage to the zip's directory can hide some
        raise CheckpointError(f"{path} is damaged, it holds {len(arrays)} arrays of {len(listed)}: use another copy")
    return arrays, description


def save_model(path: Path | str, net: SiameseNet, storage: str = "float32", **notes: Any) -> None:
    """Write a network: its architecture, its parameters, and notes for the reader.

    storage: "float32", bit for bit; or "float16" or "int8", a half or a quarter of the size, with the rounding errors
    that `scratchnet.storage` states. The description lists what is stored small; whatever the storage, loading gives
    float32. Raises CheckpointError for a network that does not say how `models.build` can make it again, and for
    weights that the storage cannot hold.
    """
    if not net.architecture:
        raise CheckpointError(f"the network has no architecture to build it by: {path} is not written")
    arrays, stored = pack(net.params, storage)
    description = {"architecture": dict(net.architecture), "notes": notes}
    save_arrays(path, arrays, description | ({"storage": stored} if stored else {}))


def load_model(source: Path | str, device: str | Device | None = None) -> SiameseNet:
    """The network in a file or in a run folder, or the bundled one called so where there is no such path; on `device`.

    Raises CheckpointError when there is none, or when the file is damaged or does not fit the architecture that it
    names, or is a bundled one and not the one that its card describes.
    """
    return load_model_with_notes(source, device)[0]


def load_model_with_notes(
    source: Path | str, device: str | Device | None = None
) -> tuple[SiameseNet, dict[str, Any]]:
    """The network and the notes that were saved with it; otherwise as `load_model`."""
    path = Path(source)
    if path.is_dir():
        path = path / WEIGHTS
    elif not path.exists():
        name = str(source)
        if name in pretrained.names():
            return load_bundled(name, device)
        raise CheckpointError(f"{path} is no file: expected a saved network, a run folder with {WEIGHTS} "
                              f"or the name of a bundled network ({pretrained.list_names()})")
    return _read_model(path, device)


def load_bundled(name: str, device: str | Device | None = None) -> tuple[SiameseNet, dict[str, Any]]:
    """The bundled network called so, and its notes, even where a path is called so, too.

    Raises CheckpointError when there is none, or when its file is not the one that its card describes.
    """
    with pretrained.weights(name) as path:
        return _read_model(path, device)


def _read_model(path: Path, device: str | Device | None) -> tuple[SiameseNet, dict[str, Any]]:
    arrays, description = load_arrays(path)
    try:
        net = build(description.get("architecture", {}))
        notes = dict(description.get("notes", {}))
        stored = dict(description.get("storage", {}))
    except Exception as cause:  # a description can hold anything
        reason = " ".join(str(cause).split())[:200]
        raise CheckpointError(f"{path} does not describe a network ({reason}): use another copy") from cause
    net.params = fitting(unpack(arrays, stored, path), net.params, path)
    return net.to_device(device), notes


def fitting(arrays: Mapping[str, np.ndarray], params: Mapping[str, Array], path: Path) -> dict[str, np.ndarray]:
    """`arrays` in the order of `params`, or a CheckpointError that names the first that is missing or does not fit."""
    for name, value in params.items():
        if name not in arrays:
            raise CheckpointError(f"{path} has no {name}: it belongs to another architecture")
        if arrays[name].shape != value.shape or arrays[name].dtype != value.dtype:
            raise CheckpointError(
                f"{path} has {name} as {arrays[name].dtype} {arrays[name].shape}, "
                f"expected {value.dtype} {value.shape}: it belongs to another architecture"
            )
        if not np.isfinite(arrays[name]).all():
            raise CheckpointError(f"{path} has a NaN or an infinity in {name}: use another copy")
    if extra := sorted(arrays.keys() - params.keys()):
        raise CheckpointError(f"{path} has {extra[0]}, which the architecture lacks: it belongs to another one")
    return {name: arrays[name] for name in params}


def _refuse_bombs(path: Path) -> None:
    """Our files are stored uncompressed and hold what their headers say; anything else is not ours."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        for member in members:
            if member.compress_type != zipfile.ZIP_STORED or member.file_size > path.stat().st_size:
                raise CheckpointError(f"{path} is no checkpoint of scratchnet, {member.filename} is compressed: "
                                      "expected what `scratchnet train` wrote")
        for member in members:
            with archive.open(member) as file:
                shape, _, dtype = _read_npy_header(file)
                held = member.file_size - file.tell()
            if math.prod(shape) * dtype.itemsize != held:
                raise CheckpointError(f"{path} is damaged, {member.filename} promises {dtype} {shape} "
                                      f"but holds {held} bytes: use another copy")


def _read_npy_header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype]:
    np.lib.format.read_magic(file)
    return np.lib.format.read_array_header_1_0(file)
