"""The training step and the loop around it.

A run folder holds recipe.json; weights.npz, the best network so far, or the last one where there is no validation;
state.npz, from which the run is resumed; and log.jsonl, one line per epoch. Every file is written whole or not at all.
Where the recipe asks for a running average of the weights, the network with the averaged weights is validated, written
and returned, and training goes on with the others.

One process trains in a folder: the lock file .lock keeps others out while it runs. state.npz is written at the end of
each epoch, every few minutes within one, and on SIGINT, SIGTERM or SIGHUP; a kill loses the steps since then. It
records a digest of the drawings, since a run is not resumed on others, and the environment: a change gives a warning.

The random numbers of a batch depend only on the seed, the epoch and the step, so a run that was stopped and resumed
ends with the same bits as one that was not, on the same machine with the same number of threads. Their weights.npz are
the same file, as only the log holds times. Under a memory limit they agree up to rounding, since the pieces of a batch
depend on how much memory the process holds when it starts.
"""

from typing import TYPE_CHECKING

__all__ = [
    "LOG", "RECIPE", "SAVE_EVERY", "STATE", "Interrupted", "StoppedAtOnce", "batches", "diagnosis", "environment",
    "exit_code", "folder", "gradients", "load_split", "loop", "memory_plan", "progress", "queue_step", "read_log",
    "recipe", "recipes", "settings", "signals", "state", "step", "stepper", "synchronous", "train", "train_step",
]  # fmt: skip

if TYPE_CHECKING:
    from scratchnet.train import (
        batches,
        diagnosis,
        environment,
        folder,
        gradients,
        loop,
        memory_plan,
        progress,
        recipe,
        recipes,
        settings,
        signals,
        state,
        step,
        stepper,
        synchronous,
    )
    from scratchnet.train.folder import LOG, RECIPE, STATE
    from scratchnet.train.loop import SAVE_EVERY, load_split, train
    from scratchnet.train.signals import Interrupted, StoppedAtOnce, exit_code
    from scratchnet.train.state import read_log
    from scratchnet.train.step import queue_step
    from scratchnet.train.synchronous import train_step
else:
    from scratchnet.common.lazy import lazily

    __getattr__, __dir__ = lazily(__name__, __all__, {
        "LOG": "folder", "RECIPE": "folder", "STATE": "folder", "SAVE_EVERY": "loop", "load_split": "loop",
        "train": "loop", "Interrupted": "signals", "StoppedAtOnce": "signals", "exit_code": "signals",
        "read_log": "state", "queue_step": "step", "train_step": "synchronous",
    })  # fmt: skip
