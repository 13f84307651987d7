"""Omniglot from its public home: over https only, resumed where it broke off, and checked before it gets its name."""

import hashlib
import http.client
import io
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import numpy as np

from scratchnet.data.archive import open_tree
from scratchnet.errors import DataError
from scratchnet.images import read_bitmap
from scratchnet.spelling import hint

HOME = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python"
TIMEOUT = 30  # seconds without a byte
_BLOCK = 1 << 16

Progress = Callable[[str, int, int | None], None]  # name, bytes so far, bytes in all if the server says


@dataclass(frozen=True)
class Archive:
    """One of Lake's zips: its path below HOME, the SHA-256 of the file, and that of its content (`content_digest`).

    The second admits a copy that was packed anew; None where no copy was at hand to compute it from.
    """

    path: str
    file_digest: str
    content_digest: str | None


ARCHIVES = {
    "images_background.zip": Archive(
        "images_background.zip",
        "ad41ab679c8b5d90b271ef46be6987cc81211774a695c29dcc5367b2b26ee640",
        "18b00c42fcecd9b5ef3f59b5f722fe2f66c3b10a5686fa41eb057e15b96d3d2b",
    ),
    "images_evaluation.zip": Archive(
        "images_evaluation.zip",
        "1f61a8f3366785b057fc117d9228e78a16e3d976c8953b2a10fcc74cf0609cee",
        None,
    ),
    "images_background_small1.zip": Archive(
        "images_background_small1.zip",
        "f38eb80f801274ac2b4dff5b24289016bfaba4a7d5bb50deebf27104ad6cb8a4",
        "dfb20112c91098472e25dc943a9eba8b4da5949a4954c3ae88535e7be9c1ca7d",
    ),
    "images_background_small2.zip": Archive(
        "images_background_small2.zip",
        "3ccaa407515a8778e5d0861875af38b17e418f301ad5bb3b5a6b65d901a41c7f",
        "d699f15d838be1978e12ca4c1d0dcbb031a0113eae6aecd3d77d1be7b6a0d873",
    ),
    "all_runs.zip": Archive(
        "one-shot-classification/all_runs.zip",
        "437c1eeab0af8484112e1b4cc0f3d541ec727f7c47b9b202da738af9dfd6c325",
        "91faf5c2d575a3051851c8b148b2877d271ddca94b3b55e724bf9887ea121d93",
    ),
}


def download(
    folder: Path | str, names: Sequence[str] = tuple(ARCHIVES), base_url: str = HOME, progress: Progress | None = None
) -> list[Path]:
    """Fetch the archives called `names` into `folder`, and return their paths.

    One that is there and intact is left alone, a damaged one is replaced. What a broken connection leaves behind,
    NAME.part, is resumed; the final name appears only when the archive is complete, verified and on the disk.

    Raises DataError when the folder is a file, an address is not https, the connection fails, or what arrives is not
    Lake's archive.
    """
    unknown = [name for name in names if name not in ARCHIVES]
    if unknown:
        raise DataError(f"no archive called {', '.join(unknown)}{hint(unknown[0], ARCHIVES)}; "
                        f"there are {', '.join(ARCHIVES)}")
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file, expected a folder: name another one")
    paths = [folder / name for name in names]
    for path in paths:
        if path.exists() and _is_intact(path):
            continue
        url = f"{base_url.rstrip('/')}/{ARCHIVES[path.name].path}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _fetch_verified(url, path, progress)
        except (OSError, http.client.HTTPException) as cause:
            reason = " ".join(str(cause).split())
            raise DataError(
                f"fetching {url} into {folder} failed ({reason}): run it again, it resumes where it stopped"
            ) from cause
    return paths


def verify(path: Path | str, name: str = "") -> None:
    """Check that the zip at `path` is Lake's archive called `name`, by default the name of the file.

    It is when its bytes are Lake's or, packed anew, when its content is. Raises DataError when it is not.
    """
    path = Path(path)
    name = name or path.name
    if name not in ARCHIVES:
        raise DataError(f"{path}: no archive is called {name}{hint(name, ARCHIVES)}; there are {', '.join(ARCHIVES)}")
    try:
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as cause:
        raise DataError(f"{path} cannot be read ({cause.strerror}): fetch it with `scratchnet download`") from cause
    expected = ARCHIVES[name]
    if found != expected.file_digest and content_digest(path) != expected.content_digest:
        raise DataError(
            f"{path} is not Lake's {name}: its SHA-256 is {found}, expected {expected.file_digest}; fetch it again"
        )


def content_digest(path: Path | str) -> str:
    """The SHA-256 of what a zip or folder holds, however it was packed: file after file in the order of their names,
    the name and then the pixels of an image, or else the bytes. Raises DataError when it cannot be read.
    """
    digest = hashlib.sha256()
    with open_tree(path) as tree:
        for name in sorted(tree.files):
            content = tree.read(name)
            if name.endswith(".png"):
                bitmap = read_bitmap(io.BytesIO(content), f"{name} in {path}")
                content = str(bitmap.shape).encode() + np.packbits(bitmap).tobytes()
            digest.update(f"{name} {len(content)} ".encode() + content)
    return digest.hexdigest()


def _is_intact(path: Path) -> bool:
    try:
        verify(path)
    except DataError:
        return False
    return True


def _fetch_verified(url: str, path: Path, progress: Progress | None) -> None:
    """Fetch `url` to `path` by way of a part file that outlives a broken connection, but not a wrong digest."""
    part = path.with_name(f"{path.name}.part")
    resumed = part.exists()
    _fetch(url, part, lambda done, total: progress(path.name, done, total) if progress else None)
    try:
        verify(part, path.name)
    except DataError:
        part.unlink()
        if not resumed:
            raise
        _fetch_verified(url, path, progress)  # the part belonged to other bytes: once more, from the start
    else:
        os.replace(part, path)


def _fetch(url: str, part: Path, progress: Callable[[int, int | None], None]) -> None:
    """Write what `url` serves to `part`, from where an earlier attempt stopped if the server can do that."""
    done = part.stat().st_size if part.exists() else 0
    _require_secure(url)
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        response = urllib.request.build_opener(_SecureRedirects).open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        with error:
            if done and error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
                return  # there is no more than what we have: the digest tells whether that is all
            raise
    with response:
        resumes = response.headers.get("Content-Range", "").startswith(f"bytes {done}-")
        if not resumes:
            done = 0
        total = None if response.length is None else done + response.length
        with open(part, "ab" if resumes else "wb") as file:
            progress(done, total)
            while block := response.read1(_BLOCK):
                file.write(block)
                done += len(block)
                progress(done, total)
            file.flush()
            os.fsync(file.fileno())
    if total is not None and done < total:
        raise ConnectionError(f"the connection broke after {done:,} of {total:,} bytes")


def _require_secure(url: str) -> None:
    """Refuse any address but https, except on this machine itself."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost")):
        raise DataError(f"{url} is not an https address, and nothing is fetched over an open line: use https")


class _SecureRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        try:
            _require_secure(newurl)
        except DataError:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)
