"""Mutual exclusion between processes, by locks that the operating system releases when their holder dies.

Where the system or the file system has no locks, files that name their holders replace them (`files/claims.py`).
"""

import errno
import importlib
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from scratchnet.errors import InUseError
from scratchnet.files.claims import claimed


def _module(name: str) -> Any:
    """A module of the standard library that only some systems have, or None."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


fcntl, msvcrt = _module("fcntl"), _module("msvcrt")


def error_numbers(names: str) -> set[int]:
    """The error numbers of these names that this system defines."""
    return {getattr(errno, name) for name in names.split() if hasattr(errno, name)}


HELD = error_numbers("EAGAIN EWOULDBLOCK EACCES EDEADLK")
UNSUPPORTED = error_numbers("ENOLCK ENOSYS ENOTSUP EOPNOTSUPP EINVAL")
LOCKED_BYTE = 2**30  # Windows denies others access to locked bytes, so lock one that is never written
TURN = 0.1  # seconds between two tries

_held: set[int] = set()  # descriptors of the locks of this process


def try_lock(descriptor: int) -> bool | None:
    """Try to lock an open, writable file without waiting.

    Returns True if the lock is ours, False if somebody else holds it, and None if the system or the file system has no
    locks. The lock is released when the file is closed or the process dies. Leaves the file position at the start.
    """
    try:
        if fcntl:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        elif msvcrt:
            os.lseek(descriptor, LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            return None
    except OSError as error:
        if error.errno in HELD:
            return False
        if error.errno in UNSUPPORTED:
            return None
        raise
    finally:
        os.lseek(descriptor, 0, os.SEEK_SET)
    return True


def is_at(descriptor: int, path: Path) -> bool:
    """Whether `path` still names the open file, which may have been deleted or replaced before it was locked."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


@contextmanager
def locked(path: Path, what: str, remedy: str) -> Iterator[None]:
    """Hold the lock file `path`, in an existing folder, and remove it at the end.

    Raises InUseError, "{what} is in use by ...: {remedy}", if another process or another thread holds it. However a
    process dies, its lock is released. Child processes do not inherit the lock.
    """
    owner = os.getpid()
    descriptor = _open_locked(path, what, remedy)
    if descriptor is None:
        with claimed(path, _holder(), what, remedy):
            yield
        return
    try:
        yield
    finally:
        if os.getpid() == owner:  # not in a forked child, which has closed its copy and does not own the lock
            _release(descriptor, path)


@contextmanager
def in_turn(path: Path, what: str) -> Iterator[None]:
    """As `locked`, for what takes a moment: waits while others hold the lock."""
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(locked(path, what, "wait until it is done"))
                break
            except InUseError:
                time.sleep(TURN)
        yield


def _open_locked(path: Path, what: str, remedy: str) -> int | None:
    """The descriptor of the lock file, locked and signed, or None if there are no locks."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        keep = False
        try:
            ours = try_lock(descriptor)
            if ours is False:
                raise InUseError(f"{what} is in use by {_signature(descriptor)}: {remedy}")
            if not is_at(descriptor, path):
                continue  # the last holder has removed the file in the meantime
            if ours is None:
                path.unlink(missing_ok=True)
                return None
            with suppress(OSError):  # if the disk is full, the lock holds without a signature
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"{_holder()}\n".encode())
            keep = True
            _held.add(descriptor)
            return descriptor
        finally:
            if not keep:
                os.close(descriptor)


def _release(descriptor: int, path: Path) -> None:
    _held.discard(descriptor)
    if fcntl:
        with suppress(OSError):
            path.unlink()  # before the lock is released, or it could be the next holder's file
        with suppress(OSError):
            os.close(descriptor)
    else:
        with suppress(OSError):
            os.lseek(descriptor, LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
        with suppress(OSError):
            os.close(descriptor)
        with suppress(OSError):  # Windows refuses to delete a file that the next holder has opened
            path.unlink()


def _holder() -> str:
    return f"process {os.getpid()} on {socket.gethostname()} since {datetime.now():%Y-%m-%d %H:%M:%S}"


def _signature(descriptor: int) -> str:
    """The holder, as it signed the lock file; it may be about to do so."""
    for _ in range(10):
        os.lseek(descriptor, 0, os.SEEK_SET)
        text = os.read(descriptor, 300).decode(errors="replace")
        if text.endswith("\n"):
            return text.strip()
        time.sleep(0.02)
    return "another process"


def _forget_in_child() -> None:
    """Close the child's copies of the descriptors, which would keep the locks alive after the parent's death."""
    for descriptor in _held:
        with suppress(OSError):
            os.close(descriptor)
    _held.clear()


if register_at_fork := getattr(os, "register_at_fork", None):  # not on Windows
    register_at_fork(after_in_child=_forget_in_child)
