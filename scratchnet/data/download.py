"""Download Omniglot: over https only, resumable, and verified before a file gets its final name."""

import hashlib
import http.client
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scratchnet.common.spelling import hint
from scratchnet.data.archive import open_tree
from scratchnet.data.fetch import TIMEOUT, fetch
from scratchnet.errors import DataError, InUseError
from scratchnet.files.locks import locked
from scratchnet.files.reading import open_file, reason

HOME = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python"
WAIT = 0.2  # seconds between checks on the download of another process

Progress = Callable[[str, int, int | None], None]  # name, bytes so far, total bytes if known


@dataclass(frozen=True)
class Archive:
    """One of Lake's zips.

    path: relative to HOME. size: in bytes. file_digest: the SHA-256 of the file. content_digest: that of its content,
    which also accepts a repacked copy; None if there was no copy at hand to compute it from.
    """

    path: str
    size: int
    file_digest: str
    content_digest: str | None

    @property
    def most(self) -> int:
        """The largest size in bytes of a copy, possibly a repacked one."""
        return 2 * self.size + (1 << 20)


ARCHIVES = {
    "images_background.zip": Archive(
        "images_background.zip",
        9_464_212,
        "ad41ab679c8b5d90b271ef46be6987cc81211774a695c29dcc5367b2b26ee640",
        "18b00c42fcecd9b5ef3f59b5f722fe2f66c3b10a5686fa41eb057e15b96d3d2b",
    ),
    "images_evaluation.zip": Archive(
        "images_evaluation.zip", 6_462_886, "1f61a8f3366785b057fc117d9228e78a16e3d976c8953b2a10fcc74cf0609cee", None
    ),
    "images_background_small1.zip": Archive(
        "images_background_small1.zip",
        1_319_022,
        "f38eb80f801274ac2b4dff5b24289016bfaba4a7d5bb50deebf27104ad6cb8a4",
        "dfb20112c91098472e25dc943a9eba8b4da5949a4954c3ae88535e7be9c1ca7d",
    ),
    "images_background_small2.zip": Archive(
        "images_background_small2.zip",
        1_580_917,
        "3ccaa407515a8778e5d0861875af38b17e418f301ad5bb3b5a6b65d901a41c7f",
        "d699f15d838be1978e12ca4c1d0dcbb031a0113eae6aecd3d77d1be7b6a0d873",
    ),
    "all_runs.zip": Archive(
        "one-shot-classification/all_runs.zip",
        352_787,
        "437c1eeab0af8484112e1b4cc0f3d541ec727f7c47b9b202da738af9dfd6c325",
        "91faf5c2d575a3051851c8b148b2877d271ddca94b3b55e724bf9887ea121d93",
    ),
}


def download(
    folder: Path | str,
    *,
    names: Sequence[str] = tuple(ARCHIVES),
    base_url: str = HOME,
    progress: Progress | None = None,
) -> list[Path]:
    """Download the archives called `names` into `folder`, and return their paths.

    An intact archive is left alone, a damaged one is replaced. A download that was interrupted, NAME.part, is resumed;
    the final name appears only when the archive is complete, verified and on disk. If another process is downloading
    the same archive, wait for it and use the result.

    progress: called with the name, the bytes so far, and the total if the server reports it. Raises DataError if the
    folder is a file, the address is not https, the connection fails or is too slow, or the file is not Lake's archive;
    InUseError if another process holds the download but makes no progress.
    """
    unknown = [name for name in names if name not in ARCHIVES]
    if unknown:
        raise DataError(
            f"no archive called {', '.join(unknown)}{hint(unknown[0], ARCHIVES)}; there are {', '.join(ARCHIVES)}"
        )
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file, expected a folder: name another one")
    paths = [folder / name for name in names]
    for path in paths:
        if _is_intact(path):
            continue
        url = f"{base_url.rstrip('/')}/{ARCHIVES[path.name].path}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with _alone(path, progress):
                if not _is_intact(path):
                    _fetch_verified(url, path, progress)
        except (OSError, http.client.HTTPException, ValueError) as cause:
            raise DataError(
                f"fetching {url} into {folder} failed ({' '.join(str(cause).split())}): run it again, it resumes where "
                "it stopped"
            ) from cause
    return paths


