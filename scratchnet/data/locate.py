"""Where the data sets lie on this machine."""

import os
from pathlib import Path

from scratchnet.errors import DataError

SUBFOLDERS = ("", "omniglot", "omniglot-py", "mnist")  # omniglot-py is torchvision's name


def cache_folder() -> Path:
    """The folder of this user where data are kept when no other is named."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "scratchnet"


FETCH_OMNIGLOT = "fetch Omniglot with `scratchnet download DIR`, or say with --data DIR where the files are"


def find_data(option: Path | str | None, *names: str, mend: str = FETCH_OMNIGLOT) -> Path:
    """The first of the files or folders called `names`, such as "images_background.zip", "images_background".

    Looks in `option`, else in the folder that SCRATCHNET_DATA names, else in `cache_folder()`; in each directly
    and in its `omniglot/`, `omniglot-py/` and `mnist/`. The option may also be the file or folder itself.

    Raises DataError when there is none, and says where it looked.
    """
    place = Path(option or os.environ.get("SCRATCHNET_DATA") or cache_folder()).expanduser()
    if place.is_file() or (place.name in names and place.is_dir()):
        return place
    for subfolder in SUBFOLDERS:
        for name in names:
            if (place / subfolder / name).exists():
                return place / subfolder / name
    also = ", ".join(f"{subfolder}/" for subfolder in SUBFOLDERS if subfolder)
    raise DataError(f"found no {' or '.join(names)} in {place} or its {also}: {mend}")
