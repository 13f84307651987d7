"""Trainings of a second, and what they leave behind."""

import json
import os
import signal
from dataclasses import replace

from scratchnet.checkpoint import WEIGHTS, load_arrays
from scratchnet.train import LOG, STATE
from scratchnet.train.recipes import RECIPES

TINY = replace(
    RECIPES["glyphs"],
    architecture={"name": "compact", "image_size": 16, "width": 2, "features": 8},
    epochs=3,
    steps=4,
    n_way=5,
    batch_size=2,
    lr=0.05,
    lr_decay=0.5,
    validation_trials=20,
    seed=11,
)
RUNS = {
    "pairs, fixed distortions": replace(TINY, objective="pairs", pairs=12, fixed_distortions=1, batch_size=6),
    "pairs, fresh distortions": replace(
        TINY, objective="pairs", pairs=24, batch_size=6, initial_momentum=0.5, momentum_epochs=2, weight_decay=1e-4
    ),
    "episodes": replace(TINY, symmetries=True),
    "episodes both ways, averaged": replace(
        TINY,
        symmetries=True,
        both_ways=True,
        elastic=0.05,
        stroke=0.5,
        weight_average=0.9,
        schedule="cosine",
        lr_decay=1.0,
    ),
}


def outcome(out):
    """All that a run leaves behind but the time it took: the weights file, state, log."""
    state = load_arrays(out / STATE)
    log = [json.loads(line) for line in (out / LOG).read_text().splitlines()]
    timeless = [{k: v for k, v in record.items() if "second" not in k} for record in log]
    arrays = {name: value.tobytes() for name, value in state[0].items()}
    position = [state[1][name] for name in ("recipe", "epoch", "step", "losses")]
    return (out / WEIGHTS).read_bytes(), arrays, timeless, position


def stop_at(number, how=signal.SIGINT):
    return lambda taken: os.kill(os.getpid(), how) if taken == number else None
