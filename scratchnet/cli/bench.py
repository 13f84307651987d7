"""`scratchnet bench`."""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from scratchnet import pretrained
from scratchnet.backend import CPU, get_device, get_precision
from scratchnet.bench import apart, embedding, measure, peers, photos, report
from scratchnet.bench.workload import Workload
from scratchnet.cli.options import Commands, add_device, at_least, finish
from scratchnet.common.console import say
from scratchnet.common.spelling import hint
from scratchnet.errors import ScratchnetError
from scratchnet.models.networks import ARCHITECTURES


def add_to(commands: Commands) -> None:
    """Add `bench`."""
    text = "Time a training step layer by layer, or embedding, next to other libraries; or reading photos."
    added = commands.add("bench", run, text)
    added.add_argument(
        "--network",
        type=_network,
        default="koch2015",
        help=f"{', '.join(sorted(ARCHITECTURES))}, a run folder, a weights file or the name of a "
        "bundled network (default: %(default)s)",
    )
    added.add_argument(
        "--image-size", type=at_least(1), metavar="PIXELS", help="height and width of images (default: the network's)"
    )
    added.add_argument(
        "--pairs", type=at_least(1), default=64, metavar="N", help="pairs per batch (default: %(default)s)"
    )
    added.add_argument(
        "--rounds", type=at_least(1), default=5, metavar="N", help="timed steps, after a warm-up (default: %(default)s)"
    )
    added.add_argument(
        "--against",
        nargs="+",
        choices=sorted(peers.MODULES),
        default=[],
        metavar="LIBRARY",
        help=f"also time the same step, interleaved, in any of {', '.join(sorted(peers.MODULES))}, if installed",
    )
    added.add_argument(
        "--memory-peak",
        action="store_true",
        help="also measure the peak memory of scratchnet and of each library, in separate processes",
    )
    added.add_argument(
        "--embed",
        action="store_true",
        help="time embedding instead of a training step: images per second for the whole batch, and the latency of a "
        f"single image; compares with {' or '.join(peers.EMBEDDERS)} only",
    )
    added.add_argument(
        "--apart",
        action="store_true",
        help="run each library in a process of its own, in turns, with its own allocator: only whole steps, or with "
        "--embed embedding",
    )
    added.add_argument(
        "--photos",
        action="store_true",
        help="time reading and cleaning photos of 1, 3 and 12 megapixels instead, next to decoding their JPEGs; only "
        "--rounds applies",
    )
    add_device(added)


def run(options: argparse.Namespace) -> int:
    """Print each section once measured; exit code 1 if a library disagrees. Raises ScratchnetError if options clash."""
    if options.embed and options.memory_peak:
        raise ScratchnetError("--memory-peak measures training steps: drop it, or --embed")
    if options.apart and not options.against:
        raise ScratchnetError("--apart compares: add --against torch, or drop it")
    if options.apart and options.memory_peak:
        raise ScratchnetError("--memory-peak has processes of its own: drop it, or --apart")
    if options.photos:
        if options.embed or options.memory_peak or options.against:
            raise ScratchnetError("--photos times reading alone: drop it, or --embed, --memory-peak and --against")
        return _show(options, photos.sections(options.rounds))
    size = {"image_size": options.image_size} if options.image_size else {}
    on_cpu = get_device(options.device) is CPU
    precision = options.precision or ("float32" if on_cpu else get_precision())  # SCRATCHNET_PRECISION is for GPUs
    workload = Workload(options.network, options.pairs, options.device, size, precision)
    if options.apart:
        return _show(options, apart.sections(workload, options.rounds, against=options.against, embed=options.embed))
    if options.embed:
        return _show(options, embedding.sections(workload, options.rounds, against=options.against))
    return _show(
        options, measure.sections(workload, options.rounds, against=options.against, memory_peak=options.memory_peak)
    )


def _show(options: argparse.Namespace, sections: Iterable[tuple[str, Any]]) -> int:
    figures: dict[str, Any] = {}
    try:
        for name, section in sections:
            figures[name] = section
            if not options.json:
                say(*report.render(name, section).splitlines())
    except KeyboardInterrupt:
        finish(options, figures)  # those measured so far
        raise
    rows = [row for name in ("peers", "compiled peers", "embedding") for row in figures.get(name, [])]
    failed = any(row.get("failed") for row in rows)
    return finish(options, figures, code=1 if failed else 0)


def _network(text: str) -> str:
    """An argparse type: the name of an architecture or bundled network, or a path."""
    if text not in ARCHITECTURES and text not in pretrained.names() and not Path(text).exists():
        raise argparse.ArgumentTypeError(
            f"{text} is not an architecture ({', '.join(ARCHITECTURES)}), a run folder, a weights file or a bundled "
            f"network ({pretrained.list_names()}){hint(text, [*ARCHITECTURES, *pretrained.names()])}"
        )
    return text