def verify(path: Path | str, *, name: str = "") -> None:
    """Check that the zip at `path` is Lake's archive called `name`, by default the name of the file.

    Either the file or, if it was repacked, its content must have Lake's SHA-256. Raises DataError otherwise.
    """
    path = Path(path)
    name = name or path.name
    if name not in ARCHIVES:
        raise DataError(f"{path}: no archive is called {name}{hint(name, ARCHIVES)}; there are {', '.join(ARCHIVES)}")
    expected = ARCHIVES[name]
    try:
        with open_file(path) as file:
            if os.fstat(file.fileno()).st_size > expected.most:
                raise DataError(f"{path} is not Lake's {name}, which has {expected.size:,} bytes: fetch it again")
            file_digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as cause:
        raise DataError(f"{path} cannot be read ({reason(cause)}): fetch it with `scratchnet download`") from cause
    if file_digest != expected.file_digest and content_digest(path) != expected.content_digest:
        raise DataError(
            f"{path} is not Lake's {name}: "
            f"its SHA-256 is {file_digest}, expected {expected.file_digest}; fetch it again"
        )


def content_digest(path: Path | str) -> str:
    """The SHA-256 of the content of a zip or folder, in hexadecimal, however it was packed.

    It covers the files in order of name: for each, the name and then the pixels of an image, or else the bytes. Raises
    DataError if the content cannot be read.
    """
    digest = hashlib.sha256()
    with open_tree(path) as tree:
        for name in sorted(tree.files):
            if name.endswith(".png"):
                bitmap = tree.read_bitmap(name)
                content = str(bitmap.shape).encode() + np.packbits(bitmap).tobytes()
            else:
                content = tree.read(name)
            digest.update(f"{name} {len(content)} ".encode() + content)
    return digest.hexdigest()


def _is_intact(path: Path) -> bool:
    if path.exists() and not path.is_file():
        raise DataError(f"{path} is not a file: move it away, or name another folder")
    try:
        verify(path)
    except DataError:
        return False
    return True


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


@contextmanager
def _alone(path: Path, progress: Progress | None) -> Iterator[None]:
    """Hold the lock on the download of `path`. Wait for another process that holds it while its part file grows."""
    with ExitStack() as held:
        size, since = -1, time.monotonic()
        while True:
            try:
                held.enter_context(
                    locked(
                        path.with_name(f".{path.name}.lock"),
                        f"the download of {path}",
                        "wait until it is done, or name another folder",
                    )
                )
                break
            except InUseError:
                now = _size(_part(path))
                if now != size:
                    size, since = now, time.monotonic()
                    if progress:
                        progress(path.name, size, None)
                elif time.monotonic() - since > 3 * TIMEOUT:
                    raise
                time.sleep(WAIT)
        yield


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _fetch_verified(url: str, path: Path, progress: Progress | None) -> None:
    """Fetch `url` to `path` via a part file, which is kept if the connection breaks but not if the digest is wrong."""
    part = _part(path)
    if part.exists() and not part.is_file():
        raise DataError(f"{part} is not a file: move it away, or name another folder")
    resumed = part.exists()
    fetch(
        url, part, ARCHIVES[path.name].most, lambda done, total: progress(path.name, done, total) if progress else None
    )
    try:
        verify(part, name=path.name)
    except DataError as cause:
        part.unlink()
        if not resumed:
            raise DataError(f"{url} serves something other than Lake's archive, nothing is kept: {cause}") from cause
        _fetch_verified(url, path, progress)  # the part belonged to a different file: start again
    else:
        os.replace(part, path)
