"""Save and load networks and training states: NumPy's .npz with a JSON description, no pickle, written atomically.

An .npz is a zip, so every array has a checksum and a flipped byte is noticed. The description in a file is checked
against its arrays before either is used.
"""

import math
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from scratchnet import pretrained
from scratchnet.backend import Array, Device, Params, to_host
from scratchnet.common.notes import MAX_BYTES, dump, expect, parse
from scratchnet.common.spelling import hint
from scratchnet.errors import CheckpointError
from scratchnet.files.atomic import atomic_write
from scratchnet.files.npz import KINDS, MAX_ARRAYS, Npz, open_npz
from scratchnet.files.quantise import dequantise, quantise
from scratchnet.files.reading import reason
from scratchnet.models.networks import describe
from scratchnet.models.siamese import SiameseNet

DESCRIPTION = "description.json"
VERSION = 1
WEIGHTS = "weights.npz"  # the network's file in a run folder
ZIP = b"PK\3\4"  # the first bytes of a file of arrays
NAMES = re.compile(r"[\w./ ()-]{1,128}", re.ASCII)  # of the arrays in a file
RUN = (WEIGHTS, "recipe.json")  # a run folder holds at least one of these
SLACK = 1 << 20  # bytes of arrays allowed beyond those described, so that a message can name a superfluous one


def save_arrays(path: Path | str, arrays: Mapping[str, Array], description: Mapping[str, Any]) -> None:
    """Write numeric arrays and a JSON description to one file, whole or not at all.

    `load_arrays` returns the arrays bit for bit, and the description as JSON keeps it, with tuples as lists. Raises
    CheckpointError for anything that would not survive this: names that do not match NAMES, object arrays, and
    descriptions that are not JSON or that use the keys "version" or "arrays". Raises OSError if writing fails.
    """
    held = {name: to_host(value) for name, value in arrays.items()}
    if fault := _unreadable(held, description):
        raise CheckpointError(f"{path} is not written, {fault}")
    try:
        text = dump({"version": VERSION, "arrays": list(held), **description})
    except (ValueError, TypeError, RecursionError) as cause:
        raise CheckpointError(f"{path} is not written, its description could not be read back: {cause}") from cause
    with atomic_write(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, value in {DESCRIPTION: np.frombuffer(text, np.uint8), **held}.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, value, allow_pickle=False)


