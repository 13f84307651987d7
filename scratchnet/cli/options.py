"""What the commands share: parsers, types of options, progress, and how figures are handed out."""

import argparse
import json
import sys
from collections.abc import Callable, Collection, Iterator
from math import inf, nan
from typing import Any, NoReturn

from tqdm import tqdm

from scratchnet.backend import get_device
from scratchnet.checkpoint import load_bundled, load_model
from scratchnet.console import is_terminal, note, write
from scratchnet.cublas import PRECISIONS
from scratchnet.pretrained import DEFAULT
from scratchnet.siamese import SiameseNet

Run = Callable[[argparse.Namespace], int]  # a command: its options to its exit code


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, and that notices when nobody reads its help."""

    def error(self, message: str) -> NoReturn:
        note(f"{self.prog}: {message} (see {self.prog} --help)")
        self.exit(2)

    def _print_message(self, message: str, file: Any = None) -> None:  # argparse prints help and version through it
        write(file, message)


class Commands:
    """The commands of a parser, to add to."""

    def __init__(self, parser: Parser) -> None:
        self._parsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(self, name: str, run: Run, text: str, figures: bool = True) -> argparse.ArgumentParser:
        """A command that `run` runs, and its parser to add options to; --json is there where it has figures."""
        added: argparse.ArgumentParser = self._parsers.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        if figures:
            added.add_argument("--json", action="store_true", help="print the figures as JSON")
        return added


def add_device(added: argparse.ArgumentParser) -> None:
    added.add_argument("--device", help="cpu or cuda (default: SCRATCHNET_DEVICE, else cpu)")
    added.add_argument("--precision", choices=PRECISIONS, help="of products on a GPU; tf32 rounds factors to 11 bits "
                                                               "(default: SCRATCHNET_PRECISION, else float32)")


def add_model(added: argparse.ArgumentParser) -> None:
    added.add_argument("--model", help="a run folder, a weights file or the name of a bundled network "
                                       f"(default: the bundled {DEFAULT})")


def chosen_model(options: argparse.Namespace) -> SiameseNet:
    """The network that --model names, or the bundled one, whatever else is called like it here."""
    device = get_device(options.device)
    return load_model(options.model, device) if options.model else load_bundled(DEFAULT, device)[0]


def at_least(least: int) -> Callable[[str], int]:
    """The type of an option that takes a whole number, `least` or more."""

    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is too small, give {least} or more")
        return value

    return number


def over_zero(text: str) -> float:
    """The type of an option that takes a time or a size."""
    try:
        value = float(text)
    except ValueError:
        value = nan
    if not 0 < value < inf:
        raise argparse.ArgumentTypeError(f"{text} is too small or no number, give a number over 0")
    return value


def with_progress(options: argparse.Namespace, items: Collection[Any]) -> Iterator[Any]:
    """The items, with a bar on a terminal."""
    return iter(tqdm(items, leave=False, disable=options.json or not is_terminal(sys.stderr)))


def finish(options: argparse.Namespace, figures: dict[str, Any], code: int = 0) -> int:
    """Print the figures as JSON if asked for; returns the exit code."""
    if options.json:
        write(sys.stdout, json.dumps(figures, indent=2) + "\n")
    return code
