"""The training step and the loop around it; `loop.py` says what a run folder holds, and what resumes alike."""

from typing import TYPE_CHECKING  # isort: skip_file

__all__ = [
    "LOG", "RECIPE", "SAVE_EVERY", "STATE", "Interrupted", "OutOfTime", "StoppedAtOnce", "batches", "diagnosis",
    "environment", "exit_code", "folder", "gradients", "load_split", "loop", "memory_plan", "norms", "own_split",
    "progress", "queue_step", "ranks", "read_log", "recipe", "recipes", "settings", "signals", "state", "step",
    "stepper", "synchronous", "train", "train_step", "tuning", "watch",
]  # fmt: skip

if TYPE_CHECKING:
    from scratchnet.train import (
        batches, diagnosis, environment, folder, gradients, loop, memory_plan, norms, progress, ranks, recipe, recipes,
        settings, signals, state, step, stepper, synchronous, tuning, watch,
    )  # fmt: skip
    from scratchnet.train.folder import LOG, RECIPE, STATE
    from scratchnet.train.loop import SAVE_EVERY, load_split, own_split, train
    from scratchnet.train.signals import Interrupted, OutOfTime, StoppedAtOnce, exit_code
    from scratchnet.train.state import read_log
    from scratchnet.train.step import queue_step
    from scratchnet.train.synchronous import train_step
else:
    from scratchnet.common.lazy import lazily

    __getattr__, __dir__ = lazily(__name__, __all__, {
        "LOG": "folder", "RECIPE": "folder", "STATE": "folder", "SAVE_EVERY": "loop", "load_split": "loop",
        "own_split": "loop", "train": "loop", "Interrupted": "signals", "OutOfTime": "signals",
        "StoppedAtOnce": "signals", "exit_code": "signals", "read_log": "state", "queue_step": "step",
        "train_step": "synchronous",
    })  # fmt: skip