def _unreadable(arrays: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> str | None:
    """Why these could not be read back, or None."""
    if len(arrays) >= MAX_ARRAYS:
        return f"{len(arrays):,} arrays are too many: expected fewer than {MAX_ARRAYS:,}"
    if own := sorted(description.keys() & {"version", "arrays"}):
        return f"its description has a {own[0]!r}, a name that is reserved: choose another name"
    for name, value in arrays.items():
        if not isinstance(name, str) or not NAMES.fullmatch(name) or name == DESCRIPTION:
            return f"{name!r} is not a valid name for an array: use letters, digits and ._/-"
        if value.dtype.kind not in KINDS:
            return f"{name} is {value.dtype}, expected numbers"
    return None


def load_arrays(
    path: Path | str, *, most: Callable[[Mapping[str, Any]], int] | None = None
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read the arrays and the description that `save_arrays` wrote.

    most: maps a description to the largest number of bytes that its arrays may have; if there are more, none is read.
    Raises CheckpointError if the file is missing, damaged or of a different kind.
    """
    with _opened(Path(path)) as (file, outlines, description):
        held = bytes_of(outlines)
        if most and held > most(description) + SLACK:
            raise ValueError(f"it holds {held:,} bytes of arrays, far more than it describes")
        return {name: file.read(name) for name in outlines}, description


def look_into(path: Path | str) -> tuple[Params, dict[str, Any]]:
    """The outlines of the arrays in a file, and its description, without reading the arrays. Raises as `load_arrays`.

    An outline has the shape and dtype of an array but takes no memory.
    """
    with _opened(Path(path)) as (_, outlines, description):
        return outlines, description


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Npz, Params, dict[str, Any]]]:
    """Open a file: its arrays, their outlines and the description, checked against each other."""
    if not path.exists():
        raise CheckpointError(f"{path} does not exist: expected a saved network or a run folder with {WEIGHTS}")
    try:
        with open_npz(path) as file:
            description = _read_description(file, path)
            yield (
                file,
                {
                    name: np.broadcast_to(np.zeros((), outline.dtype), outline.shape)
                    for name, outline in file.outlines.items()
                    if name != DESCRIPTION
                },
                description,
            )
    except (OSError, ValueError) as cause:
        raise CheckpointError(
            f"{path} is damaged, or not from scratchnet ({reason(cause)}): use another copy"
        ) from cause


def _read_description(file: Npz, path: Path) -> dict[str, Any]:
    """The description in an open file, without its list of arrays, which is checked against those in the file."""
    if DESCRIPTION not in file.outlines or file.outlines[DESCRIPTION].member.size > MAX_BYTES:
        raise ValueError("its description is missing or too long")
    description: dict[str, Any] = parse(file.read(DESCRIPTION).tobytes())
    expect(description, {"version": int, "arrays?": [str]}, "the description")
    if description["version"] != VERSION:
        raise CheckpointError(
            f"{path} has format {description['version']}, expected {VERSION}: use the scratchnet that wrote it"
        )
    names = [name for name in file.outlines if name != DESCRIPTION]
    if (listed := description.pop("arrays", [])) != names:
        raise ValueError(f"it lists {len(listed)} arrays but holds {len(names)}, or they differ")
    return description


def save_model(path: Path | str, net: SiameseNet, *, storage: str = "float32", **notes: Any) -> None:
    """Write a network to a file: its architecture, its parameters, and notes for whoever loads it.

    storage: "float32", bit for bit; or "float16" or "int8", a half or a quarter of the size, with the rounding errors
    given in `scratchnet.files.quantise`. The description lists the quantised tensors; loading always gives float32.

    Raises CheckpointError for anything that `load_model` could not restore: a network that differs from its
    `architecture`, parameters that are missing or of the wrong shape or dtype, NaN and infinity, weights that the
    storage cannot represent, and notes that are not JSON. Raises OSError if writing fails.
    """
    try:
        params = savable(net)
        arrays, stored = quantise(params, storage)
        again = dequantise(arrays, stored, Path(path))
        fitting(again, params, f"the network, as {storage},", finite="store it as float32")  # a scale can overflow
    except CheckpointError as cause:
        raise CheckpointError(f"{path} is not written: {cause}") from cause
    description = {"architecture": dict(net.architecture), "notes": notes}
    save_arrays(path, arrays, description | ({"storage": stored} if stored else {}))


def savable(net: SiameseNet) -> dict[str, np.ndarray]:
    """The parameters of a network on the host. Raises CheckpointError unless its architecture fits them."""
    if not net.architecture:
        raise CheckpointError(
            "the network has no architecture to rebuild it from, as those of models.build have: "
            "save its parameters with save_arrays(path, net.params, {})"
        )
    try:
        again, outlines = describe(parse(dump(dict(net.architecture))))
    except (TypeError, ValueError) as cause:
        raise CheckpointError(f"the network's architecture could not be read back: {cause}") from cause
    for name, actual, built in (
        ("image_size", net.image_size, again.image_size),
        ("frame", net.frame, again.frame),
        ("head", net.head, again.head),
        ("encoder", net.encoder, again.encoder),
    ):
        if repr(actual) != repr(built):  # which also compares the order of the layers
            raise CheckpointError(
                f"the {name} of the network is not the one that its architecture describes: "
                "build the network from its architecture"
            )
    return fitting(
        {name: to_host(value) for name, value in net.params.items()},
        outlines,
        "the network",
        precision="write net.params[name].astype(np.float32)",
        finite="go back to a network that was saved earlier",
        shape="build the network from its architecture",
    )


def load_model(source: Path | str, *, device: str | Device | None = None) -> SiameseNet:
    """Load the network in a file or a run folder, or the bundled network of that name, onto `device`.

    The name of a bundled network refers to it unless the current folder has a run folder or a weights file of that
    name; a folder of drawings called "omniglot" does not hide the network. "./omniglot" and a Path are always paths.

    Raises CheckpointError if there is no such network, if the file is damaged or does not fit the architecture that it
    names, or if a bundled file is not the one that its card describes; BackendError if the device is unavailable.
    """
    return load_model_with_notes(source, device=device)[0]


def load_model_with_notes(
    source: Path | str, *, device: str | Device | None = None
) -> tuple[SiameseNet, dict[str, Any]]:
    """Load a network, and the notes that were saved with it; otherwise like `load_model`."""
    path = Path(source)
    if isinstance(source, str) and source in pretrained.names() and not _holds_a_run(path):
        return load_bundled(source, device=device)
    if path.is_dir():
        path = path / WEIGHTS
    elif not path.exists():
        raise CheckpointError(
            f"{path} does not exist: expected a saved network, a run folder with {WEIGHTS} "
            f"or the name of a bundled network ({pretrained.list_names()})"
            f"{hint(source, pretrained.names())}"
        )
    return _read_model(path, device)


def _holds_a_run(path: Path) -> bool:
    """Whether `path` is a run folder, possibly still without weights, or looks like a weights file."""
    if path.is_dir():
        return any((path / name).exists() for name in RUN)
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(ZIP)) == ZIP


def load_bundled(name: str, *, device: str | Device | None = None) -> tuple[SiameseNet, dict[str, Any]]:
    """Load the bundled network of this name, and its notes, even if there is a path of the same name.

    Raises CheckpointError if there is none, or if its file is not the one that its card describes.
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

    arrays, description = load_arrays(path, most=lambda description: bytes_of(described(description)[1]))
    net, outlines = described(description)
    net.params = fitting(dequantise(arrays, description.get("storage", {}), path), outlines, path)
    return net.to_device(device), description.get("notes", {})


def bytes_of(arrays: Mapping[str, Array]) -> int:
    """The total size of the arrays in bytes, or of the arrays that outlines stand for."""
    return sum(math.prod(value.shape) * value.dtype.itemsize for value in arrays.values())


def fitting(
    arrays: Mapping[str, np.ndarray],
    params: Mapping[str, Array],
    place: Path | str,
    shape: str = "it belongs to a different architecture",
    precision: str = "another program wrote it, convert it there",
    finite: str = "use another copy",
) -> dict[str, np.ndarray]:
    """Return `arrays` in the order of `params`.

    Raises CheckpointError, naming the array, if one is missing, superfluous, not finite, or of another shape or dtype.
    place: what the arrays belong to, for the message. shape, precision and finite: the advice to give for a wrong shape
    or name, a wrong dtype, and values that are not finite.
    """
    for name, value in params.items():
        if name not in arrays:
            raise CheckpointError(f"{place} has no {name}: {shape}")
        array = arrays[name]
        if array.shape != value.shape or array.dtype != value.dtype:
            raise CheckpointError(
                f"{place} has {name} as {array.dtype} {array.shape}, expected {value.dtype} "
                f"{value.shape}: {precision if array.shape == value.shape else shape}"
            )
        if not np.isfinite(array).all():
            raise CheckpointError(f"{place} has a NaN or an infinity in {name}: {finite}")
    if extra := sorted(arrays.keys() - params.keys(), key=str):
        raise CheckpointError(f"{place} has {extra[0]}, which the architecture lacks: {shape}")
    return {name: arrays[name] for name in params}
