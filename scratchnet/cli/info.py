"""`scratchnet download` and `scratchnet info`."""

import argparse
import os
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from scratchnet import pretrained
from scratchnet.backend import get_device, get_precision, thread_count
from scratchnet.cli.options import Commands, finish
from scratchnet.common.console import is_terminal, say
from scratchnet.common.version import CODE, VERSION
from scratchnet.data.download import ARCHIVES
from scratchnet.data.download import download as fetch
from scratchnet.data.locate import cache_folder
from scratchnet.errors import BackendError
from scratchnet.models.networks import ARCHITECTURES
from scratchnet.ops.accelerated import definitions_only
from scratchnet.train.environment import blas
from scratchnet.train.recipes import RECIPES


def add_to(commands: Commands) -> None:
    """Add `download` and `info`."""
    text = "Download Omniglot from its official repository and verify it; run again to resume."
    added = commands.add("download", download, text, figures=False)
    added.add_argument("folder", nargs="?", type=Path, metavar="DIR", help="destination (default: the cache folder)")
    added.add_argument(
        "--only",
        nargs="+",
        choices=sorted(ARCHIVES),
        metavar="ZIP",
        help=f"download only some of the archives: {', '.join(sorted(ARCHIVES))}",
    )

    commands.add("info", info, "Show the version, device, threads, data, recipes and bundled networks.")


def download(options: argparse.Namespace) -> int:
    """Download and verify the archives; exit code 0. Raises DataError if one cannot be fetched."""
    folder, names = options.folder or cache_folder(), options.only or list(ARCHIVES)
    with tqdm(unit="B", unit_scale=True, leave=False, disable=not is_terminal(sys.stderr)) as bar:
        shown = ""

        def show(name: str, done: int, total: int | None) -> None:
            nonlocal shown
            if name != shown:
                shown = name
                bar.set_description(name, refresh=False)
                bar.reset(total)
            bar.update(done - bar.n)

        fetch(folder, names=names, progress=show)
    say(f"{', '.join(names)}: complete and verified in {folder}")
    return 0


def info(options: argparse.Namespace) -> int:
    """Print facts about this installation; exit code 0."""
    facts: dict[str, Any] = {
        "scratchnet": VERSION,
        "code": CODE,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": blas(),
        "threads": thread_count(),
        "device": _device(),
        "cuda": _cuda(),
        "precision": get_precision(),
        "ops": "definitions" if definitions_only() else "fast",
        "data": str(Path(os.environ.get("SCRATCHNET_DATA") or cache_folder())),
        "recipes": list(RECIPES),
        "architectures": list(ARCHITECTURES),
        "bundled": {name: _bundled(name) for name in pretrained.names()},
    }
    if not options.json:
        shown = facts | {"bundled": [f"{name} ({bundled['text']})" for name, bundled in facts["bundled"].items()]}
        for name, fact in shown.items():
            say(f"{name:14} {(', '.join(fact) or 'none') if isinstance(fact, list) else fact}")
    return finish(options, facts)


def _bundled(name: str) -> dict[str, Any]:
    """The size of a bundled network and the first figure of its card, as values and as text."""
    card, size = pretrained.card(name), pretrained.size(name)
    return {"bytes": size, "figure": dict(card.figures[0]), "text": f"{size / 1e6:.1f} MB; {card.headline()}"}


def _device() -> str:
    """The default device."""
    try:
        return get_device().name
    except BackendError as error:
        return f"not available: {error}"


def _cuda() -> str:
    try:
        get_device("cuda")
    except BackendError as error:
        return f"not available: {error}"
    return "available"
