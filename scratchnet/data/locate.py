"""Locate the data sets on this machine."""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from scratchnet.errors import DataError

SETS = ("images_background", "images_evaluation", "all_runs")
SMALL_SETS = ("images_background_small1", "images_background_small2")  # parts of the background set
FETCH_OMNIGLOT = (
    "fetch Omniglot with `scratchnet download DIR`, or give the folder of the files with --data DIR; a folder of your "
    "own pictures needs a folder for each class"
)

# Lake's repository as cloned and as packed by GitHub; torchvision's omniglot-py and MNIST/raw.
FOLDERS = ("", "omniglot", "omniglot-master", "omniglot-py", "mnist", "MNIST")
INSIDE = ("", "python", "python/one-shot-classification", "one-shot-classification", "raw")
DRAWINGS = "*/[Cc]haracter[0-9]*/[0-9]*_[0-9]*.[Pp][Nn][Gg]"  # in a set of Omniglot
RUN = "run01/class_labels.txt"  # in the folder all_runs, or wherever all_runs.zip was unpacked


def cache_folder() -> Path:
    """The cache folder of this user, where data go by default; in the current folder for users without a home."""
    if cache := os.environ.get("XDG_CACHE_HOME"):
        return Path(cache) / "scratchnet"
    try:
        return Path.home() / ".cache" / "scratchnet"
    except RuntimeError:
        return Path.cwd() / ".cache" / "scratchnet"


def find_data(option: Path | str | None, *names: str, remedy: str = FETCH_OMNIGLOT) -> Path:
    """Find the first of the files or folders called `names`, such as "images_background.zip", "images_background".

    Searches `option`, or else the folder in SCRATCHNET_DATA, or else `cache_folder()`: the folder itself, and those
    below it where Lake's repository and torchvision keep the data. `option` may also be the data itself, under any
    name; if it is a different set, the folder that contains it is searched.

    Raises DataError if nothing is found; the message says where it looked, what is there, and `remedy`.
    """
    place = _place(option)
    if path := look_for(place, *names):
        return path
    asked = f"{names[0]} or {names[-1]}" if len(names) > 1 else names[0]
    folder = place.parent if _is_a_set(place) else place
    raise DataError(
        f"found no {asked} in {folder} or its omniglot/, omniglot-py/, python/ or mnist/; {_listing(folder)}: {remedy}"
    )


def look_for(option: Path | str | None, *names: str) -> Path | None:
    """What `find_data` finds, or None. Raises DataError if the place cannot be read."""
    place = _place(option)
    try:
        if place.exists() and (place.name in names or (not _is_a_set(place) and _is_it(place, names))):
            return place
        for folder in _folders(place.parent if _is_a_set(place) else place):
            for name in names:
                if (folder / name).exists():
                    return folder / name
            if "all_runs" in names and (folder / RUN).is_file():
                return folder
    except OSError as cause:
        raise DataError(f"{place} cannot be read ({cause.strerror}): check the path and its permissions") from cause
    return None


def _place(option: Path | str | None) -> Path:
    """The path to search."""
    place = option or os.environ.get("SCRATCHNET_DATA") or cache_folder()
    try:
        return Path(place).expanduser()
    except RuntimeError as cause:
        raise DataError(f"{place} names the folder of an unknown user: write out the full path") from cause


def _is_a_set(place: Path) -> bool:
    return place.name.removesuffix(".zip") in SETS


def _is_it(place: Path, names: tuple[str, ...]) -> bool:
    """Whether `place` is the data itself under another name, rather than a folder to search."""
    if place.is_dir():
        return "images_background" in names and any(place.glob("*/[Cc]haracter[0-9]*/"))
    return True


def _folders(place: Path) -> Iterator[Path]:
    for folder in FOLDERS:
        for inside in INSIDE:
            if (place / folder / inside).is_dir():
                yield place / folder / inside


def _sets(place: Path) -> Iterator[Path]:
    """The known sets in a folder."""
    for folder in _folders(place):
        for stem in SETS + SMALL_SETS:
            for name in (f"{stem}.zip", stem):
                if (folder / name).exists():
                    yield folder / name


def is_own(option: Path | str | None) -> bool:
    """Whether `option` is a folder of one's own: without the names of Omniglot's and MNIST's sets and files."""
    if option is None:
        return False
    place = _place(option)
    try:
        if not place.is_dir() or _is_a_set(place) or (place / RUN).is_file():
            return False
        if any(_sets(place)) or any(place.glob(DRAWINGS)):
            return False
        return any(place.iterdir()) and not any(place.glob("*-ubyte*"))  # MNIST's
    except OSError as cause:
        raise DataError(f"{place} cannot be read ({cause.strerror}): check the path and its permissions") from cause


def _listing(place: Path) -> str:
    """What is there instead: the known sets, or the first files."""
    if not place.is_dir():
        return f"there is no folder {place}"
    sets = [str(path.relative_to(place)) for path in _sets(place)]
    try:
        names = sets or sorted(path.name for path in islice(place.iterdir(), 1000) if not path.name.startswith("."))
    except OSError as cause:
        return f"it cannot be read, {cause.strerror}"
    return f"there is {', '.join(names[:5])}{' and more' if len(names) > 5 else ''}" if names else "it is empty"
