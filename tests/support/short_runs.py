"""Training runs of a second, what they leave behind, and how they are stopped or refused."""

import json
import os
import signal
from dataclasses import replace

import numpy as np
import pytest

from scratchnet.checkpoint import WEIGHTS, load_arrays
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.data.splits import Split
from scratchnet.train import LOG, STATE, Interrupted, train
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
        TINY, objective="pairs", pairs=24, batch_size=6, initial_momentum=0.5, momentum_epochs=2, weight_decay=2e-4
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
RUN = RUNS["episodes both ways, averaged"]
FINAL = replace(RUN, data="omniglot", validation_alphabets=())  # trains on all alphabets, without a validation
PLAIN = replace(  # the paper's layers, without batch norm
    RUNS["pairs, fixed distortions"],
    architecture={"name": "koch2015", "image_size": 65, "channels": [2, 2, 2, 2], "features": 4},
)
every_objective = pytest.mark.parametrize("recipe", RUNS.values(), ids=RUNS)


def tiny_split(train=3, validation=2, characters=6, drawers=4):
    """Small alphabets of 16 x 16 pixels, to train on and to validate by."""
    alphabets = generate_alphabets(train + validation, characters=characters, drawers=drawers, image_size=16, seed=3)
    return Split(alphabets[:train], alphabets[train:])


def poison(array):
    array[-1] = np.nan


def outcome(out):
    """All that a run leaves behind except the time it took: the weights file, the state, the log."""
    state = load_arrays(out / STATE)
    log = [json.loads(line) for line in (out / LOG).read_text().splitlines()]
    timeless = [{k: v for k, v in record.items() if "second" not in k} for record in log]
    arrays = {name: value.tobytes() for name, value in state[0].items()}
    position = [state[1][name] for name in ("recipe", "epoch", "step", "losses")]
    return (out / WEIGHTS).read_bytes(), arrays, timeless, position


def stop_at(number, how=signal.SIGINT):
    """A hook for the fixture `steps`: sends the signal after that step."""
    return lambda taken: os.kill(os.getpid(), how) if taken == number else None


def stopped(recipe, split, out, steps, number=2, **options):
    """A run that a signal stops after `number` steps."""
    steps.then = stop_at(len(steps) + number)
    with pytest.raises(Interrupted):
        train(recipe, split, out, quiet=True, **options)
    steps.then = lambda taken: None
    return out


def refusal_of(kind, *arguments, **options):
    """The line with which `train` refuses its arguments."""
    with pytest.raises(kind) as refusal:
        train(*arguments, quiet=True, **options)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)
