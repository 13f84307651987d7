"""Files that are written whole or not at all."""

import errno
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from scratchnet.files.locks import error_numbers, is_at, try_lock

WINDOWS = os.name == "nt"
# How file systems say that they cannot sync a folder, or anything. EIO, ENOSPC and the like are failures.
CANNOT_SYNC = error_numbers("EINVAL ENOSYS ENOTSUP EOPNOTSUPP EPERM EACCES EBADF EISDIR ENOTTY EROFS")
ABANDONED = 3600  # seconds without a write, after which a temporary file has no writer, where there are no locks
REPLACE_TRIES = 10  # on Windows, where a reader or a virus scanner can hold the old file for a moment


@contextmanager
def atomic_write(path: Path | str) -> Iterator[BinaryIO]:
    """Open a file for writing that appears at `path` only once it is complete and on the disk.

    The bytes go to a temporary neighbour, are flushed to the disk as far as the file system can, and take the name in
    one step. A crash, a full disk or an exception inside the `with` leaves the old file as it was. As with `open`, a
    link is followed, a read-only file is refused, a new file gets the permissions of the umask and an old one keeps
    its own; a device or a pipe is written directly. Of several writers of one path the last to finish wins, and what
    those that were killed left behind is removed.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        mode = None
    if mode is not None and not stat.S_ISREG(mode):
        with open(path, "wb") as device:  # a folder is refused here
            yield device
        return
    if mode is not None and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    try:
        with _replacement(Path(os.path.realpath(path)), mode) as file:
            yield file
    except OSError as error:
        if error.filename is None or str(error.filename).endswith(".tmp"):
            error.filename, error.filename2 = str(path), None  # what failed is the writing of this one
        raise


@contextmanager
def _replacement(path: Path, mode: int | None) -> Iterator[BinaryIO]:
    """A temporary neighbour of `path`, open for writing, that takes its name and mode at the end."""
    sweep(path.parent, path.name)
    file, temporary = _temporary(path)
    try:
        with file:
            yield file
            file.flush()
            _sync(file.fileno())
            if mode is not None:
                with suppress(OSError):  # another user's file, or a file system without permissions
                    temporary.chmod(mode & 0o777)
            if not WINDOWS:  # under the lock, so that nobody sweeps it
                os.replace(temporary, path)
        if WINDOWS:  # which renames no open file
            _replace_patiently(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    _sync_folder(path.parent)


def write_bytes(path: Path | str, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    with atomic_write(path) as file:
        file.write(content)


def sweep(folder: Path, name: str) -> None:
    """Remove the temporary files of `name` that their writers left behind when they were killed.

    A lock that the system releases at a writer's death decides which; where there are no locks, an hour without a
    write does. Files that cannot be judged stay.
    """
    with suppress(OSError):
        for entry in list(os.scandir(folder)):
            if _is_temporary(entry.name, name):
                with suppress(OSError):
                    _remove_if_abandoned(Path(entry))


def _remove_if_abandoned(path: Path) -> None:
    with open(path, "r+b") as file:
        abandoned = try_lock(file.fileno())
        if abandoned is None:
            abandoned = time.time() - path.stat().st_mtime > ABANDONED
        if abandoned and not WINDOWS:  # under the lock, as its writer may be about to take it
            path.unlink()
    if abandoned and WINDOWS:  # which deletes no file that its writer has open
        path.unlink()


def _temporary(path: Path) -> tuple[BinaryIO, Path]:
    """A new neighbour of `path`, open and locked, so that nobody sweeps it."""
    while True:
        temporary = path.with_name(f"{_prefix(path.name)}{os.urandom(6).hex()}.tmp")
        try:
            file = open(temporary, "xb")  # noqa: SIM115  # the caller closes it
        except FileExistsError:
            continue
        try:
            if try_lock(file.fileno()) is not False and is_at(file.fileno(), temporary):
                return file, temporary
        except BaseException:
            file.close()
            with suppress(OSError):
                temporary.unlink()
            raise
        file.close()  # swept before it was locked


def _prefix(name: str) -> str:
    """Of the temporary files of `name`, short enough for any file system."""
    return f".{name[:50]}."


def _is_temporary(entry: str, name: str) -> bool:
    token = entry.removeprefix(_prefix(name)).removesuffix(".tmp")
    return entry == f"{_prefix(name)}{token}.tmp" and len(token) == 12 and set(token) <= set("0123456789abcdef")


def _replace_patiently(temporary: Path, path: Path) -> None:
    for _ in range(REPLACE_TRIES - 1):
        with suppress(PermissionError):
            os.replace(temporary, path)
            return
        time.sleep(0.1)
    os.replace(temporary, path)


def _sync(descriptor: int) -> None:
    """Flush a file or folder to the disk, if the file system can."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in CANNOT_SYNC:
            raise


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut; Windows has no such call and needs none."""
    if WINDOWS:
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        if error.errno in CANNOT_SYNC:  # a folder that may be written but not read
            return
        raise
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)
