"""A training of a second that does everything a long one does, and what it leaves behind."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from scratchnet.checkpoint import WEIGHTS, load_arrays
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.data.splits import Split
from scratchnet.train import LOG, RECIPE, STATE
from scratchnet.train.folder import TABLE
from scratchnet.train.recipes import RECIPES

TRAINING = replace(
    RECIPES["glyphs"],
    architecture={"name": "compact", "image_size": 16, "width": 2, "features": 8},
    epochs=3,
    steps=6,
    n_way=5,
    batch_size=2,
    lr_decay=1.0,
    schedule="cosine",
    weight_average=0.9,
    validation_trials=20,
    seed=11,
)
FILES = {RECIPE, STATE, WEIGHTS, LOG, TABLE}


def tiny_split() -> Split:
    alphabets = generate_alphabets(5, characters=6, drawers=4, image_size=16, seed=3)
    return Split(alphabets[:3], alphabets[3:])


def outcome(out: Path) -> dict[str, Any]:
    """All that a run leaves behind, but for the time that it took: of the weights every byte of the file."""
    arrays, notes = load_arrays(out / STATE)
    log = [json.loads(line) for line in (out / LOG).read_text().splitlines()]
    return {
        "files": sorted(path.name for path in out.iterdir()),
        "weights": hashlib.sha256((out / WEIGHTS).read_bytes()).hexdigest(),
        "recipe": (out / RECIPE).read_text(),
        "state": {name: hashlib.sha256(value.tobytes()).hexdigest() for name, value in arrays.items()},
        "position": [notes[name] for name in ("epoch", "step", "losses", "data")],
        "log": [{name: value for name, value in line.items() if "second" not in name} for line in log],
    }
