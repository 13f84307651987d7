"""Atomic writes: a file is written whole or not at all."""

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
# The errors of file systems that cannot sync a folder, or anything. EIO, ENOSPC and the like are real failures.
CANNOT_SYNC = error_numbers("EINVAL ENOSYS ENOTSUP EOPNOTSUPP EPERM EACCES EBADF EISDIR ENOTTY EROFS")
ABANDONED = 3600  # seconds without a write after which a temporary file counts as orphaned, where there are no locks
REPLACE_TRIES = 10  # on Windows, where a reader or a virus scanner may briefly hold the old file


@contextmanager
def atomic_write(path: Path | str) -> Iterator[BinaryIO]:
    """Open a file for writing that appears at `path` only once it is complete and on disk.

    The bytes go to a temporary file in the same folder, are flushed to disk if the file system supports it, and take
    their final name in a single step. A crash, a full disk or an exception inside the `with` leaves the old file as it
    was. As with `open`, links are followed, a read-only file is refused, a new file gets the permissions of the umask,
    and an existing one keeps its own; devices and pipes are written to directly. If several writers share a path, the
    last to finish wins. Temporary files left behind by killed writers are removed.

    Raises OSError if the file cannot be written.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        mode = None
    if mode is not None and not stat.S_ISREG(mode):
        with open(path, "wb") as device:  # raises for a folder
            yield device
        return
    if mode is not None and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    try:
        with _replacement(Path(os.path.realpath(path)), mode) as file:
            yield file
    except OSError as error:
        if error.filename is None or str(error.filename).endswith(".tmp"):
            error.filename, error.filename2 = str(path), None  # report the file that the caller asked for
        raise


@contextmanager
def _replacement(path: Path, mode: int | None) -> Iterator[BinaryIO]:
    """A temporary file beside `path`, open for writing, that takes its name and mode at the end."""
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
            if not WINDOWS:  # while locked, so that nobody sweeps it
                os.replace(temporary, path)
        if WINDOWS:  # Windows cannot rename an open file
            _replace_patiently(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    _sync_folder(path.parent)


def write_bytes(path: Path | str, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all. Raises OSError if it cannot be written."""
    with atomic_write(path) as file:
        file.write(content)


def sweep(folder: Path, name: str) -> None:
    """Remove the temporary files of `name` whose writers were killed.

    Each writer holds a lock that the system releases when it dies. Where there are no locks, a file is abandoned after
    an hour without a write. Files whose state cannot be determined stay.
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
        if abandoned and not WINDOWS:  # while locked, as its writer may be about to lock it
            path.unlink()
    if abandoned and WINDOWS:  # Windows does not delete a file that its writer has open
        path.unlink()


def _temporary(path: Path) -> tuple[BinaryIO, Path]:
    """A new temporary file beside `path`, open and locked, so that nobody sweeps it."""
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
    """The prefix of the temporary files of `name`, short enough for any file system."""
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
    """Flush a file or folder to disk, if the file system supports it."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in CANNOT_SYNC:
            raise


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power failure; Windows has no such call and needs none."""
    if WINDOWS:
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        if error.errno in CANNOT_SYNC:  # the folder is writable but not readable
            return
        raise
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)
