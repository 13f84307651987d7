"""`scratchnet export` and `scratchnet import`: networks for other programs, and from them."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scratchnet.checkpoint import load_model, save_model
from scratchnet.cli.options import Commands, finish
from scratchnet.common.console import note, say, write
from scratchnet.common.notes import parse
from scratchnet.common.spelling import hint
from scratchnet.errors import ScratchnetError
from scratchnet.exchange.formats import FROM, TO, expect_suffix, export_model, import_model
from scratchnet.exchange.pytorch_code import LOADERS, pytorch_code
from scratchnet.models.networks import ARCHITECTURES, parameter_count


def add_to(commands: Commands) -> None:
    """Add `export` and `import`."""
    added = commands.add("export", export, f"Write a network for another program: {', '.join(TO)}.")
    added.add_argument("model", metavar="MODEL", help="a run folder, a weights file or the name of a bundled network")
    added.add_argument(
        "file",
        type=Path,
        metavar="FILE",
        help="NAME.safetensors or NAME.pt, a PyTorch state dict; or NAME.onnx, the encoder: images (N, S, S) float32, "
        "framed as net.prepare gives them, to embedding (N, D)",
    )
    added.add_argument(
        "--score",
        action="store_true",
        help="write the pair's head instead, to NAME.onnx: embeddings first and second (N, D) to logit (N)",
    )
    added.add_argument(
        "--code", action="store_true", help="also print the PyTorch module that the .safetensors or .pt fits"
    )

    text = "Read a network from a PyTorch state dict, .pt or .safetensors, and write it as a weights file."
    added = commands.add("import", import_, text)
    added.add_argument("file", type=Path, metavar="FILE", help="NAME.safetensors, NAME.pt or NAME.pth")
    added.add_argument(
        "--architecture",
        nargs="+",
        metavar=("MODEL", "OPTION=VALUE"),
        help="a network of the same architecture, as of `export`; or one of "
        f"{', '.join(ARCHITECTURES)}, followed by options such as width=24 frame=ink (default: what the file says, if "
        "it is a .safetensors that scratchnet wrote)",
    )
    added.add_argument("--out", type=Path, metavar="FILE.npz", help="where to (default: FILE, with the suffix .npz)")


def export(options: argparse.Namespace) -> int:
    """Write the file; exit code 0. Raises ScratchnetError for a suffix that does not go with the options."""
    suffix = expect_suffix(options.file, TO)
    if options.code and suffix not in LOADERS:
        raise ScratchnetError(f"--code is for {' and '.join(LOADERS)}: {options.file} needs no code")
    if options.score and suffix != ".onnx":
        raise ScratchnetError(f"--score is for .onnx: {options.file} holds encoder and head together")
    if options.code and options.json:
        raise ScratchnetError("--code and --json both print: give one")
    net = load_model(options.model, device="cpu")
    export_model(options.file, net, score=options.score)
    size, S, D = options.file.stat().st_size, net.image_size, net.head.features
    if options.code:
        write(sys.stdout, pytorch_code(net, options.file))
    what = f"state dict of {parameter_count(net.params):,} parameters"
    if suffix == ".onnx":
        what = f"images (N, {S}, {S}), framed by {net.frame!r}, to embedding (N, {D})"
        if options.score:
            what = f"first and second (N, {D}) to logit (N)"
    if not options.json:
        tell = note if options.code else say
        tell(
            f"{options.file}: {what}, {size / 1e6:.1f} MB" if size > 1e5 else f"{options.file}: {what}, {size:,} bytes"
        )
    figures = {"file": str(options.file), "bytes": size, "image_size": S, "features": D, "frame": net.frame}
    return finish(options, figures)


def import_(options: argparse.Namespace) -> int:
    """Read the file and write a weights file; exit code 0.

    Raises ScratchnetError if no --out is given and a file of the default name exists.
    """
    expect_suffix(options.file, FROM)
    out = options.out or options.file.with_suffix(".npz")
    if not options.out and out.exists():
        raise ScratchnetError(f"{out} exists: say with --out where to write, {out} to replace it")
    if out.suffix.lower() != ".npz":
        raise ScratchnetError(f"--out {out}: a weights file ends in .npz")
    net = import_model(options.file, _architecture(options.architecture))
    save_model(out, net)
    if not options.json:
        say(f"{out}: {_described(net.architecture)}; try it: scratchnet compare A.png B.png --model {out}")
    return finish(options, {"file": str(out), "architecture": dict(net.architecture)})


def _architecture(words: Sequence[str] | None) -> dict[str, Any] | None:
    """The architecture that --architecture describes: that of a network, or a name with options."""
    if words is None:
        return None
    name, *settings = words
    if name not in ARCHITECTURES:
        if settings:
            raise ScratchnetError(
                f"--architecture {name} is none of {', '.join(ARCHITECTURES)}{hint(name, ARCHITECTURES)}: options such "
                f"as {settings[0]} belong to one of them"
            )
        return dict(load_model(name, device="cpu").architecture)
    return {"name": name} | dict(map(_option, settings))


def _option(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise ScratchnetError(f"--architecture ... {text}: expected OPTION=VALUE without spaces, such as width=24")
    try:
        return name, parse(value.encode())
    except ValueError:
        return name, value


def _described(architecture: Any) -> str:
    return ", ".join([architecture["name"], *(f"{k}={v}" for k, v in architecture.items() if k != "name")])
