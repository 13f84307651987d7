"""What the commands share: parsers, types of options, progress, and how figures are handed out."""

import argparse
import json
import re
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from math import inf, nan
from typing import Any, NoReturn

from tqdm import tqdm

from scratchnet.backend import get_device
from scratchnet.backend.cublas import PRECISIONS
from scratchnet.checkpoint import load_bundled, load_model
from scratchnet.common.console import is_terminal, note, write
from scratchnet.common.spelling import closest, hint
from scratchnet.models.siamese import SiameseNet
from scratchnet.pretrained import DEFAULT

HYPHENS = "-\u2010\u2013\u2014\u2212"  # as web pages and word processors have them
OPTION = re.compile(f"[{HYPHENS}]{{1,2}}[A-Za-z][A-Za-z_-]+")
Run = Callable[[argparse.Namespace], int]  # a command: its options to its exit code


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, and say what was probably meant.

    settings: names that are no options, but belong to --set. Options are not abbreviated, as argparse would allow: what
    is short for one option today may be short for two tomorrow, or for another one.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.settings: Collection[str] = ()
        self.commands: dict[str, Parser] = {}

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        options, left = self.parse_known_args(args, namespace)
        if left:
            parser = self.commands.get(vars(options).get("command", ""), self)
            parser.error(f"unrecognized arguments: {' '.join(left)}{parser.hint(left[0], left[1:])}")
        return options

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse has it, but an option that does not exist is noticed before anything that is missing."""
        given = list(sys.argv[1:] if args is None else args)
        for number, text in enumerate(given):
            if text == "--" or (self.commands and not text.startswith("-")):
                break  # what follows are no options, or those of a command
            name = text.partition("=")[0]
            if OPTION.fullmatch(name) and name not in self._option_string_actions:
                self.error(f"unrecognized arguments: {name}{self.hint(text, given[number + 1 :])}")
        return super().parse_known_args(given, namespace)

    def hint(self, text: str, others: Sequence[str] = ()) -> str:
        """What was probably meant by an argument that nobody knows, and the arguments behind it; "" without a guess."""
        name, equals, value = text.lstrip(HYPHENS).partition("=")
        meant = closest(name, [*self._option_string_actions, *self.settings])
        if meant in self.settings:
            value = value if equals else next((other for other in others if not other.startswith("-")), "VALUE")
            meant = f"--set {meant}={value}"
        return f" (did you mean {meant}?)" if meant else ""

    def _check_value(self, action: argparse.Action, value: Any) -> None:  # argparse asks it about choices and commands
        if action.choices is None or value in action.choices:
            return
        known = [str(choice) for choice in action.choices]
        options = self._option_string_actions if action.dest == "command" else ()  # "help" is one
        meant = hint(value, [*known, *options])
        raise argparse.ArgumentError(action, f"invalid choice: {value!r}{meant}: choose from {', '.join(known)}")

    def error(self, message: str) -> NoReturn:
        note(f"{self.prog}: {message} (see {self.prog} --help)")
        self.exit(2)

    def _print_message(self, message: str, file: Any = None) -> None:  # argparse prints help and version through it
        write(file, message)


class Commands:
    """The commands of a parser, to add to."""

    def __init__(self, parser: Parser) -> None:
        self._parser = parser
        self._parsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(self, name: str, run: Run, text: str, figures: bool = True) -> Parser:
        """A command that `run` runs, and its parser to add options to; --json is there where it has figures."""
        added: Parser = self._parsers.add_parser(name, help=text, description=text)
        self._parser.commands[name] = added
        added.set_defaults(run=run)
        if figures:
            added.add_argument("--json", action="store_true", help="print the figures as JSON")
        return added


def add_device(added: argparse.ArgumentParser) -> None:
    added.add_argument("--device", help="cpu or cuda (default: SCRATCHNET_DEVICE, else cpu)")
    added.add_argument(
        "--precision",
        choices=PRECISIONS,
        help="of products on a GPU; tf32 rounds factors to 11 bits (default: SCRATCHNET_PRECISION, else float32)",
    )


def add_model(added: argparse.ArgumentParser) -> None:
    added.add_argument(
        "--model",
        help=f"a run folder, a weights file or the name of a bundled network (default: the bundled {DEFAULT})",
    )


def chosen_model(options: argparse.Namespace) -> SiameseNet:
    """The network that --model names, or the bundled one, whatever else is called like it here."""
    device = get_device(options.device)
    return load_model(options.model, device=device) if options.model else load_bundled(DEFAULT, device=device)[0]


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
