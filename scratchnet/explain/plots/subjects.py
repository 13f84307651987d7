"""What can be drawn of: a run folder, a log, a weights file or a bundled network, and the drawings that go with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from scratchnet import pretrained
from scratchnet.checkpoint import WEIGHTS, load_model_with_notes
from scratchnet.common.spelling import hint
from scratchnet.data.alphabets import Alphabet
from scratchnet.data.locate import look_for
from scratchnet.data.splits import BACKGROUND_FILES, glyph_split
from scratchnet.errors import CheckpointError, DataError, ScratchnetError
from scratchnet.models.siamese import SiameseNet
from scratchnet.oneshot import tasks
from scratchnet.oneshot.tasks import Task
from scratchnet.train.folder import LOG, RECIPE, STATE
from scratchnet.train.loop import load_split
from scratchnet.train.progress import Progress, best_of
from scratchnet.train.recipe import Recipe
from scratchnet.train.state import read_records

EVALUATION_FILES = ("images_evaluation.zip", "images_evaluation")
RUN_FILES = ("all_runs.zip", "all_runs")
UNSEEN = {
    "glyphs": "generated alphabets",
    "background": "held-out alphabets of the background set",
    "evaluation": "alphabets of the evaluation set",
}
TRIALS, WAY = 400, 20  # of the one-shot trials, as many as in the official runs
LOG_SUFFIX = Path(LOG).suffix


@dataclass
class Subject:
    """One thing to draw, by the name that its pictures have.

    path: of a run folder, a weights file or a log; None for a bundled network. data: the place of Omniglot, as for
    `find_data`. Everything is read when it is first asked for.
    """

    name: str
    path: Path | None
    data: Path | str | None = None

    @property
    def has_log(self) -> bool:
        """Whether curves belong to it, be they readable or not."""
        return self.path is not None and (self.path.is_dir() or self.path.suffix == LOG_SUFFIX)

    @property
    def has_network(self) -> bool:
        """Whether there is more to it than a log."""
        return self.path is None or self.path.suffix != LOG_SUFFIX

    @cached_property
    def log(self) -> list[dict[str, Any]]:
        """A record for each finished epoch. Raises DataError if there is none, CheckpointError if it is damaged."""
        assert self.path is not None
        path = self.path / LOG if self.path.is_dir() else self.path
        if path.parent == self.path and not path.exists():
            raise DataError(f"{path.parent} has no {LOG} yet: it is written at the end of the first epoch")
        if not (records := read_records(path)):
            raise DataError(f"{path} is empty: it gets a line at the end of each epoch")
        return records

    @cached_property
    def recipe(self) -> Recipe | None:
        """The recipe, if it is known. Raises CheckpointError if it is damaged."""
        if self.path is not None and self.path.is_dir() and (self.path / RECIPE).exists():
            return Recipe.read(self.path / RECIPE)
        if not self.has_network or (self.path is not None and self.path.is_dir()):
            return None
        try:
            return Recipe.from_dict(self._model[1].get("recipe"))
        except (ValueError, ScratchnetError):
            return None  # a network may be without one

    @property
    def net(self) -> SiameseNet:
        """The network. Raises CheckpointError if there is none yet or it is damaged."""
        return self._model[0]

    @cached_property
    def _model(self) -> tuple[SiameseNet, Mapping[str, Any]]:
        if self.path is not None and self.path.is_dir() and not (self.path / WEIGHTS).exists():
            raise CheckpointError(f"{self.path} has no {WEIGHTS} yet: it is written at the end of an epoch")
        return load_model_with_notes(self.name if self.path is None else self.path)

    @property
    def legend(self) -> str:
        """The name of its curve, which says if the run is not finished."""
        if not self.recipe or Progress(epoch=len(self.log), history=self.log).finished(self.recipe):
            return self.name
        return f"{self.name}, {len(self.log)} of {self.recipe.epochs} epochs"

    @property
    def kept(self) -> int | None:
        """The epoch whose network the run keeps for its validation, if it does."""
        best = best_of(self.log) if self.recipe and self.recipe.keep == "best" else None
        return best["epoch"] if best else None

    @cached_property
    def training(self) -> tuple[list[Alphabet], str]:
        """Alphabets that it was trained on, and what they are. Raises DataError if they are not there."""
        if not self.recipe:
            raise DataError(f"{self.name} has no recipe, which says how drawings are distorted")
        if not self._look_for_data(*BACKGROUND_FILES):
            return glyph_split(self.recipe.image_size).train, "generated drawings"
        return load_split(self.recipe, self.data).train, "training drawings"

    @cached_property
    def unseen(self) -> tuple[list[Alphabet], str]:
        """Alphabets that it was not trained on, and what they are. Raises DataError if they are not there."""
        on = {"official": "evaluation"}.get(self._unseen_data, self._unseen_data)  # the runs have two of each character
        if on == "evaluation" and not self._look_for_data(*EVALUATION_FILES):
            on = "glyphs"
        return tasks.unseen(on, data=self.data, recipes=self._recipes).trials, UNSEEN[on]

    @cached_property
    def task(self) -> tuple[Task, str]:
        """One-shot trials on characters that it was not trained on, and what they are. Raises as `unseen` does."""
        if self._unseen_data == "official" and self._look_for_data(*RUN_FILES):
            return tasks.official_task(self.data), "Lake's official runs"
        alphabets, what = self.unseen
        way = min(WAY, max(alphabet.characters for alphabet in alphabets))
        return tasks.random_task(what, alphabets, trials=TRIALS, seed=0, way=way), what

    @property
    def _recipes(self) -> list[Mapping[str, Any]]:
        return [self.recipe.as_dict() if self.recipe else {"data": "omniglot"}]

    @property
    def _unseen_data(self) -> str:
        return tasks.unseen_data(self._recipes)

    def _look_for_data(self, *names: str) -> bool:
        """Whether to look for these files: only a bundled network does without, on generated alphabets."""
        return self.path is not None or look_for(self.data, *names) is not None


def find_subjects(given: Sequence[str], data: Path | str | None = None) -> list[Subject]:
    """What was asked for, under names that differ. Raises CheckpointError for what is none of them."""
    paths = [None if _is_bundled(each) else _expect_subject(each) for each in given]
    names = [each if path is None else _short_name(path) for each, path in zip(given, paths, strict=True)]
    full = [each if path is None else str(path) for each, path in zip(given, paths, strict=True)]
    if len(set(full)) < len(full):
        raise CheckpointError(f"{next(each for each in full if full.count(each) > 1)} is given twice: name it once")
    distinct = len(set(names)) == len(names)
    return [Subject(name, path, data) for name, path in zip(names if distinct else full, paths, strict=True)]


def _is_bundled(given: str) -> bool:
    path = Path(given)
    return given in pretrained.names() and not path.is_file() and not _is_run(path)


def _is_run(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (LOG, RECIPE, STATE, WEIGHTS))


def _expect_subject(given: str) -> Path:
    """The path of something that can be drawn."""
    path = Path(given)
    if path.is_file() or (path.is_dir() and _is_run(path)):
        return path
    fault = "holds no run" if path.is_dir() else "does not exist"
    raise CheckpointError(
        f"{path} {fault}: expected a folder that `scratchnet train` made, a {LOG}, a weights file or the name of a "
        f"bundled network ({pretrained.list_names()}){hint(given, pretrained.names())}"
    )


def _short_name(path: Path) -> str:
    """The name of a folder or file; a log of the usual name has that of its folder."""
    path = path.resolve()
    if path.is_dir() or path.name not in (LOG, WEIGHTS):
        return path.name if path.is_dir() else path.stem.replace("_", " ")
    return path.parent.name
