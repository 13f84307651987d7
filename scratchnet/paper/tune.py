"""`scratchnet tune`: the paper's search on Optuna, in a folder that several processes share.

The folder holds study.db, Optuna's storage in SQLite; trials/, a run folder for each trial; and, when a process ends,
REPORT.md, best.json and pictures. A trial whose process was stopped goes on in the next one that asks for a trial; one
whose process was killed or lost does so after GRACE seconds without a sign of life.
"""

import importlib
import time
import warnings
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

from scratchnet.backend import Device
from scratchnet.common.console import note
from scratchnet.errors import InUseError, NonFiniteError, ScratchnetError, install_extra
from scratchnet.files.locks import in_turn
from scratchnet.paper.method import Material
from scratchnet.paper.report import write_report
from scratchnet.paper.scales import Scale
from scratchnet.paper.search import base_recipe, discard_network, first_guess, recipe_of, value_of
from scratchnet.train import SAVE_EVERY, Interrupted, OutOfTime

STORAGE, STUDY = "study.db", "paper"
HEARTBEAT, GRACE = 30, 600  # seconds; a process may be stopped for a while without being lost
STARTUP_TRIALS = 8  # before any is pruned
Optuna = Any  # the module


def optuna_module() -> Optuna:
    """Optuna. Raises ScratchnetError, which says what to install, where it is not there."""
    try:
        optuna = importlib.import_module("optuna")
    except ImportError as cause:
        raise ScratchnetError(f"the search runs on Optuna, which is not installed; {install_extra('paper')}") from cause
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # it warns, with a traceback, of every trial that is stopped
    return optuna


@dataclass
class Search:
    """A search in the folder `out`: until `trials` are finished, over all processes, or the deadline.

    search: a key of search.SEARCHES. deadline: on the clock of time.monotonic(). quiet: print no progress.
    """

    out: Path
    scale: Scale
    search: str
    material: Material
    device: Device
    trials: int
    deadline: float = inf
    save_every: float = SAVE_EVERY
    quiet: bool = False

    def run(self) -> Any:
        """Search, and write the report; returns the study.

        Raises Interrupted on a signal, with the state of the trial saved; ScratchnetError without Optuna, and when the
        folder has a search of another kind.
        """
        optuna = optuna_module()
        base = base_recipe(self.scale, self.material)  # fails now if the data are missing
        self.out.mkdir(parents=True, exist_ok=True)
        study = self._study(optuna)
        try:
            if self._finished(study) < self.trials:
                study.optimize(
                    lambda trial: self._value(optuna, study, trial, base),
                    timeout=None if self.deadline == inf else max(0.0, self.deadline - time.monotonic()),
                    catch=(InUseError,),  # a process that had been taken for lost goes on with the trial
                    callbacks=[self._after],
                )
        except OutOfTime as stop:
            self._say(f"the budget is spent, {stop}")
        finally:
            write_report(study, self.out, scale=self.scale.name, search=self.search)
        return study

    def _study(self, optuna: Optuna) -> Any:
        """The study in the folder, new or begun before."""
        sampler = optuna.samplers.TPESampler(constant_liar=True)  # processes keep apart from trials that others run
        pruner = optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS)
        # Two processes that create the tables of a new storage together would fail.
        with in_turn(self.out / ".study.lock", str(self.out)), warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            storage = optuna.storages.RDBStorage(
                f"sqlite:///{self.out / STORAGE}",
                engine_kwargs={"connect_args": {"timeout": 60}},
                heartbeat_interval=HEARTBEAT,
                grace_period=GRACE,
                heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(),
            )
            study = optuna.create_study(
                storage=storage,
                study_name=STUDY,
                direction="maximize",
                sampler=sampler,
                pruner=pruner,
                load_if_exists=True,
            )
            self._expect_same_search(study)
        return study

    def _expect_same_search(self, study: Any) -> None:
        """Set up a new study, or raise ScratchnetError if one that was begun before is of another kind."""
        settings = {"scale": self.scale.name, "search": self.search, "data": self.material.description}
        if not study.user_attrs:
            for name, value in settings.items():
                study.set_user_attr(name, value)
            study.enqueue_trial(first_guess(self.search, base_recipe(self.scale, self.material)))
        for name, value in settings.items():
            if (began := study.user_attrs.get(name)) != value:
                raise ScratchnetError(
                    f"{self.out} holds a search with another {name} ({began}, now {value}): name another folder"
                )

    def _value(self, optuna: Optuna, study: Any, trial: Any, base: Any) -> float:
        name = trial.user_attrs.get("folder", f"{trial.number:04}")
        trial.set_user_attr("folder", name)
        recipe = recipe_of(trial, self.search, base)
        try:
            return value_of(
                trial,
                recipe,
                self.out / "trials" / name,
                self.material,
                hopeless=optuna.TrialPruned,
                device=self.device,
                deadline=self.deadline,
                save_every=self.save_every,
                say=self._say,
            )
        except NonFiniteError as error:
            trial.set_user_attr("diverged", str(error))
            raise optuna.TrialPruned from error
        except Interrupted:
            study.enqueue_trial(trial.params, user_attrs={"folder": name})  # goes on where it was stopped
            raise

    def _after(self, study: Any, trial: Any) -> None:
        """Print a line for a trial that has ended, and stop the search after the last."""
        state = trial.state.name.lower()
        if state == "fail":
            return
        reached = max(trial.intermediate_values.values(), default=None)
        shown = "diverged" if reached is None else f"{reached:.1%} of validation trials"
        with suppress(ValueError):  # no trial is complete yet
            shown += f"; best {study.best_value:.1%}"
        self._say(f"trial {trial.number} {state}: {shown}")
        discard_network(self.out / "trials" / trial.user_attrs["folder"])
        if self._finished(study) >= self.trials:
            study.stop()

    def _say(self, line: str) -> None:
        if not self.quiet:
            note(line)

    def _finished(self, study: Any) -> int:
        """How many trials are complete or pruned, over all processes."""
        return sum(trial.state.name in ("COMPLETE", "PRUNED") for trial in study.get_trials(deepcopy=False))
