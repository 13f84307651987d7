"""Tells the caller of a training run about its steps and epochs, for a log of their own."""

from collections.abc import Callable
from typing import Any

from scratchnet.train.state import TrainingRun

Report = Callable[[dict[str, Any]], None] | None


class Watch:
    """Calls on_step for each step whose loss is known, in order, and on_epoch for each epoch."""

    def __init__(self, run: TrainingRun, on_step: Report, on_epoch: Report) -> None:
        self.run, self.on_step, self.on_epoch = run, on_step, on_epoch
        self._told = len(run.progress.losses)  # of the current epoch; a resumed run has told of these before

    def steps(self) -> None:
        """Tell of the steps since the last call whose losses have been read."""
        progress = self.run.progress
        for step, loss in enumerate(progress.losses[self._told :], start=self._told + 1):
            self._told = step
            if self.on_step:
                self.on_step({"epoch": progress.epoch + 1, "step": step, "loss": loss, "lr": self.run.optimiser.rate})

    def epoch(self) -> None:
        """Tell of the epoch that has just ended."""
        self._told = 0
        if self.on_epoch:
            self.on_epoch(dict(self.run.progress.history[-1]))
