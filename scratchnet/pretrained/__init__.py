"""The bundled networks: NAME.npz with the weights, NAME.json with the card, and NAME.md, the card for people.

`python benchmarks/bundle.py` makes all three from a run folder.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path

from scratchnet.common.spelling import hint
from scratchnet.errors import REINSTALL, CheckpointError
from scratchnet.pretrained.card import Card

__all__ = ["DEFAULT", "Card", "card", "list_names", "names", "size", "weights"]

DEFAULT = "omniglot"
FOLDER = files(__name__)


def names() -> list[str]:
    """The names of the bundled networks."""
    return sorted(file.name.removesuffix(".npz") for file in FOLDER.iterdir() if file.name.endswith(".npz"))


def list_names() -> str:
    """The names of the bundled networks, for a message."""
    return ", ".join(names()) or "there is none"


def size(name: str) -> int:
    """The size of the weights file of a bundled network, in bytes."""
    with as_file(FOLDER / f"{name}.npz") as path:
        return path.stat().st_size


def card(name: str) -> Card:
    """The card of a bundled network. Raises CheckpointError when it is missing or damaged."""
    with as_file(FOLDER / f"{name}.json") as path:
        return Card.read(path)


@contextmanager
def weights(name: str) -> Iterator[Path]:
    """The weights file of a bundled network. Raises CheckpointError when it is missing or does not match its card."""
    if name not in names():
        raise CheckpointError(
            f"no network called {name} is bundled with this scratchnet ({list_names()})"
            f"{hint(name, names())}: "
            "train one with `scratchnet train` and give its run folder with --model"
        )
    with as_file(FOLDER / f"{name}.npz") as path:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest != card(name).sha256:
            raise CheckpointError(
                f"{path} is not the file that its card describes, its SHA-256 is {digest}; " + REINSTALL
            )
        yield path


def __dir__() -> list[str]:
    return __all__
