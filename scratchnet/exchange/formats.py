"""Export a network to a file of another program's, and import one; the suffix of the file says which."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scratchnet.checkpoint import savable
from scratchnet.common.spelling import hint
from scratchnet.errors import CheckpointError, ScratchnetError
from scratchnet.exchange.onnx_graph import encoder_model, head_model
from scratchnet.exchange.pytorch_file import read_pt, write_pt
from scratchnet.exchange.safetensors_file import read_safetensors, write_safetensors
from scratchnet.exchange.state_dict import network_of, to_state_dict
from scratchnet.files.atomic import write_bytes
from scratchnet.models.siamese import SiameseNet

TO = (".safetensors", ".pt", ".onnx")
FROM = (".safetensors", ".pt", ".pth")


def export_model(path: Path | str, net: SiameseNet, *, score: bool = False) -> None:
    """Write a network to a file, whole or not at all, in the format of its suffix, one of TO.

    .safetensors and .pt hold a PyTorch state dict (`state_dict`); .onnx the encoder or, with `score`, the pair's head
    (`onnx_graph`). Raises ScratchnetError for another suffix, `score` with a format that holds both, and a missing
    library; CheckpointError for a network that could not be saved as our own file; OSError if writing fails.
    """
    suffix = expect_suffix(path, TO)
    if score and suffix != ".onnx":
        raise ScratchnetError(f"{path}: {suffix} holds encoder and head together: leave out score, or write .onnx")
    try:
        savable(net)
    except CheckpointError as cause:
        raise CheckpointError(f"{path} is not written: {cause}") from cause
    if suffix == ".onnx":
        write_bytes(path, head_model(net) if score else encoder_model(net))
    elif suffix == ".pt":
        write_pt(path, to_state_dict(net, net.params))
    else:
        write_safetensors(path, to_state_dict(net, net.params), net.architecture)


def import_model(path: Path | str, architecture: Mapping[str, Any] | None = None) -> SiameseNet:
    """The network in a PyTorch state dict, in a file with a suffix of FROM, on the host.

    architecture: of the network, as `models.build` takes it; None: as the file says, if scratchnet wrote it to
    .safetensors. Raises CheckpointError if there is none, or if the tensors do not fit it, and for a damaged file;
    ScratchnetError for another suffix and a missing library.
    """
    if expect_suffix(path, FROM) == ".safetensors":
        tensors, written = read_safetensors(path)
    else:
        tensors, written = read_pt(path), None
    described = architecture or written
    if described is None:
        raise CheckpointError(
            f"{path} does not say what architecture it is of: name a network of the same one, --architecture MODEL"
        )
    return network_of(tensors, described, path)


def expect_suffix(path: Path | str, known: tuple[str, ...]) -> str:
    """The suffix of a path. Raises ScratchnetError unless it is a known one."""
    suffix = Path(path).suffix.lower()
    if suffix not in known:
        given = f"the suffix {suffix!r}" if suffix else "no suffix"
        raise ScratchnetError(f"{path} has {given}{hint(suffix, known)}: expected {', '.join(known)}")
    return suffix
