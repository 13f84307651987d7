"""`scratchnet explain`: what a network does with a pair of images, forward and back."""

import argparse
from pathlib import Path
from typing import Any

from scratchnet.backend import to_host
from scratchnet.checkpoint import load_bundled, load_model
from scratchnet.cli.options import Commands, add_model, at_least, finish
from scratchnet.common.console import say
from scratchnet.errors import DataError
from scratchnet.explain.examples import Example, example
from scratchnet.explain.page import CHANNELS, write_page
from scratchnet.pretrained import DEFAULT


def add_to(commands: Commands) -> None:
    """Add `explain`."""
    text = (
        "Show what a network computes from two images, forward and back through every layer: as a table or, with "
        "--html, as a page that shows where every number comes from."
    )
    added = commands.add("explain", explain, text)
    added.add_argument("images", nargs="*", metavar="IMAGE", help="two images (default: two generated drawings)")
    add_model(added)
    added.add_argument("--html", type=Path, metavar="FILE", help="write the page to this file")
    added.add_argument(
        "--channels",
        type=at_least(1),
        metavar="N",
        help=f"channels of each layer on the page, those that matter most to the loss (default: {CHANNELS})",
    )
    added.add_argument(
        "--different", action="store_true", help="label the pair as different characters (default: the same)"
    )


def explain(options: argparse.Namespace) -> int:
    """Print the table or write the page; exit code 0. Raises DataError for one image, or three."""
    if len(options.images) not in (0, 2):
        raise DataError(f"explain takes two images or none, got {len(options.images)}")
    if options.channels and not options.html:
        raise DataError("--channels is for the page: add --html FILE")
    if options.html and not options.html.absolute().parent.is_dir():
        raise DataError(f"--html {options.html}: there is no folder {options.html.parent}")
    net = load_model(options.model, device="cpu") if options.model else load_bundled(DEFAULT, device="cpu")[0]
    pair = tuple(options.images) or None
    chosen = example(net, pair, model=options.model or DEFAULT, same=not options.different)
    if options.html:
        write_page(options.html, chosen, options.channels or CHANNELS)
    if not options.json:
        if options.html:
            say(f"{options.html}: {options.html.stat().st_size / 1e6:.1f} MB; open it in a browser")
        else:
            say(*chosen.trace.table().lines(), "See where every number comes from: scratchnet explain --html page.html")
    return finish(options, _figures(chosen))


def _figures(chosen: Example) -> dict[str, Any]:
    trace = chosen.trace
    return {
        "model": chosen.model,
        "a": chosen.names[0],
        "b": chosen.names[1],
        "same": chosen.same,
        "probability": trace.probability,
        "logit": trace.logit,
        "step": {"pairs": trace.step.pairs, "loss": float(to_host(trace.step.loss))},
        "layers": [at.figures() for at in trace.layers()],
    }
