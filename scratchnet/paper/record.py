"""What a reproduction has measured so far: TABLE.json in its folder, from which it goes on."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scratchnet.common.notes import MAX_BYTES, expect, parse
from scratchnet.errors import CheckpointError, ScratchnetError
from scratchnet.files.atomic import write_bytes
from scratchnet.files.reading import read_file, reason
from scratchnet.oneshot.trials import Result
from scratchnet.paper.cells import Cell
from scratchnet.train.folder import LOG
from scratchnet.train.recipe import Recipe
from scratchnet.train.state import read_log

FORMAT = 1
FILE = "TABLE.json"
FIGURE = {"correct": int, "trials": int, "scope": str}
KINDS = {"format": int, "settings": dict, "runs": {str: {"figures": {str: FIGURE}, "failed?": str}}}


@dataclass
class Record:
    """The figures of each run by its name, and the settings that they are made with.

    runs: by name {"figures": {a key of judge.FIGURES: a result}} and, where training failed, {"failed": the reason}.
    """

    out: Path
    settings: Mapping[str, Any]
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def open(cls, out: Path, settings: Mapping[str, Any]) -> "Record":
        """The record in the folder `out`, or a new one.

        Raises ScratchnetError when it was begun with other settings, and CheckpointError when it is damaged.
        """
        path = out / FILE
        if not path.exists():
            return cls(out, settings)
        try:
            held = parse(read_file(path, MAX_BYTES))
            expect(held, KINDS, "the record")
            if held["format"] != FORMAT:
                raise ValueError(f"it has format {held['format']}, and this version reads {FORMAT}")
        except (OSError, ValueError) as cause:
            raise CheckpointError(
                f"{path} is damaged ({reason(cause)}): move it away; the networks in {out / 'runs'} are judged again"
            ) from cause
        began, now = held["settings"], json.loads(json.dumps(settings))
        for name in now | began:
            if began.get(name) != now.get(name):
                raise ScratchnetError(
                    f"{out} was begun with another {name} ({began.get(name)}, now {now.get(name)}): go on with the "
                    "first, or name another folder with --out"
                )
        return cls(out, settings, held["runs"])

    def refresh(self) -> None:
        """Take in what other processes have measured since. Raises CheckpointError when the file is damaged."""
        for run, held in Record.open(self.out, self.settings).runs.items():
            own = self.runs.setdefault(run, held)
            own["figures"] = held["figures"] | own["figures"]

    def save(self, more: Mapping[str, Any]) -> None:
        """Write TABLE.json; more: what else stands in it, for readers."""
        held = {"format": FORMAT, "settings": self.settings, **more, "runs": self.runs}
        write_bytes(self.out / FILE, (json.dumps(held, indent=2) + "\n").encode())

    def add(self, run: str, figures: Mapping[str, Result]) -> None:
        """Take in figures of a run."""
        entry = self.runs.setdefault(run, {"figures": {}})
        entry.pop("failed", None)
        entry["figures"] |= {name: result.as_dict() for name, result in figures.items()}

    def fail(self, run: str, reason: str) -> None:
        """Take in that the training of a run failed."""
        self.runs.setdefault(run, {"figures": {}})["failed"] = reason

    def missing(self, run: str, figures: Sequence[str]) -> list[str]:
        """Those of the figures that the run does not have yet."""
        held = self.runs.get(run, {})
        return [] if "failed" in held else [name for name in figures if name not in held.get("figures", {})]

    def results(self, cell: Cell, figure: str) -> list[Result]:
        """The results of all runs of a cell; [] unless all are there."""
        held = [self.runs.get(run, {}).get("figures", {}).get(figure) for run in cell.runs]
        return [Result(each["correct"], each["trials"], each["scope"]) for each in held if each] if all(held) else []

    def folder(self, recipe: Recipe) -> Path:
        """The run folder of a network."""
        return self.out / "runs" / _as_file(recipe.name)

    def lock(self, run: str) -> Path:
        """The lock of who makes this run."""
        return self.out / f".{_as_file(run)}.lock"

    def log(self, recipe: Recipe) -> list[dict[str, Any]]:
        """The epochs of a network so far."""
        folder = self.folder(recipe)
        return read_log(folder) if (folder / LOG).exists() else []


def _as_file(name: str) -> str:
    return name.replace(",", "").replace(" ", "-")
