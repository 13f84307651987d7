"""The training step and the loop around it.

A run folder holds recipe.json; weights.npz, the best network so far, or the last one where there is no validation to
choose by; state.npz, all that is needed to go on; and log.jsonl, one line an epoch. Every file is written whole or not
at all. Where the recipe asks for a running average of the weights, the network with the averaged ones is validated,
written and returned, and training goes on with the others.

One process trains in a folder: the lock file .lock keeps others out while it lives. state.npz is written at the end of
each epoch, every few minutes within one, and on SIGINT, SIGTERM or SIGHUP; a kill loses the steps since then. It
records a digest of the drawings, without which a run is not resumed, and the environment, of which a change is warned.

The random numbers of a batch depend on the seed, the epoch and the step alone, so a run that was stopped and resumed
ends with the same bits as one that was not, on the same machine with the same number of threads; the files weights.npz
of both are equal, as times are in the log alone. Under a memory cap it is the same to rounding, since the pieces of a
batch depend on what the process has taken when it starts.
"""

from typing import TYPE_CHECKING

__all__ = [
    "LOG",
    "RECIPE",
    "SAVE_EVERY",
    "STATE",
    "Interrupted",
    "StoppedAtOnce",
    "batches",
    "diagnosis",
    "environment",
    "exit_code",
    "folder",
    "gradients",
    "load_split",
    "loop",
    "progress",
    "queue_step",
    "read_log",
    "recipes",
    "signals",
    "state",
    "step",
    "train",
    "train_step",
]

if TYPE_CHECKING:
    from scratchnet.train import (
        batches,
        diagnosis,
        environment,
        folder,
        gradients,
        loop,
        progress,
        recipes,
        signals,
        state,
        step,
    )
    from scratchnet.train.folder import LOG, RECIPE, STATE
    from scratchnet.train.loop import SAVE_EVERY, load_split, train
    from scratchnet.train.signals import Interrupted, StoppedAtOnce, exit_code
    from scratchnet.train.state import read_log
    from scratchnet.train.step import queue_step, train_step
else:
    from scratchnet.common.lazy import lazily

    __getattr__, __dir__ = lazily(
        __name__,
        __all__,
        {
            "LOG": "folder",
            "RECIPE": "folder",
            "STATE": "folder",
            "SAVE_EVERY": "loop",
            "load_split": "loop",
            "train": "loop",
            "Interrupted": "signals",
            "StoppedAtOnce": "signals",
            "exit_code": "signals",
            "read_log": "state",
            "queue_step": "step",
            "train_step": "step",
        },
    )
