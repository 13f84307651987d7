"""The card of a bundled network: its origin, its figures and its limits."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scratchnet.common.notes import expect, parse
from scratchnet.errors import REINSTALL, CheckpointError
from scratchnet.files.reading import read_file, reason

MAX_BYTES = 1 << 20
KINDS = {
    "name": str,
    "summary": str,
    "parameters": int,
    "recipe": dict,
    "seed": int,
    "hours": float,
    "machine": str,
    "date": str,
    "limits": [str],
    "sha256": str,
    "commands": [str],
    "data": {"name": str, "source": str, "licence": str, "used": str},
    "storage": {"weights": str, "bytes": int, "stored_correct": int, "float32_correct": int},
    "figures": [
        {
            "task": str,
            "way?": int,
            "shot?": int,
            "scope": str,
            "align?": int,
            "correct": int,
            "trials": int,
            "accuracy": float,
            "interval": [float],
        }
    ],
}


@dataclass(frozen=True)
class Card:
    """Everything that a user should know about a network, as JSON holds it.

    data: "name", "source", "licence" and "used", the part that the network was trained on. recipe: all its settings.
    machine: the one that trained it. storage: "weights", how they are stored; "bytes"; and what that costs: of the
    first figure's trials, "stored_correct" with these weights and "float32_correct" with the original ones. figures:
    "task", "way", "shot", "scope", "correct", "trials", "accuracy" and "interval" (95 %, Wilson), the official runs
    first; "align", how many of the best matches were aligned, where they were. sha256: of the weights file. commands:
    those that reproduce the network.
    """

    name: str
    summary: str
    parameters: int
    data: Mapping[str, str]
    recipe: Mapping[str, Any]
    seed: int
    hours: float
    machine: str
    date: str
    storage: Mapping[str, Any]
    figures: Sequence[Mapping[str, Any]]
    limits: Sequence[str]
    sha256: str
    commands: Sequence[str]

    @classmethod
    def read(cls, path: Path) -> "Card":
        """The card in a JSON file. Raises CheckpointError when it is missing, damaged or incomplete."""
        try:
            notes = parse(read_file(path, MAX_BYTES))
            expect(notes, dict, "the card")
            if empty := [name for name in KINDS if notes.get(name) in ("", [], {}, None)]:
                raise ValueError(f"nothing under {empty[0]!r}")
            expect(notes, KINDS, "the card")
            for figure in notes["figures"]:
                if len(figure["interval"]) != 2 or ("way" in figure) != ("shot" in figure):
                    raise ValueError("a figure has half of its interval, or of its way and shot")
            return cls(**notes)
        except (OSError, ValueError, TypeError) as cause:
            raise CheckpointError(f"{path} is no card of a network ({reason(cause)}); {REINSTALL}") from cause

    def as_json(self) -> str:
        """The card as `read` takes it."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    def headline(self) -> str:
        """The first figure in one line."""
        figure = self.figures[0]
        low, high = figure["interval"]
        task = figure["task"] + _aligned(figure)
        return f"{figure['accuracy']:.1%} ({low:.1%} - {high:.1%}) of {figure['trials']} trials, {task}"

    def as_markdown(self) -> str:
        """The card for people."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield f"# {self.name}\n\n{self.summary} {self.parameters:,} parameters.\n\n## Figures\n"
        yield "Each query is classified by itself and a tie counts as wrong; the intervals are 95 % Wilson intervals.\n"
        yield "| task | right | of | accuracy | interval |\n|---|---|---|---|---|"
        for figure in self.figures:
            low, high = figure["interval"]
            yield (
                f"| {_task(figure)} | {figure['correct']:,} | {figure['trials']:,} "
                f"| {figure['accuracy']:.1%} | {low:.1%} - {high:.1%} |"
            )
        yield "\n## Limits\n"
        yield from (f"- {limit}" for limit in self.limits)
        yield f"\n## Training\n\n{self.data['used']}, from {self.data['name']} ({self.data['source']})."
        yield f"Licence of the data: {self.data['licence']}. The weights have that of scratchnet, MIT."
        yield f"{self.hours:g} hours of training on {self.machine}, {self.date}, seed {self.seed}. To reproduce it:\n"
        yield from (f"    {command}" for command in self.commands)
        yield "\nThe recipe with all its settings:\n"
        yield from (f"    {name:22} {json.dumps(value)}" for name, value in self.recipe.items())
        storage, trials = self.storage, self.figures[0]["trials"]
        yield f"\n## The file\n\n{storage['bytes']:,} bytes, with weights stored as {storage['weights']}. Of the"
        yield f"{trials} trials of the first figure, {storage['stored_correct']} are right with these weights and"
        yield f"{storage['float32_correct']} with float32 weights.\n\nSHA-256\n"
        yield f"    {self.sha256}"


def _task(figure: Mapping[str, Any]) -> str:
    kind = f", {figure['way']}-way {figure['shot']}-shot" if "way" in figure else ""
    return f"{figure['task']}{kind}, {figure['scope']}{_aligned(figure)}"


def _aligned(figure: Mapping[str, Any]) -> str:
    return f", best {figure['align']} aligned" if figure.get("align") else ""
