"""Where the data sets lie on this machine."""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from scratchnet.errors import DataError

SETS = ("images_background", "images_evaluation", "all_runs")
SMALL_SETS = ("images_background_small1", "images_background_small2")  # parts of the background set
FETCH_OMNIGLOT = "fetch Omniglot with `scratchnet download DIR`, or say with --data DIR where the files are"

# Lake's repository, as cloned and as GitHub packs it; torchvision's omniglot-py and MNIST/raw.
FOLDERS = ("", "omniglot", "omniglot-master", "omniglot-py", "mnist", "MNIST")
INSIDE = ("", "python", "python/one-shot-classification", "one-shot-classification", "raw")
RUN = "run01/class_labels.txt"  # in the folder all_runs, or wherever else all_runs.zip was unpacked


def cache_folder() -> Path:
    """The folder of this user where data are kept when no other is named; of the current folder for users with none."""
    if cache := os.environ.get("XDG_CACHE_HOME"):
        return Path(cache) / "scratchnet"
    try:
        return Path.home() / ".cache" / "scratchnet"
    except RuntimeError:
        return Path.cwd() / ".cache" / "scratchnet"


def find_data(option: Path | str | None, *names: str, remedy: str = FETCH_OMNIGLOT) -> Path:
    """The first of the files or folders called `names`, such as "images_background.zip", "images_background".

    Looks in `option`, else in the folder that SCRATCHNET_DATA names, else in `cache_folder()`; in each directly and in
    the folders where Lake's repository and torchvision keep them. The option may also be the file or folder itself,
    whatever it is called; if it is another set, the one asked for may lie beside it.

    Raises DataError when there is none, and says where it looked and what is there.
    """
    place = _place(option)
    if found := look_for(place, *names):
        return found
    asked = f"{names[0]} or {names[-1]}" if len(names) > 1 else names[0]
    folder = place.parent if _is_a_set(place) else place
    raise DataError(
        f"found no {asked} in {folder} or its omniglot/, omniglot-py/, python/ or mnist/; {_listing(folder)}: {remedy}"
    )


def look_for(option: Path | str | None, *names: str) -> Path | None:
    """What `find_data` finds, or None."""
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
    """Where to look."""
    place = option or os.environ.get("SCRATCHNET_DATA") or cache_folder()
    try:
        return Path(place).expanduser()
    except RuntimeError as cause:
        raise DataError(f"{place} names the folder of a user that is not there: write the path out") from cause


def _is_a_set(place: Path) -> bool:
    return place.name.removesuffix(".zip") in SETS


def _is_it(place: Path, names: tuple[str, ...]) -> bool:
    """Whether the option is no folder to look in, but what is asked for, by another name."""
    if place.is_dir():
        return "images_background" in names and any(place.glob("*/[Cc]haracter[0-9]*/"))
    return True


def _folders(place: Path) -> Iterator[Path]:
    for folder in FOLDERS:
        for inside in INSIDE:
            if (place / folder / inside).is_dir():
                yield place / folder / inside


def _listing(place: Path) -> str:
    """What is there instead: the sets, or the first files."""
    if not place.is_dir():
        return f"there is no folder {place}"
    sets = [
        str((folder / name).relative_to(place))
        for folder in _folders(place)
        for stem in SETS + SMALL_SETS
        for name in (f"{stem}.zip", stem)
        if (folder / name).exists()
    ]
    try:
        names = sets or sorted(path.name for path in islice(place.iterdir(), 1000) if not path.name.startswith("."))
    except OSError as cause:
        return f"it cannot be read, {cause.strerror}"
    return f"there is {', '.join(names[:5])}{' and more' if len(names) > 5 else ''}" if names else "it is empty"
