"""The progress of a training run, and its display."""

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tqdm import tqdm

from scratchnet.common.console import is_terminal, note
from scratchnet.train.norms import Norms
from scratchnet.train.recipe import Recipe

CLOCK_TICK = 1e-3  # shortest measurable time, in seconds


def best_of(history: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The record of the first epoch with the highest validation accuracy; None without a validation."""
    validated = [record for record in history if record["validation"] is not None]
    return max(validated, key=lambda record: record["validation"], default=None)


@dataclass
class Progress:
    """How far a run is: the next batch is `step` of `epoch`, both counted from 0.

    losses: of the current epoch's steps. norms: of the gradients in its measured steps. history: a record per finished
    epoch. seconds, images: the time that the current epoch has taken, over all processes that worked on it, and the
    images that it has seen.
    """

    epoch: int = 0
    step: int = 0
    losses: list[float] = field(default_factory=list)
    norms: list[Norms] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    images: int = 0

    @property
    def best(self) -> Mapping[str, Any] | None:
        """The record of the first epoch with the highest validation accuracy; None without a validation."""
        return best_of(self.history)

    def end_epoch(self, record: dict[str, Any]) -> None:
        """Add the record of the current epoch to the history, and start the next one."""
        self.history.append(record)
        self.epoch += 1
        self.step, self.losses, self.norms, self.seconds, self.images = 0, [], [], 0.0, 0

    def finished(self, recipe: Recipe) -> bool:
        """Whether all epochs are done or, with keep="best", the recipe's patience is exhausted."""
        waited = self.epoch - self.best["epoch"] if self.best and recipe.keep == "best" else 0
        return self.epoch >= recipe.epochs or waited >= recipe.patience


class Display:
    """A progress bar on a terminal, a line per epoch elsewhere; both on stderr, as long as it can be written to."""

    def __init__(self, recipe: Recipe, steps: int, progress: Progress, *, quiet: bool) -> None:
        self.recipe, self.steps, self.quiet = recipe, steps, quiet
        self.terminal = not quiet and is_terminal(sys.stderr)
        self.started, self.done_before = time.monotonic(), progress.epoch * steps + progress.step
        self.images = 0
        self.bar: Any = tqdm(disable=True)
        with suppress(OSError):
            self.bar = tqdm(
                total=recipe.epochs * steps,
                initial=self.done_before,
                disable=not self.terminal,
                leave=False,
                bar_format="{desc} {bar} {n}/{total} steps, {remaining} left{postfix}",
            )

    def __enter__(self) -> "Display":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self.bar.close()

    def batch(self, progress: Progress, images: int) -> None:
        """One more step is done, on this many images."""
        self.images += images
        rate = self.images / max(time.monotonic() - self.started, CLOCK_TICK)
        loss = f"loss {np.mean(progress.losses[-50:]):.3f}, " if progress.losses else ""  # none has been read yet
        best = f", best validation {progress.best['validation']:.1%}" if progress.best else ""
        self.bar.set_description_str(f"epoch {progress.epoch + 1}/{self.recipe.epochs}", refresh=False)
        self.bar.set_postfix_str(f"{loss}{rate:.0f} images/s{best}", refresh=False)
        with suppress(OSError):
            self.bar.update()

    def epoch(self, progress: Progress) -> None:
        """An epoch has just ended."""
        if self.quiet:
            return
        record = progress.history[-1]
        done = progress.epoch * self.steps
        per_step = (time.monotonic() - self.started) / max(1, done - self.done_before)  # 0 if resumed at an epoch's end
        left = (self.recipe.epochs * self.steps - done) * per_step
        validation = "no validation" if record["validation"] is None else f"validation {record['validation']:.1%}"
        line = (
            f"epoch {record['epoch']:3d}/{self.recipe.epochs}  loss {record['loss']:.3f}  {validation}  "
            f"{record['images_per_second']:.0f} images/s  {left / 60:.1f} min left"
        )
        with suppress(OSError), self.bar.external_write_mode(sys.stderr):  # clears the bar for the line
            note(line)
