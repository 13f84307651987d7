"""Shared by all commands: parsers, option types, progress bars and JSON output."""

import argparse
import json
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from math import inf, nan
from pathlib import Path
from typing import Any, NoReturn

from tqdm import tqdm

from scratchnet.backend import get_device
from scratchnet.backend.cublas import PRECISIONS
from scratchnet.checkpoint import load_bundled, load_model_with_notes
from scratchnet.common.console import is_terminal, note, write
from scratchnet.common.spelling import closest, hint
from scratchnet.data.own import OwnData, read_own
from scratchnet.explain.plots.page import expect_format, expect_matplotlib
from scratchnet.models.scoring import USUAL, VIEWS, usual_align
from scratchnet.models.siamese import SiameseNet
from scratchnet.oneshot.tasks import recipe_of
from scratchnet.pretrained import DEFAULT

HYPHENS = "-\u2010\u2013\u2014\u2212"  # web pages and word processors substitute the others for the first
OPTION = re.compile(f"[{HYPHENS}]{{1,2}}[A-Za-z][A-Za-z_-]+")
Loaded = tuple[SiameseNet, Mapping[str, Any]]  # a network and its notes
Handler = Callable[[argparse.Namespace], int]  # runs a command: parsed options to exit code


class Parser(argparse.ArgumentParser):
    """A parser with one-line error messages that suggest what was probably meant.

    settings: names of recipe settings, which belong to --set. Unlike in argparse, options cannot be abbreviated: a new
    option could make an abbreviation ambiguous or change its meaning.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.settings: Collection[str] = ()
        self.commands: dict[str, Parser] = {}

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As in argparse, but the parser of the command reports unknown arguments, with a suggestion.

        `operands` of a command may also follow its options.
        """
        options, left = self.parse_known_args(args, namespace)
        if "operands" in vars(options) and not any(text.startswith("-") for text in left):
            options.operands += left
            return options
        if left:
            parser = self.commands.get(vars(options).get("command", ""), self)
            parser.error(f"unrecognized arguments: {' '.join(left)}{parser.hint(left[0], left[1:])}")
        return options

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As in argparse, but unknown options are reported before missing arguments."""
        given = list(sys.argv[1:] if args is None else args)
        for number, text in enumerate(given):
            if text == "--" or (self.commands and not text.startswith("-")):
                break  # only operands, or the options of a command, follow
            name = text.partition("=")[0]
            if OPTION.fullmatch(name) and name not in self._option_string_actions:
                self.error(f"unrecognized arguments: {name}{self.hint(text, given[number + 1 :])}")
        return super().parse_known_args(given, namespace)

    def hint(self, text: str, others: Sequence[str] = ()) -> str:
        """A suggestion for an unknown argument, given those that follow it; "" without a guess."""
        name, equals, value = text.lstrip(HYPHENS).partition("=")
        meant = closest(name, [*self._option_string_actions, *self.settings])
        if meant in self.settings:
            value = value if equals else next((other for other in others if not other.startswith("-")), "VALUE")
            meant = f"--set {meant}={value}"
        return f" (did you mean {meant}?)" if meant else ""

    def _check_value(self, action: argparse.Action, value: Any) -> None:  # argparse calls this for choices and commands
        if action.choices is None or value in action.choices:
            return
        known = [str(choice) for choice in action.choices]
        options = self._option_string_actions if action.dest == "command" else ()  # so that "help" suggests --help
        raise argparse.ArgumentError(
            action, f"invalid choice: {value!r}{hint(value, [*known, *options])}: choose from {', '.join(known)}"
        )

    def error(self, message: str) -> NoReturn:
        """Print the message in one line on stderr and exit with code 2."""
        note(f"{self.prog}: {message} (see {self.prog} --help)")
        self.exit(2)

    def _print_message(self, message: str, file: Any = None) -> None:  # argparse calls this for --help and --version
        write(file, message)


class Commands:
    """Adds commands to a parser, or actions to that of a command."""

    def __init__(self, parser: Parser, dest: str = "command") -> None:
        self._parser = parser
        self._parsers = parser.add_subparsers(dest=dest, required=True, metavar=dest.upper())

    def add(self, name: str, run: Handler, text: str, figures: bool = True) -> Parser:
        """Add a command and return its parser, to add options to. A command with figures gets --json."""
        added: Parser = self._parsers.add_parser(name, help=text, description=text)
        self._parser.commands[name] = added
        added.set_defaults(run=run)
        if figures:
            added.add_argument("--json", action="store_true", help="print the figures as JSON")
        return added


def add_device(added: argparse.ArgumentParser) -> None:
    """Add --device and --precision."""
    added.add_argument("--device", help="cpu, cuda or, of several GPUs, cuda:N (default: SCRATCHNET_DEVICE, else cpu)")
    added.add_argument(
        "--precision",
        choices=PRECISIONS,
        help="precision of matrix products on a GPU; tf32 rounds factors to 11 bits (default: SCRATCHNET_PRECISION, "
        "else float32)",
    )


def add_pictures(added: argparse.ArgumentParser, folder: bool = True) -> None:
    """Add --pictures and, where a folder is read as a whole, --writers and --skip-damaged."""
    added.add_argument(
        "--pictures",
        choices=("ink", "grey"),
        help="how to read pictures: ink, one character dark on light or light on dark, photos cleaned; or grey, "
        "anything, as it is (default: as the network was trained; for a new one, ink)",
    )
    if not folder:
        return
    added.add_argument(
        "--writers",
        metavar="PATTERN",
        help="a regular expression whose group, in the names of your files, says who drew each picture, such as "
        "'_([0-9]+)'; a query is then never by the writer of its support",
    )
    added.add_argument(
        "--skip-damaged",
        action="store_true",
        help="leave out pictures of your own that cannot be read or show no character, instead of stopping",
    )


def add_scoring(added: argparse.ArgumentParser) -> None:
    """Add --views and --align, ways of scoring that cost more."""
    added.add_argument(
        "--views",
        type=int,
        choices=tuple(VIEWS),
        default=1,
        help="see each picture in so many of the square's symmetries, and take the mean score (default: 1)",
    )
    added.add_argument(
        "--align",
        type=at_least(0),
        metavar="N",
        help="compare each query with its N best matches again, each warped onto the other; 0 for none (default: "
        f"{USUAL} by a network trained on Omniglot that frames the ink, as the bundled one does, otherwise 0)",
    )


def expect_picture(path: Path) -> None:
    """Make the folder of a picture that a command will draw, before it computes what to draw.

    Raises ScratchnetError without matplotlib, and for a format that is not written.
    """
    expect_matplotlib()
    expect_format(path)
    path.parent.mkdir(parents=True, exist_ok=True)


def chosen_ways(options: argparse.Namespace, networks: Mapping[str, Loaded]) -> dict[str, int]:
    """The views and the number of supports to align that the options ask for, or else what suits all networks.

    networks: by what the user calls them. Raises CheckpointError for notes without a valid recipe.
    """
    found = ((net.frame, recipe_of(net, notes, model=model)) for model, (net, notes) in networks.items())
    usual = min(usual_align(frame, recipe) for frame, recipe in found)
    return {"views": options.views, "align": usual if options.align is None else options.align}


def in_words(ways: Mapping[str, int]) -> str:
    """Ways of scoring, such as "8 views, best 5 aligned"; "" where each picture is seen once."""
    views, align = ways["views"], ways["align"]
    parts = f"{views} views" if views > 1 else "", f"best {align} aligned" if align else ""
    return ", ".join(filter(None, parts))


def read_own_data(options: argparse.Namespace, frame: str) -> OwnData:
    """The pictures of --data, read as a network with this frame reads them; prints what was found, unless --json."""
    if is_terminal(sys.stderr) and not options.json:
        note(f"reading the pictures in {options.data}")  # which takes a while; an error is then the second line
    own = read_own(options.data, frame=frame, writers=options.writers, skip_damaged=options.skip_damaged)
    if not options.json:
        for line in own.summary():
            note(line)
    return own


def add_model(added: argparse.ArgumentParser) -> None:
    """Add --model, for `chosen_model`."""
    added.add_argument(
        "--model",
        help=f"a run folder, a weights file or the name of a bundled network (default: the bundled {DEFAULT})",
    )


def chosen_model(options: argparse.Namespace) -> Loaded:
    """The network that --model names; without it the bundled one, even if a local path has the same name."""
    load, source = (load_model_with_notes, options.model) if options.model else (load_bundled, DEFAULT)
    return load(source, device=get_device(options.device))


def at_least(least: int) -> Callable[[str], int]:
    """An argparse type: an integer of `least` or more."""

    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is too small, expected {least} or more")
        return value

    return number


def share(text: str) -> float:
    """An argparse type: a number between 0 and 1."""
    value = over_zero(text)
    if value >= 1:
        raise argparse.ArgumentTypeError(f"{text}: expected a share, a number less than 1")
    return value


def over_zero(text: str) -> float:
    """An argparse type: a finite number greater than 0, for times and sizes."""
    try:
        value = float(text)
    except ValueError:
        value = nan
    if not 0 < value < inf:
        raise argparse.ArgumentTypeError(f"{text}: expected a number greater than 0")
    return value


def with_progress(options: argparse.Namespace, items: Collection[Any]) -> Iterator[Any]:
    """The items, with a progress bar on a terminal."""
    return iter(tqdm(items, leave=False, disable=options.json or not is_terminal(sys.stderr)))


def finish(options: argparse.Namespace, figures: dict[str, Any], code: int = 0) -> int:
    """Print the figures as JSON if --json is given; returns the exit code."""
    if options.json:
        write(sys.stdout, json.dumps(figures, indent=2) + "\n")
    return code
