"""The tables as text: TABLE.md, and the same as JSON."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import sqrt
from typing import Any

import numpy as np

from scratchnet.oneshot.trials import Result
from scratchnet.paper.cells import SETS, Cell, Table
from scratchnet.paper.judge import FIGURES
from scratchnet.paper.record import Record
from scratchnet.train.progress import best_of

COMPARED_WITH = {"choices": "first", "ladder": "previous"}  # the row that a row's change is counted from
BAR = r"\|"  # in a cell
Z = 1.959964  # of a 95 % interval


def pooled(results: Sequence[Result]) -> Result:
    """All trials of several runs together; with equally many each, the mean of their accuracies."""
    return Result(sum(r.correct for r in results), sum(r.trials for r in results), results[0].scope)


def rows(table: Table, record: Record) -> list[dict[str, Any]]:
    """The rows of a table as JSON objects."""
    found: list[dict[str, Any]] = []
    for cell in table.cells:
        results = {figure: record.results(cell, figure) for figure in table.figures}
        logs = [record.log(recipe) for recipe in cell.recipes]
        found.append(
            {
                "name": cell.name,
                "paper": cell.paper,
                "figures": {figure: pooled(each).as_dict() for figure, each in results.items() if each},
                "setting": _setting(cell),
                "seeds": [result.accuracy for result in results[table.figures[0]]],
                "state": _state(cell, record, table.figures, logs),
                "hours": round(sum(epoch.get("seconds", 0) for log in logs for epoch in log) / 3600, 3),
            }
        )
    return found


def _setting(cell: Cell) -> str:
    """What a cell's networks are trained with, apart from the scale."""
    if not cell.recipes:
        return ""
    recipe = cell.recipes[0]
    copies = f", {recipe.fixed_distortions} copies each" if recipe.fixed_distortions else ""
    set_of = f"{recipe.pairs:,} pairs{copies}" if recipe.objective == "pairs" else "episodes"
    seeds = f", {len(cell.recipes)} seeds" if len(cell.recipes) > 1 else ""
    return f"{recipe.image_size} pixels, {set_of}, {recipe.epochs} epochs{seeds}"


def _state(cell: Cell, record: Record, figures: Sequence[str], logs: Sequence[Sequence[Mapping[str, Any]]]) -> str:
    """How far a cell is, in a few words."""
    if not cell.runs:
        return "quoted only"
    if failed := [entry["failed"] for run in cell.runs if "failed" in (entry := record.runs.get(run, {}))]:
        return f"training failed: {failed[0]}"
    missing = [run for run in cell.runs if record.missing(run, figures)]
    if not missing:
        bests = [f"{best['epoch']} of {len(log)}" for log in logs if (best := best_of(log))]
        return f"best epoch {', '.join(bests)}" if bests else "done"
    for recipe, log in zip(cell.recipes, logs, strict=True):
        if recipe.name not in record.runs and (log or record.folder(recipe).exists()):
            validation = f", validation {100 * log[-1]['validation']:.1f} %" if log else ""
            return f"not finished: in epoch {len(log) + 1} of at most {recipe.epochs}{validation}"
    return "not reached" + (f": {len(cell.runs) - len(missing)} of {len(cell.runs)} networks" * (len(cell.runs) > 1))


def markdown(table: Table, record: Record) -> list[str]:
    """The lines of a table in Markdown."""
    with_paper = any(cell.paper for cell in table.cells)
    change = COMPARED_WITH.get(table.name)
    headings = [""] + ["the paper, %"] * with_paper + [FIGURES[figure].what for figure in table.figures]
    headings += (["change", "each seed"] if change else []) + ["setting", "hours", "state"]
    lines = [f"## {table.title}", "", f"| {' | '.join(headings)} |", f"|{'---|' * len(headings)}"]
    first: Mapping[str, Any] | None = None
    previous: Mapping[str, Any] | None = None
    for row in rows(table, record):
        figures = [row["figures"].get(figure) for figure in table.figures]
        cells = [row["name"]] + [published(row["paper"])] * with_paper
        cells += [_shown(figure) for figure in figures]
        if change:
            against = first if change == "first" else previous
            first, previous = first or figures[0], figures[0]
            cells += [_change(against, figures[0]), ", ".join(f"{100 * seed:.1f}" for seed in row["seeds"])]
        cells += [row["setting"], f"{row['hours']:.2f}" if row["hours"] else "", row["state"]]
        lines.append(f"| {' | '.join(cell.replace('|', BAR) for cell in cells)} |")
    return [*lines, ""]


def published(percent: float | None) -> str:
    """A figure of the paper with its own one or two decimals."""
    return f"{percent:.2f}".removesuffix("0") if percent else ""


def _shown(figure: Mapping[str, Any] | None) -> str:
    if not figure:
        return ""
    share, low, high = (f"{100 * part:.1f}" for part in (figure["accuracy"], *figure["interval"]))
    return f"**{share} %** ({figure['correct']:,} of {figure['trials']:,}; {low} - {high})"


def _change(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> str:
    return _difference(before, after) if before and after else ""


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """The points from one figure to another, with the 95 % interval of the difference of two proportions."""
    variance = sum(each["accuracy"] * (1 - each["accuracy"]) / each["trials"] for each in (before, after))
    points = 100 * (after["accuracy"] - before["accuracy"])
    half = 100 * Z * sqrt(variance)
    return f"{points:+.1f} ({points - half:+.1f} to {points + half:+.1f})"


def claims(tables: Mapping[str, Table], record: Record) -> list[str]:
    """What the figures say of the paper's claims, as far as they are there, a line for each."""
    lines = []
    found = [row["figures"].get("verification") for row in rows(tables["verification"], record)]
    plain, distorted = found[::2], found[1::2]
    for size, without, with_copies in zip(SETS, plain, distorted, strict=True):
        if without and with_copies:
            lines.append(f"Distorted copies, {size:,} pairs: {_difference(without, with_copies)} points.")
    for what, least, most in (("as drawn", plain[0], plain[-1]), ("with copies", distorted[0], distorted[-1])):
        if least and most:
            lines.append(f"{SETS[-1]:,} pairs instead of {SETS[0]:,}, {what}: {_difference(least, most)} points.")
    lines += _largest_step(tables["ladder"], record)
    for table, row, result in _against_the_paper(tables, record):
        low, high = (100 * end for end in result["interval"])
        holds = "lies in" if low <= row["paper"] <= high else "lies above" if row["paper"] > high else "lies below"
        lines.append(f"{table.title}: the paper's {row['paper']} % {holds} our interval, {low:.1f} - {high:.1f} %.")
    return lines


def _largest_step(ladder: Table, record: Record) -> list[str]:
    """Which rung of the ladder gains most, once all are there."""
    found = rows(ladder, record)
    lines = []
    for figure in ladder.figures:
        results = [row["figures"].get(figure) for row in found]
        if all(results):
            gains = [after["accuracy"] - before["accuracy"] for before, after in pairwise(results)]
            step = int(np.argmax(gains))
            gain = _difference(results[step], results[step + 1])
            lines.append(f"Ladder, {FIGURES[figure].what}: {found[step + 1]['name']} gains most, {gain} points.")
    return lines


def _against_the_paper(tables: Mapping[str, Table], record: Record) -> list[tuple[Table, Any, Any]]:
    """The one-shot figures of trained networks, with the table and the row that they stand in."""
    found = []
    for name in ("oneshot", "mnist"):
        table = tables[name]
        for cell, row in zip(table.cells, rows(table, record), strict=True):
            if cell.recipes and (result := row["figures"].get(table.figures[0])):
                found.append((table, row, result))
    return found
