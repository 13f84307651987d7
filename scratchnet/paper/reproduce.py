"""`scratchnet reproduce`: the tables of the paper, cell by cell, within a budget and in a folder that goes on.

The folder holds TABLE.md and TABLE.json, written before, between and after the cells, and in runs/ a run folder for
each network, as `train` makes them. The same command again goes on where the last one stopped, for whatever reason; at
the same time, it shares the work.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

from scratchnet.backend import Device
from scratchnet.bench.machine import Machine
from scratchnet.common.console import note
from scratchnet.errors import InUseError, NonFiniteError
from scratchnet.files.atomic import write_bytes
from scratchnet.files.locks import in_turn, locked
from scratchnet.paper import initialisation
from scratchnet.paper.cells import Table, tables
from scratchnet.paper.judge import FIGURES, judge
from scratchnet.paper.method import Material
from scratchnet.paper.record import Record
from scratchnet.paper.scales import Scale
from scratchnet.paper.table import claims, markdown, rows
from scratchnet.train import SAVE_EVERY, STATE, OutOfTime, train
from scratchnet.train.recipe import Recipe

ALL = ("oneshot", "mnist", "verification")  # the paper's own tables, the quickest answers first
MORE = ("choices", "ladder", initialisation.NAME)
LOOK_EVERY = 5.0  # seconds, for what other processes make


@dataclass
class Reproduction:
    """The tables called `wanted`, made in the folder of `record`.

    deadline: on the clock of time.monotonic(). device, save_every, quiet: as in `train`.
    """

    record: Record
    scale: Scale
    material: Material
    tables: Mapping[str, Table]
    wanted: Sequence[str]
    device: Device
    deadline: float = inf
    save_every: float = SAVE_EVERY
    quiet: bool = False

    @classmethod
    def begin(
        cls,
        wanted: Sequence[str],
        out: Path,
        scale: Scale,
        material: Material,
        *,
        seed: int = 0,
        tuned: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> "Reproduction":
        """A reproduction in the folder `out`, new or begun before; options: the other fields.

        tuned: settings of the layers from a search. Raises DataError when data are missing, before anything is trained
        or written, and ScratchnetError when the folder was begun with other settings.
        """
        alphabets = tuple(alphabet.name for alphabet in material.split.validation)
        made = tables(scale, seed, tuned or {}, alphabets)
        for name in wanted:
            for figure in made[name].figures if name in made else ():
                getattr(material, FIGURES[figure].needs)  # fails now if the data are missing
        settings = {"scale": asdict(scale), "seed": seed, "data": material.description, "tuned": tuned or {}}
        return cls(Record.open(out, settings), scale, material, made, wanted, **options)

    def run(self) -> bool:
        """Make the tables, as far as the time allows; returns whether all are there.

        Other processes may do so in the same folder: each network is trained by one of them, and what others are at
        is waited for. Raises Interrupted as `train` does. Whatever it raises, what was measured is kept.
        """
        self.record.out.mkdir(parents=True, exist_ok=True)
        try:
            self.write()
            while [name for name, make in self._work() if not self._made(name, make)]:
                self.check()
                time.sleep(LOOK_EVERY)
        except OutOfTime:
            return False
        finally:
            self.write()
        return True

    def _work(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """All that the tables need, by name, and how to make it: what takes no training first."""
        for table in (self.tables[name] for name in self.wanted if name in self.tables):
            for cell in table.cells:
                if cell.baseline:
                    yield cell.baseline, partial(self._judge_baseline, cell.baseline, table.figures)
        for name in self.wanted:
            if name == initialisation.NAME:
                yield name, self._study
                continue
            table = self.tables[name]
            for recipe in (recipe for cell in table.cells for recipe in cell.recipes):
                yield recipe.name, partial(self._reach, recipe, table.figures)

    def _made(self, name: str, make: Callable[[], None]) -> bool:
        """Make something if it is not there yet; returns False where another process is at it."""
        try:
            with locked(self.record.lock(name), name, "wait until it is done"):
                self.record.refresh()
                make()
        except InUseError:
            return False
        return True

    def _judge_baseline(self, baseline: str, figures: Sequence[str]) -> None:
        if missing := self.record.missing(baseline, figures):
            self.record.add(baseline, judge(baseline, missing, self.material))
            self.write()

    def _study(self) -> None:
        folder, seed = self.record.out / initialisation.NAME, self.record.settings["seed"]
        initialisation.study(folder, self.scale, self.material.split.train, seed, self.check)

    def check(self) -> None:
        """Raise OutOfTime at the deadline."""
        if time.monotonic() >= self.deadline:
            raise OutOfTime("the budget is spent")

    def _reach(self, recipe: Recipe, figures: Sequence[str]) -> None:
        """Train and judge a network, as far as that is not done yet."""
        if not (missing := self.record.missing(recipe.name, figures)):
            return
        self.check()
        folder = self.record.folder(recipe)
        try:
            net = train(
                recipe,
                self.material.split,
                folder,
                device=self.device,
                deadline=self.deadline,
                resume=(folder / STATE).exists(),
                quiet=self.quiet,
                save_every=self.save_every,
            )
        except NonFiniteError as error:
            note(f"{recipe.name}: {error}")
            self.record.fail(recipe.name, str(error))
        else:
            self.record.add(recipe.name, judge(net, missing, self.material))
        self.write()

    @property
    def shown(self) -> list[Table]:
        """The tables that are wanted, or have a figure already."""
        return [table for name, table in self.tables.items() if name in self.wanted or self._has_begun(table)]

    def as_dict(self) -> dict[str, Any]:
        """The tables as JSON objects."""
        return {
            "tables": {table.name: rows(table, self.record) for table in self.shown},
            initialisation.NAME: initialisation.rows(self.record.out / initialisation.NAME),
            "claims": claims(self.tables, self.record),
        }

    def write(self) -> None:
        """Write TABLE.md and TABLE.json as far as they are known, with what other processes have measured."""
        with in_turn(self.record.out / ".table.lock", str(self.record.out)):
            self.record.refresh()
            self._write()

    def _write(self) -> None:
        machine, held = asdict(Machine.this(self.device)), self.as_dict()
        self.record.save({"machine": machine, **held})
        lines = [
            "# The paper's tables, made again",
            "",
            f"Scale {self.scale}. Data: {self.material.description}.",
            f"Seed {self.record.settings['seed']}. {machine['processor']}, {machine['threads']} threads, "
            f"{self.device.name}, {machine['date']}.",
            "",
            "Intervals are 95 % Wilson intervals, which treat trials and pairs as independent; one network stands",
            "behind a figure unless seeds are given, and another seed would differ by more than chance among trials.",
            "Hours are those of training alone.",
            "",
        ]
        for table in self.shown:
            lines += markdown(table, self.record)
        lines += initialisation.markdown(held[initialisation.NAME]) if held[initialisation.NAME] else []
        lines += ["## The paper's claims", "", *(f"- {line}" for line in held["claims"]), ""] if held["claims"] else []
        write_bytes(self.record.out / "TABLE.md", "\n".join(lines).encode())

    def _has_begun(self, table: Table) -> bool:
        return any(self.record.results(cell, figure) for cell in table.cells for figure in table.figures)
