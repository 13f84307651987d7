"""Omniglot as Brenden Lake published it: https://github.com/brendenlake/omniglot.

A set is a zip or a folder with the files images_background/ALPHABET/characterNN/XXXX_YY.png, YY the drawer.
All is put in order by name, so class numbers are the same on every machine.
"""

import re
from dataclasses import dataclass
from itertools import product
from pathlib import Path, PurePosixPath

import numpy as np

from scratchnet.data.alphabets import Alphabet
from scratchnet.data.archive import Tree, open_tree
from scratchnet.errors import DataError

_DRAWING = re.compile(r"(?:(?P<set>.*)/)?(?P<alphabet>[^/]+)/character(?P<character>\d+)/\d+_(?P<drawer>\d+)\.png")


@dataclass(frozen=True)
class OfficialRun:
    """One of Lake's one-shot classification runs.

    support: (S, H, W) bool, one drawing of each class. query: (Q, H, W) bool. target: (Q,) int, the support that
    shows the same character as the query.
    """

    name: str
    support: np.ndarray
    query: np.ndarray
    target: np.ndarray


def load_omniglot(path: Path | str) -> list[Alphabet]:
    """All alphabets of one set, by name, with characters and drawers by number.

    path: a zip or a folder, in Lake's or in torchvision's layout; `find_data` finds it.

    Raises DataError when the data are missing or damaged, when a drawing is missing, or when sizes differ.
    """
    with open_tree(path) as tree:
        drawings = _find_drawings(tree)
        characters = sorted({(alphabet, character) for alphabet, character, _ in drawings})
        drawers = sorted({drawer for _, _, drawer in drawings})
        for (alphabet, character), drawer in product(characters, drawers):
            if (alphabet, character, drawer) not in drawings:
                lacking = f"{alphabet}/character{character:02} lacks drawer {drawer:02}"
                raise DataError(f"{path} is not complete: {lacking}, fetch it again")
        images = tree.read_bitmaps([drawings[*character, drawer] for character in characters for drawer in drawers])
    images = images.reshape(len(characters), len(drawers), *images.shape[1:])
    names, starts = np.unique([alphabet for alphabet, _ in characters], return_index=True)
    return [Alphabet(str(name), part) for name, part in zip(names, np.split(images, starts[1:]), strict=True)]


def read_runs(path: Path | str) -> list[OfficialRun]:
    """The official one-shot runs, in order: 20 runs of 20 trials in Lake's all_runs.zip, or in the folder unpacked.

    Raises DataError when they are missing or damaged.
    """
    with open_tree(path) as tree:
        runs = [_read_run(tree, name) for name in sorted(tree.files) if PurePosixPath(name).name == "class_labels.txt"]
    if not runs:
        raise DataError(f"{path} holds no runNN/class_labels.txt: give Lake's all_runs.zip or the folder unpacked")
    return runs


def _find_drawings(tree: Tree) -> dict[tuple[str, int, int], str]:
    """The files of one set by (alphabet, character, drawer)."""
    drawings: dict[tuple[str, int, int], str] = {}
    sets = set()
    for name in tree.files:
        if match := _DRAWING.fullmatch(name):
            place = match["alphabet"], int(match["character"]), int(match["drawer"])
            sets.add(match["set"] or ".")
            if len(sets) > 1:
                raise DataError(f"{tree.path} holds several sets ({', '.join(sorted(sets))}): give one of them")
            if place in drawings:
                raise DataError(f"{tree.path} holds one drawing twice: {name} and {drawings[place]}, remove one")
            drawings[place] = name
    if not drawings:
        raise DataError(f"{tree.path} holds no ALPHABET/characterNN/XXXX_YY.png: is it one of Omniglot's sets?")
    return drawings


def _read_run(tree: Tree, labels: str) -> OfficialRun:
    """The run whose class_labels.txt is called `labels`: a line pairs a query with the support of its class."""
    root = PurePosixPath(labels).parent.parent  # the paths in the file start with the name of the run
    lines = tree.read(labels).decode("ascii", errors="replace").split("\n")
    pairs = [line.split() for line in lines if line.strip()]
    if not pairs or any(len(pair) != 2 for pair in pairs):
        raise DataError(f"{labels} in {tree.path} does not pair two images on each line: fetch the data again")
    queries, matches = ([str(root / name) for name in column] for column in zip(*pairs, strict=True))
    supports = sorted(set(matches))
    images = tree.read_bitmaps(supports + queries)
    return OfficialRun(
        name=PurePosixPath(labels).parent.name,
        support=images[: len(supports)],
        query=images[len(supports) :],
        target=np.array([supports.index(match) for match in matches]),
    )
