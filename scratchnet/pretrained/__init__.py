"""The bundled networks: NAME.npz with its weights, NAME.json, its card, and NAME.md, the card for people.

`python benchmarks/bundle.py` makes the three of a run folder.
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
    """The names of the bundled networks for a message."""
    return ", ".join(names()) or "there is none"


def size(name: str) -> int:
    """The bytes of the file of a bundled network."""
    with as_file(FOLDER / f"{name}.npz") as path:
        return path.stat().st_size


def card(name: str) -> Card:
    """The card of a bundled network. Raises CheckpointError when it has none that can be read."""
    with as_file(FOLDER / f"{name}.json") as path:
        return Card.read(path)


@contextmanager
def weights(name: str) -> Iterator[Path]:
    """The file of a bundled network. Raises CheckpointError when there is none, or not the one that its card tells."""
    if name not in names():
        raise CheckpointError(
            f"no network called {name} is bundled with this scratchnet ({list_names()})"
            f"{hint(name, names())}: "
            "train one with `scratchnet train` and give its run folder with --model"
        )
    with as_file(FOLDER / f"{name}.npz") as path:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != card(name).sha256:
            raise CheckpointError(
                f"{path} is not the file that its card describes, its SHA-256 is {found}; " + REINSTALL
            )
        yield path


def __dir__() -> list[str]:
    return __all__
