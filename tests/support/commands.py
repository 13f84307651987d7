"""Helpers for the tests of the commands: a small training run, and drawings as files."""

import json
from dataclasses import dataclass

import numpy as np
from PIL import Image

TINY = [
    f"--set={setting}"
    for setting in (
        "architecture.image_size=16",
        "architecture.width=2",
        "architecture.features=8",
        "epochs=2",
        "steps=3",
        "batch_size=2",
        "n_way=5",
        "validation_trials=20",
    )
]


@dataclass
class Answer:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        assert self.code == 0, self.err
        return json.loads(self.out)


def drawing(path, ink):
    """Saves ink (H, W) bool as a picture, black on white."""
    Image.fromarray(np.where(ink, 0, 255).astype(np.uint8)).save(path)
    return path
