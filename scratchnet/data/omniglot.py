"""Omniglot as Brenden Lake published it: https://github.com/brendenlake/omniglot.

A set is a zip or a folder with the files images_background/ALPHABET/characterNN/XXXX_YY.png, YY the drawer.
Zips are read as they are, never unpacked. All is put in order by name, so class numbers are the same on every machine.
"""

import io
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice, product
from pathlib import Path, PurePosixPath

import numpy as np

from scratchnet.data.alphabets import Alphabet
from scratchnet.errors import DataError
from scratchnet.images import read_bitmap

# Many times what Omniglot needs (20,275 files, 5 MB packed, 213 million pixels), and far below what fills a machine.
MAX_FILES = 100_000
MAX_BYTES = 1 << 28
MAX_PIXELS = 1 << 31

DRAWERS = 20
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


@dataclass(frozen=True)
class PaperSplit:
    """The alphabets and drawers of the paper: three sets with no alphabet and no drawer number in common."""

    train: list[Alphabet]
    validation: list[Alphabet]
    test: list[Alphabet]


@dataclass(frozen=True)
class Tree:
    """The files of a zip or of a folder, as functions that read them, by their path inside it."""

    path: Path
    files: Mapping[str, Callable[[], bytes]]

    def read(self, name: str) -> bytes:
        """The content of one file. Raises DataError when it is missing or damaged."""
        if name not in self.files:
            raise DataError(f"{self.path} has no file {name}: the copy is not complete, fetch it again")
        try:
            return self.files[name]()
        except Exception as cause:  # zipfile and zlib report damage in many ways, and folders in their own
            raise DataError(f"{name} in {self.path} cannot be read ({cause}): fetch the data again") from cause

    def read_bitmaps(self, names: Sequence[str]) -> np.ndarray:
        """The drawings called `names`: (N, H, W) bool. Raises DataError when one is damaged or of another size."""
        first = read_bitmap(io.BytesIO(self.read(names[0])), f"{names[0]} in {self.path}")
        if len(names) * first.size > MAX_PIXELS:
            raise DataError(
                f"{self.path} holds {len(names)} images of {first.shape} pixels: too many for Omniglot, not read"
            )
        images = np.empty((len(names), *first.shape), bool)
        for image, name in zip(images, names, strict=True):
            bitmap = read_bitmap(io.BytesIO(self.read(name)), f"{name} in {self.path}")
            if bitmap.shape != first.shape:
                raise DataError(
                    f"{name} in {self.path} has the shape (H, W) = {bitmap.shape}, "
                    f"{names[0]} has {first.shape}: bring all images to one size"
                )
            image[:] = bitmap
        return images


@contextmanager
def open_tree(path: Path | str) -> Iterator[Tree]:
    """The zip or folder at `path`. Raises DataError when it is missing, damaged, encrypted or suspiciously large."""
    path = Path(path)
    if path.is_dir():
        found = list(islice((file for file in path.rglob("*") if file.is_file()), MAX_FILES + 1))
        _refuse_too_many(path, len(found))
        yield _tree(path, {file.relative_to(path).as_posix(): file.read_bytes for file in found})
        return
    try:
        archive = zipfile.ZipFile(path)
    except FileNotFoundError as cause:
        raise DataError(f"there is no file or folder {path}: check the path, or run `scratchnet download`") from cause
    except Exception as cause:  # zipfile reports damage in many ways
        raise DataError(f"{path} is not an intact zip ({cause}): fetch it again with `scratchnet download`") from cause
    with archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        _refuse_too_many(path, len(members))
        if sum(member.file_size for member in members) > MAX_BYTES:
            raise DataError(f"{path} unpacks to more than {MAX_BYTES:,} bytes: Omniglot is far smaller, not read")
        if any(member.flag_bits & 1 for member in members):
            raise DataError(f"{path} is encrypted: unpack it and give the folder")
        yield _tree(path, {member.filename: partial(_read_member, archive, member) for member in members})


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


def paper_split(background: list[Alphabet], evaluation: list[Alphabet], rng: np.random.Generator) -> PaperSplit:
    """The split of Koch et al. 2015: the first 12 drawers of the background alphabets train; one half of the
    evaluation alphabets with the next 4 drawers validates, the other half with the last 4 tests.

    The paper does not say which ten of the twenty evaluation alphabets are which: here `rng` draws them.

    Raises DataError when an alphabet has not 20 drawers.
    """
    for alphabet in [*background, *evaluation]:
        if alphabet.drawers != DRAWERS:
            raise DataError(f"{alphabet.name} has {alphabet.drawers} drawers, the paper's split needs {DRAWERS}")
    order = rng.permutation(len(evaluation))
    validation, test = np.array_split(order, 2)
    return PaperSplit(
        train=[alphabet.drawn_by(slice(0, 12)) for alphabet in background],
        validation=[evaluation[i].drawn_by(slice(12, 16)) for i in sorted(validation)],
        test=[evaluation[i].drawn_by(slice(16, 20)) for i in sorted(test)],
    )


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


def _tree(path: Path, files: Mapping[str, Callable[[], bytes]]) -> Tree:
    """The tree without the hidden files that operating systems leave behind, such as __MACOSX/._0394_01.png, and
    without names that would break a message into several lines.
    """
    hidden = re.compile(r"(^|/)(\.|__)")
    return Tree(path, {name: read for name, read in files.items() if name.isprintable() and not hidden.search(name)})


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """One file of a zip: no more bytes than its header declares, and the CRC-32 checked."""
    with archive.open(member) as file:
        return file.read(member.file_size)


def _refuse_too_many(path: Path, count: int) -> None:
    if count > MAX_FILES:
        raise DataError(f"{path} holds more than {MAX_FILES:,} files: is it one of Omniglot's sets?")
