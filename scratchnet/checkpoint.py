"""Networks and training states as files: NumPy's .npz with a JSON description, no pickle, written whole or not at all.

An .npz is a zip, so every array has a checksum and a flipped byte is noticed. What a file describes is compared with
what it holds before anything is made of it.
"""

import math
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from scratchnet import pretrained
from scratchnet.backend import Array, Device, Params, to_host
from scratchnet.errors import CheckpointError
from scratchnet.files import atomic_write
from scratchnet.models import describe
from scratchnet.notes import MAX_BYTES, dump, expect, parse
from scratchnet.npz import Npz, open_npz
from scratchnet.reading import reason
from scratchnet.siamese import SiameseNet
from scratchnet.storage import pack, unpack

DESCRIPTION = "description.json"
VERSION = 1
WEIGHTS = "weights.npz"  # the network's file in a run folder
SLACK = 1 << 20  # bytes of arrays that a file may hold besides those it describes: they are named, not read


def save_arrays(path: Path | str, arrays: Mapping[str, Array], description: Mapping[str, Any]) -> None:
    """Write arrays and a JSON description to one file, whole or not at all.

    Raises CheckpointError for a description that could not be read again, and TypeError for one that JSON cannot hold.
    """
    try:
        text = dump({"version": VERSION, "arrays": list(arrays), **description})
    except ValueError as cause:
        raise CheckpointError(f"{path} is not written, its description could not be read again: {cause}") from cause
    with atomic_write(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, value in {DESCRIPTION: np.frombuffer(text, np.uint8), **arrays}.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, to_host(value), allow_pickle=False)


def load_arrays(
    path: Path | str, most: Callable[[Mapping[str, Any]], int] | None = None
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what `save_arrays` wrote. Raises CheckpointError when it is missing, damaged or of another kind.

    most: the bytes of all arrays by the description, at most; where there are more, none is read.
    """
    with _opened(Path(path)) as (file, outlines, description):
        held = bytes_of(outlines)
        if most and held > most(description) + SLACK:
            raise ValueError(f"it holds {held:,} bytes of arrays, far more than it describes")
        return {name: file.read(name) for name in outlines}, description


def look_into(path: Path | str) -> tuple[Params, dict[str, Any]]:
    """The outlines of the arrays in a file and its description, with no array read; otherwise as `load_arrays`.

    An outline has the shape and the dtype of the array, and takes no memory.
    """
    with _opened(Path(path)) as (_, outlines, description):
        return outlines, description


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Npz, Params, dict[str, Any]]]:
    """An open file, the outlines of its arrays, and its description, checked against each other."""
    if not path.exists():
        raise CheckpointError(f"{path} is no file: expected a saved network or a run folder with {WEIGHTS}")
    try:
        with open_npz(path) as file:
            description = _read_description(file, path)
            yield file, {
                name: np.broadcast_to(np.zeros((), outline.dtype), outline.shape)
                for name, outline in file.outlines.items() if name != DESCRIPTION
            }, description
    except (OSError, ValueError) as cause:
        raise CheckpointError(f"{path} is damaged or not by scratchnet ({reason(cause)}): use another copy") from cause


def _read_description(file: Npz, path: Path) -> dict[str, Any]:
    """The description in an open file; the names of the arrays are compared with it, and taken out."""
    if DESCRIPTION not in file.outlines or file.outlines[DESCRIPTION].member.size > MAX_BYTES:
        raise ValueError("it has no description, or an endless one")
    description: dict[str, Any] = parse(file.read(DESCRIPTION).tobytes())
    expect(description, {"version": int, "arrays?": [str]}, "the description")
    if description["version"] != VERSION:
        raise CheckpointError(f"{path} has format {description['version']}, expected {VERSION}: "
                              "use the scratchnet that wrote it")
    names = [name for name in file.outlines if name != DESCRIPTION]
    if (listed := description.pop("arrays", [])) != names:
        raise ValueError(f"it lists {len(listed)} arrays and holds {len(names)}, not the same")
    return description


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
    def described(description: Mapping[str, Any]) -> tuple[SiameseNet, Params]:
        try:
            expect(description, {"architecture": dict, "notes?": dict, "storage?": dict}, "the description")
            return describe(description["architecture"])
        except (ValueError, CheckpointError) as cause:
            raise CheckpointError(f"{path} does not describe a network ({cause}): use another copy") from cause

    arrays, description = load_arrays(path, lambda description: bytes_of(described(description)[1]))
    net, outlines = described(description)
    net.params = fitting(unpack(arrays, description.get("storage", {}), path), outlines, path)
    return net.to_device(device), description.get("notes", {})


def bytes_of(arrays: Mapping[str, Array]) -> int:
    """The bytes of some arrays, or of the outlines of some, once they are filled."""
    return sum(math.prod(value.shape) * value.dtype.itemsize for value in arrays.values())


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
