"""Omniglot as Brenden Lake published it: https://github.com/brendenlake/omniglot.

A set is a zip or a folder with files such as images_background/ALPHABET/characterNN/XXXX_YY.png, where YY is the
drawer. Everything is sorted by name, so class numbers are the same on every machine. Nothing that looks like a drawing
is skipped silently.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

import numpy as np

from scratchnet.data.alphabets import Alphabet
from scratchnet.data.archive import Tree, few, open_tree
from scratchnet.errors import DataError

_DRAWING = re.compile(
    r"(?:(?P<set>.*)/)?(?P<alphabet>[^/]+)/character(?P<character>[0-9]{1,6})/[0-9]{1,9}_(?P<drawer>[0-9]{1,6})\.png",
    re.IGNORECASE,
)
_CHARACTER = re.compile(r"(?:(?P<set>.*)/)?(?P<alphabet>[^/]+)/character[^/]*", re.IGNORECASE)
_PICTURE = re.compile(r".*\.(png|jpe?g|bmp|gif|webp|tiff?)", re.IGNORECASE)
_OF_A_RUN = re.compile(r"(?P<run>.*)/(training|test)/[^/]+", re.IGNORECASE)
LABELS = "class_labels.txt"
# The alphabets of the background set.
BACKGROUND = frozenset(
    (
        "Alphabet_of_the_Magi",
        "Anglo-Saxon_Futhorc",
        "Arcadian",
        "Armenian",
        "Asomtavruli_(Georgian)",
        "Balinese",
        "Bengali",
        "Blackfoot_(Canadian_Aboriginal_Syllabics)",
        "Braille",
        "Burmese_(Myanmar)",
        "Cyrillic",
        "Early_Aramaic",
        "Futurama",
        "Grantha",
        "Greek",
        "Gujarati",
        "Hebrew",
        "Inuktitut_(Canadian_Aboriginal_Syllabics)",
        "Japanese_(hiragana)",
        "Japanese_(katakana)",
        "Korean",
        "Latin",
        "Malay_(Jawi_-_Arabic)",
        "Mkhedruli_(Georgian)",
        "N_Ko",
        "Ojibwe_(Canadian_Aboriginal_Syllabics)",
        "Sanskrit",
        "Syriac_(Estrangelo)",
        "Tagalog",
        "Tifinagh",
    )
)
MAX_LABELS = 1 << 17  # bytes of a class_labels.txt; Lake's have 980


@dataclass(frozen=True)
class OfficialRun:
    """One of Lake's one-shot classification runs.

    support: (S, H, W) bool, one drawing of each class. query: (Q, H, W) bool. target: (Q,) int, the index of the
    support that shows the same character as the query.
    """

    name: str
    support: np.ndarray
    query: np.ndarray
    target: np.ndarray


def load_omniglot(path: Path | str) -> list[Alphabet]:
    """Load all alphabets of one set, sorted by name, with characters and drawers sorted by number.

    path: a zip or a folder, in the layout of Lake or of torchvision; see `find_data`.

    Raises DataError if the data are missing or damaged, if a drawing is missing, or if the sizes differ.
    """
    with open_tree(path) as tree:
        drawings = _find_drawings(tree)
        characters = sorted({(alphabet, character) for alphabet, character, _ in drawings})
        drawers = sorted({drawer for _, _, drawer in drawings})
        _expect_complete(tree.path, drawings, characters, drawers)
        images = tree.read_bitmaps([drawings[*character, drawer] for character in characters for drawer in drawers])
    images = images.reshape(len(characters), len(drawers), *images.shape[1:])
    names, starts = np.unique([alphabet for alphabet, _ in characters], return_index=True)
    return [Alphabet(str(name), part) for name, part in zip(names, np.split(images, starts[1:]), strict=True)]


def read_runs(path: Path | str) -> list[OfficialRun]:
    """Read the official one-shot runs in order: 20 runs of 20 trials in Lake's all_runs.zip or its unpacked folder.

    Raises DataError if they are missing or damaged.
    """
    with open_tree(path) as tree:
        labels = sorted(name for name in tree.files if PurePosixPath(name).name == LABELS)
        if not labels:
            raise DataError(
                f"{path} holds no runNN/{LABELS}, it holds {tree.listing()}: "
                "give Lake's all_runs.zip or its unpacked folder"
            )
        runs = {name: _read_pairs(tree, name) for name in labels}
        _refuse_unread(tree, {picture for pairs in runs.values() for pair in pairs for picture in pair})
        return [_read_run(tree, name, pairs) for name, pairs in runs.items()]


def _find_drawings(tree: Tree) -> dict[tuple[str, int, int], str]:
    """The files of one set by (alphabet, character, drawer)."""
    drawings: dict[tuple[str, int, int], str] = {}
    sets = set()
    for name in tree.files:
        if match := _DRAWING.fullmatch(name):
            place = match["alphabet"], int(match["character"]), int(match["drawer"])
            if not match["alphabet"].isprintable():
                raise DataError(f"{tree.path} holds an alphabet called {match['alphabet']}: rename it")
            sets.add(match["set"] or ".")
            if len(sets) > 1:
                raise DataError(f"{tree.path} holds several sets ({', '.join(sorted(sets))}): give one of them")
            if place in drawings:
                raise DataError(f"{tree.path} holds one drawing twice, as {name} and {drawings[place]}: remove one")
            drawings[place] = name
    if not drawings:
        raise DataError(
            f"{tree.path} holds no ALPHABET/characterNN/XXXX_YY.png, it holds {tree.listing()}: "
            "is it one of Omniglot's sets?"
        )
    _refuse_strangers(tree, "" if sets == {"."} else f"{sets.pop()}/", set(drawings.values()))
    return drawings


def _refuse_strangers(tree: Tree, root: str, drawings: set[str]) -> None:
    """Raise DataError for pictures with unexpected names among the drawings, and for folders without a drawing."""
    strangers = sorted(
        name
        for name in tree.files
        if name.startswith(root)
        and name.count("/") >= root.count("/") + 2
        and _PICTURE.fullmatch(name)
        and name not in drawings
    )
    if strangers:
        raise DataError(
            f"{tree.path} holds {few(strangers, 3)}, expected ALPHABET/characterNN/XXXX_YY.png: rename it or remove it"
        )
    inhabited = {str(parent) for name in drawings for parent in PurePosixPath(name).parents}
    used = {str(PurePosixPath(name).parent) for name in (*tree.files, *tree.folders)}
    empty = sorted(
        name
        for name in tree.folders
        if name.startswith(root)
        and name not in inhabited
        and (_CHARACTER.fullmatch(name) or (name.count("/") == root.count("/") and name not in used))
    )
    if empty:
        raise DataError(f"{tree.path} is incomplete, there is no drawing in {few(empty, 3)}: fetch it again")


def _expect_complete(
    path: Path,
    drawings: Mapping[tuple[str, int, int], str],
    characters: Sequence[tuple[str, int]],
    drawers: Sequence[int],
) -> None:
    """Raise DataError unless every character is drawn by every drawer."""
    lacking = len(characters) * len(drawers) - len(drawings)
    if lacking:
        absent = (
            f"{alphabet}/character{character:02} lacks drawer {drawer:02}"
            for alphabet, character in characters
            for drawer in drawers
            if (alphabet, character, drawer) not in drawings
        )
        raise DataError(f"{path} is incomplete: {few(list(islice(absent, 3)), 3, lacking)}; fetch it again")


def _read_pairs(tree: Tree, labels: str) -> list[tuple[str, str]]:
    """The lines of a class_labels.txt: the path of a query and that of the support of its class."""
    root = PurePosixPath(labels).parent.parent  # the paths in the file start with the name of the run
    lines = tree.read(labels, MAX_LABELS).decode("utf-8-sig", errors="replace").split("\n")
    pairs = [line.split() for line in lines if line.strip()]
    if not pairs or any(len(pair) != 2 for pair in pairs):
        raise DataError(f"{labels} in {tree.path} does not pair two images on each line: fetch the data again")
    if len({query for query, _ in pairs}) < len(pairs):
        raise DataError(f"{labels} in {tree.path} has a query twice: fetch the data again")
    return [(str(root / query), str(root / match)) for query, match in pairs]


def _refuse_unread(tree: Tree, named: set[str]) -> None:
    """Raise DataError for pictures of runs that no class_labels.txt lists: it, or some of its lines, are missing."""
    unread = sorted(
        name for name in tree.files if name not in named and _PICTURE.fullmatch(name) and _OF_A_RUN.fullmatch(name)
    )
    if unread:
        raise DataError(f"{tree.path} holds {few(unread, 3)}, which no {LABELS} lists: fetch the data again")


def _read_run(tree: Tree, labels: str, pairs: Sequence[tuple[str, str]]) -> OfficialRun:
    """The run whose class_labels.txt is called `labels`; pairs: each query with the support of its class."""
    queries, matches = zip(*pairs, strict=True)
    supports = sorted(set(matches))
    images = tree.read_bitmaps([*supports, *queries])
    return OfficialRun(
        name=PurePosixPath(labels).parent.name,
        support=images[: len(supports)],
        query=images[len(supports) :],
        target=np.array([supports.index(match) for match in matches]),
    )
