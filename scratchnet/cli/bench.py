"""`scratchnet bench`."""

import argparse
from pathlib import Path
from typing import Any

from scratchnet import pretrained
from scratchnet.backend import CPU, get_device, get_precision
from scratchnet.bench import embedding, measure, peers, report
from scratchnet.bench.workload import Workload
from scratchnet.cli.options import Commands, add_device, at_least, finish
from scratchnet.common.console import say
from scratchnet.common.spelling import hint
from scratchnet.errors import ScratchnetError
from scratchnet.models.networks import ARCHITECTURES


def add_to(commands: Commands) -> None:
    text = "Time a training step and its layers, or embedding, beside other libraries."
    added = commands.add("bench", run, text)
    added.add_argument(
        "--network",
        type=_network,
        default="koch2015",
        help=f"{', '.join(sorted(ARCHITECTURES))}, a run folder, a weights file or the name of a "
        "bundled network (default: koch2015)",
    )
    added.add_argument("--image-size", type=at_least(1), metavar="PIXELS", help="default: the network's own")
    added.add_argument("--pairs", type=at_least(1), default=64, help="pairs in a batch (default 64)")
    added.add_argument("--rounds", type=at_least(1), default=5, help="steps timed, after one that is not (default 5)")
    added.add_argument(
        "--against",
        nargs="+",
        choices=sorted(peers.MODULES),
        default=[],
        metavar="LIBRARY",
        help=f"time the same step in {', '.join(sorted(peers.MODULES))} in turns, where installed",
    )
    added.add_argument(
        "--memory-peak",
        action="store_true",
        help="also the peak memory of scratchnet and of each library, in processes of their own",
    )
    added.add_argument(
        "--embed",
        action="store_true",
        help="instead of a training step: images embedded a second, all of the batch together, and the "
        f"time for a single one; --against {' or '.join(peers.EMBEDDERS)}",
    )
    add_device(added)


def run(options: argparse.Namespace) -> int:
    if options.embed and options.memory_peak:
        raise ScratchnetError("--memory-peak is that of training steps: leave out it or --embed")
    size = {"image_size": options.image_size} if options.image_size else {}
    on_cpu = get_device(options.device) is CPU
    precision = options.precision or ("float32" if on_cpu else get_precision())  # the variable may be meant for others
    workload = Workload(options.network, options.pairs, options.device, size, precision)
    figures: dict[str, Any] = {}
    sections = (
        embedding.sections(workload, options.rounds, options.against)
        if options.embed
        else measure.sections(workload, options.rounds, options.against, options.memory_peak)
    )
    try:
        for name, section in sections:
            figures[name] = section
            if not options.json:
                say(*report.render(name, section).splitlines())
    except KeyboardInterrupt:
        finish(options, figures)  # what there is of them
        raise
    compared = [row for name in ("peers", "compiled peers", "embedding") for row in figures.get(name, [])]
    failed = any(row.get("failed") for row in compared)
    return finish(options, figures, code=1 if failed else 0)


def _network(text: str) -> str:
    """The type of an option that names an architecture, a path or a bundled network."""
    if text not in ARCHITECTURES and text not in pretrained.names() and not Path(text).exists():
        raise argparse.ArgumentTypeError(
            f"{text} is neither an architecture ({', '.join(ARCHITECTURES)}) nor a run folder or weights file nor a "
            f"bundled network ({pretrained.list_names()}){hint(text, [*ARCHITECTURES, *pretrained.names()])}"
        )
    return text
