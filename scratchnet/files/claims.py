"""One process at a time, where there are no locks: each process lays down a file that names it, and looks for others.

A claim is a file LOCK.PLACE.PID.STARTED.RANDOM, never used twice, so removing a dead one cannot remove another. Of two
processes that come at once, the one that looks later sees both claims: at most one goes on, and perhaps none.
"""

import hashlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from scratchnet.errors import InUseError

BOOT, NAMESPACE = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")  # where the system is Linux


@contextmanager
def claimed(path: Path, holder: str, what: str, remedy: str) -> Iterator[None]:
    """Hold the lock called `path`; raises InUseError when a process that may be alive does.

    A process of this machine that is dead does not count. Whether one of another machine, or of another container,
    is alive cannot be known: the error names the file to delete.
    """
    owner = os.getpid()
    own = path.with_name(f"{path.name}.{_place()}.{owner}.{_started(owner)}.{os.urandom(4).hex()}")
    try:
        with open(own, "x", encoding="utf-8") as file:  # Windows deletes no open file: a living holder's claim stays
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
    """Whether the claim is gone; that of a dead process is removed."""
    if os.name != "nt" and _may_live(claim):
        return False
    try:
        claim.unlink(missing_ok=True)
    except PermissionError:  # open, on Windows; or another user's
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
    """Where a process number means one process: this host since it started, and this container."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts += [BOOT.read_text(encoding="ascii").strip(), os.readlink(NAMESPACE)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]


def _started(pid: int) -> str:
    """When a process started, in ticks since the system did, as numbers are given out again; 0 where unknown."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return "0"


def _signature(claim: Path) -> str:
    try:
        return claim.read_text(encoding="utf-8", errors="replace").strip()[:200] or "another process"
    except OSError:
        return "another process"
