"""`scratchnet reproduce` and `scratchnet tune`: the paper's tables, and its search for settings."""

import argparse
import shlex
import time
from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any

from scratchnet.backend import get_device
from scratchnet.cli.options import Commands, add_device, at_least, finish, over_zero
from scratchnet.common.console import note, say
from scratchnet.common.tables import Table
from scratchnet.paper.method import Material
from scratchnet.paper.report import read_best
from scratchnet.paper.reproduce import ALL, MORE, Reproduction
from scratchnet.paper.scales import SCALES, find_scale
from scratchnet.paper.search import SEARCHES
from scratchnet.paper.table import published
from scratchnet.paper.tune import Search
from scratchnet.train import SAVE_EVERY, Interrupted

SMALL = "small"
TRIALS = 40


def add_to(commands: Commands) -> None:
    """Add `reproduce` and `tune`."""
    text = (
        "Make the paper's tables with its own network; the same command again goes on where it stopped, and several at "
        "a time share the work."
    )
    added = commands.add("reproduce", reproduce, text)
    added.add_argument(
        "tables",
        nargs="+",
        choices=(*ALL, *MORE, "all"),
        metavar="TABLE",
        help=f"some of {', '.join(ALL)}, the paper's tables, or all for these three; and {', '.join(MORE)}, about what "
        "it leaves open",
    )
    added.add_argument("--seed", type=at_least(0), default=0, metavar="N", help="seed of the networks (default: 0)")
    added.add_argument(
        "--tuned", type=Path, metavar="PATH", help="a folder of `tune`, or its best.json: train with the best settings"
    )
    _add_shared(added, "for TABLE.md, TABLE.json and the run folders")
    added = commands.add(
        "tune",
        tune,
        "Search the paper's settings in its ranges by one-shot validation, with Optuna; several processes may share a "
        "folder, and a killed one loses only its last steps.",
    )
    added.add_argument(
        "--search",
        choices=SEARCHES,
        default="rates",
        help=f"{'; '.join(f'{name}: {what}' for name, what in SEARCHES.items())} (default: rates)",
    )
    added.add_argument(
        "--trials",
        type=at_least(1),
        default=TRIALS,
        metavar="N",
        help=f"stop when so many have ended, over all processes (default: {TRIALS})",
    )
    _add_shared(added, "for the study, the report and the trials")


def _add_shared(added: argparse.ArgumentParser, folder: str) -> None:
    added.add_argument("--out", type=Path, required=True, metavar="DIR", help=f"folder {folder}")
    added.add_argument(
        "--scale", choices=SCALES, default=SMALL, help=f"{'; '.join(map(str, SCALES.values()))} (default: {SMALL})"
    )
    added.add_argument(
        "--budget", type=over_zero, metavar="HOURS", help="stop after this time, and write down how far it is"
    )
    added.add_argument(
        "--data", metavar="DIR", help="location of Omniglot and MNIST (default: SCRATCHNET_DATA, else the cache folder)"
    )
    added.add_argument(
        "--save-every",
        type=over_zero,
        metavar="MINUTES",
        default=SAVE_EVERY,
        help=f"the most that a kill can lose (default: {SAVE_EVERY:g})",
    )
    add_device(added)


def reproduce(options: argparse.Namespace) -> int:
    """Make the tables, as far as the budget allows; exit code 0."""
    deadline = _deadline(options)
    wanted = list(dict.fromkeys(name for asked in options.tables for name in (ALL if asked == "all" else (asked,))))
    reproduction = Reproduction.begin(
        wanted,
        options.out,
        find_scale(options.scale),
        Material(options.data),
        seed=options.seed,
        tuned=read_best(options.tuned) if options.tuned else None,
        device=get_device(options.device),
        deadline=deadline,
        save_every=options.save_every,
        quiet=options.json,
    )
    try:
        done = reproduction.run()
    except Interrupted as stop:
        raise _with_command(stop, options) from stop
    held = reproduction.as_dict()
    if not options.json:
        for table in reproduction.shown:
            _show(table.title, held["tables"][table.name], table.figures[0])
        if not done:
            note(f"the budget is spent; to go on: {_command(options)}")
        say(options.out / "TABLE.md")
    return finish(options, {"out": str(options.out), "finished": done, **held})


def _show(title: str, table: Sequence[Mapping[str, Any]], figure: str) -> None:
    lines = []
    for row in table:
        ours = row["figures"].get(figure)
        percent = f"{100 * ours['accuracy']:.1f}" if ours else None
        lines.append([row["name"], published(row["paper"]), percent, row["state"]])
    say(title, *Table(["", "paper, %", "ours, %", ""], lines).lines(), "")


def tune(options: argparse.Namespace) -> int:
    """Search until the trials or the budget are spent; exit code 0."""
    search = Search(
        options.out,
        find_scale(options.scale),
        options.search,
        Material(options.data),
        get_device(options.device),
        options.trials,
        _deadline(options),
        options.save_every,
        quiet=options.json,
    )
    try:
        study = search.run()
    except Interrupted as stop:
        raise _with_command(stop, options) from stop
    values = [trial.value for trial in study.get_trials(deepcopy=False) if trial.state.name == "COMPLETE"]
    if not options.json:
        say(f"best of {len(values)} whole trials: {max(values):.1%}" if values else "no trial is whole yet")
        say(options.out / "REPORT.md")
    figures: dict[str, Any] = {"out": str(options.out), "whole": len(values), "best": max(values, default=None)}
    return finish(options, figures)


def _deadline(options: argparse.Namespace) -> float:
    return time.monotonic() + 3600 * options.budget if options.budget else inf


def _with_command(stop: Interrupted, options: argparse.Namespace) -> Interrupted:
    return Interrupted(f"{stop}; to go on: {_command(options)}", stop.number)


def _command(options: argparse.Namespace) -> str:
    """The command that goes on."""
    again = ["scratchnet", options.command, *getattr(options, "tables", []), "--out", str(options.out)]
    again += ["--scale", options.scale]
    again += ["--data", options.data] if options.data else []
    again += ["--device", options.device] if options.device else []
    again += ["--budget", f"{options.budget:g}"] if options.budget else []
    again += ["--save-every", f"{options.save_every:g}"] if options.save_every != SAVE_EVERY else []
    if options.command == "reproduce":
        again += ["--seed", str(options.seed)] if options.seed else []
        again += ["--tuned", str(options.tuned)] if options.tuned else []
    else:
        again += ["--search", options.search, "--trials", str(options.trials)]
    return shlex.join(again)
