"""Find the pictures in a folder of one's own: a folder for each class, in folders for alphabets where there are any.

A class is a folder that holds pictures, and its alphabet is the folder around it. Names decide what is a picture; what
is none is left out and counted.
"""

import re
from collections import Counter
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path, PurePosixPath

from scratchnet.data.archive import few, open_tree
from scratchnet.errors import DataError, ScratchnetError
from scratchnet.images.pictures import SUFFIXES

MOST = 1_000_000  # files
LAYOUT = "expected a folder for each class, FOLDER/CLASS/PICTURE or FOLDER/ALPHABET/CLASS/PICTURE"


@dataclass(frozen=True)
class Picture:
    """A picture that was found. drawer: who drew it; its own name, if no pattern says who."""

    file: Path
    alphabet: str
    label: str
    drawer: str


@dataclass(frozen=True)
class Found:
    """The pictures in a folder, ordered by alphabet, class, drawer and name. others: files that are no pictures."""

    folder: Path
    pictures: list[Picture]
    others: list[str]

    @property
    def classes(self) -> dict[tuple[str, str], list[Picture]]:
        """The pictures of each class, by the names of its alphabet and of itself."""
        return {key: list(own) for key, own in groupby(self.pictures, key=lambda p: (p.alphabet, p.label))}

    def left_out(self) -> str:
        """How many files were left out, by suffix; "" if there are none."""
        kinds = Counter(PurePosixPath(name).suffix.lower() or "no suffix" for name in self.others)
        listed = ", ".join(f"{kind} {count:,}" for kind, count in kinds.most_common(5))
        count = len(self.others)
        return f"{count:,} {'file that is no picture' if count == 1 else 'files that are no pictures'} ({listed})"


def find_pictures(folder: Path | str, *, writers: str | None = None, flat: bool = False) -> Found:
    """Find the pictures in a folder, by their names.

    writers: a regular expression whose group, in the name of a file, says who drew it, such as "_([0-9]+)". flat: also
    accept a folder with no folders but one picture for each class, named after it.

    Raises DataError if there are no pictures, if some lie where no class is, or if the pattern matches no part of a
    name; ScratchnetError for a pattern that is none.
    """
    folder, pattern = Path(folder), _pattern(writers)
    layout = f"{LAYOUT}, or one picture for each class" if flat else LAYOUT
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder: {layout}")
    files, others, listing = _files(folder)
    if not files:
        raise DataError(f"{folder} holds no pictures, it holds {listing}: {layout}")
    is_flat = flat and not any("/" in name for name in files)
    if not is_flat:
        _expect_classes(folder, list(files))
    pictures = []
    for name, file in files.items():
        path = PurePosixPath(name)
        alphabet, label = str(path.parent.parent), path.stem if is_flat else path.parent.name
        if alphabet == ".":
            alphabet = folder.resolve().name
        pictures.append(Picture(file, alphabet, label, _drawer(file, pattern) if pattern else name))
    pictures.sort(key=lambda picture: (picture.alphabet, picture.label, picture.drawer, picture.file))
    if is_flat:
        _expect_distinct(folder, pictures)
    return Found(folder, pictures, others)


def pictures_in(folder: Path) -> list[Path]:
    """All pictures in a folder and in those below it, sorted by name. Raises DataError if there are none."""
    files, _, listing = _files(folder)
    if not files:
        raise DataError(f"{folder} holds no pictures, it holds {listing}: give pictures, or a folder of some")
    return list(files.values())


def _files(folder: Path) -> tuple[dict[str, Path], list[str], str]:
    """The pictures by name, the names of the other files, and what is there, for a message."""
    with open_tree(folder, most=MOST) as tree:
        is_picture = {name: PurePosixPath(name).suffix.lower() in SUFFIXES for name in sorted(tree.places)}
        files = {name: Path(tree.places[name]) for name, it_is in is_picture.items() if it_is}
        return files, [name for name, it_is in is_picture.items() if not it_is], tree.listing()


def _pattern(writers: str | None) -> re.Pattern[str] | None:
    """The compiled pattern. Raises ScratchnetError unless it is a regular expression with one group."""
    if writers is None:
        return None
    try:
        pattern = re.compile(writers)
    except re.error as cause:
        raise ScratchnetError(
            f"{writers!r} is no regular expression ({cause}): give one such as '_([0-9]+)'"
        ) from cause
    if pattern.groups != 1:
        raise ScratchnetError(
            f"{writers!r} has {pattern.groups} groups, expected one around what names the writer: '_([0-9]+)'"
        )
    return pattern


def _drawer(file: Path, pattern: re.Pattern[str]) -> str:
    match = pattern.search(file.name)
    if not match or not match[1]:
        raise DataError(f"{file}: {pattern.pattern!r} finds no writer in its name: rename it, or the pattern")
    return match[1]


def _expect_classes(folder: Path, names: list[str]) -> None:
    """Raise DataError for pictures beside folders of pictures: they belong to no class, or to no alphabet."""
    if loose := [name for name in names if "/" not in name]:
        raise DataError(f"{few(loose, 3)} in {folder} belong to no class: {LAYOUT}")
    classes = {str(PurePosixPath(name).parent) for name in names}
    for label in sorted(classes):
        if inside := sorted(other for other in classes if other.startswith(f"{label}/")):
            raise DataError(
                f"{folder / label} holds pictures, and {few(inside, 3)} in it hold pictures as well: "
                "is it a class or an alphabet? Move one of the two"
            )


def _expect_distinct(folder: Path, pictures: list[Picture]) -> None:
    for one, other in pairwise(pictures):
        if one.label == other.label:
            raise DataError(
                f"{folder} has two images of class {one.label}, {one.file.name} and {other.file.name}: "
                "make a folder for each class that has several"
            )
