"""Mutual exclusion without locks: each process writes a claim, a file that names it, and looks for those of others.

A claim is a file LOCK.PLACE.PID.STARTED.RANDOM. Its name is never reused, so removing a dead claim cannot remove a live
one. If two processes start at once, the one that looks later sees both claims, so at most one goes on, possibly none.
"""

import hashlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from scratchnet.errors import InUseError

BOOT, NAMESPACE = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")  # on Linux


@contextmanager
def claimed(path: Path, holder: str, what: str, remedy: str) -> Iterator[None]:
    """Hold the lock called `path`. Raises InUseError if a process that may be alive holds it.

    A dead process on this machine does not count. Whether a process on another machine or in another container is alive
    cannot be known, so the error names the file to delete.
    """
    owner = os.getpid()
    own = path.with_name(f"{path.name}.{_place()}.{owner}.{_started(owner)}.{os.urandom(4).hex()}")
    try:
        with open(own, "x", encoding="utf-8") as file:  # Windows does not delete an open file, so a live claim stays
            file.write(f"{holder}\n")
            file.flush()
            for other in path.parent.glob(f"{path.name}.*.*.*.*"):
                if other != own and not _removed(other):
                    raise InUseError(
                        f"{what} is in use by {_signature(other)}: {remedy}, or delete {other} if that process is gone"
                    )
            yield
    finally:
        if os.getpid() == owner:
            with suppress(OSError):
                own.unlink()


def _removed(claim: Path) -> bool:
    """Remove the claim of a dead process. Returns whether the claim is gone."""
    if os.name != "nt" and _may_live(claim):
        return False
    try:
        claim.unlink(missing_ok=True)
    except PermissionError:  # open on Windows, or owned by another user
        return False
    return True


def _may_live(claim: Path) -> bool:
    place, pid, started, _ = claim.name.split(".")[-4:]
    if place != _place() or not pid.isdecimal():
        return True
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return started == _started(int(pid))


def _place() -> str:
    """Identifies the scope in which a process number is unique: this host since it booted, and this container."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts += [BOOT.read_text(encoding="ascii").strip(), os.readlink(NAMESPACE)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]


def _started(pid: int) -> str:
    """When a process started, in clock ticks since boot, because process numbers are reused; "0" if unknown."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return "0"


def _signature(claim: Path) -> str:
    try:
        return claim.read_text(encoding="utf-8", errors="replace").strip()[:200] or "another process"
    except OSError:
        return "another process"
