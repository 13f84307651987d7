"""One process at a time, by the locks of every system and without any; a dead process keeps none."""

import errno
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scratchnet.errors import InUseError
from scratchnet.files import claims, locks
from scratchnet.files.locks import locked

# The locks of each system, as a prelude to a program.
SYSTEMS = {
    "this system": "",
    "Windows": """
import errno, types
real = locks.fcntl
def locking(descriptor, mode, _bytes):
    try:
        real.flock(descriptor, real.LOCK_UN if mode == 'unlock' else real.LOCK_EX | real.LOCK_NB)
    except OSError as error:
        raise PermissionError(errno.EACCES, 'Permission denied') from error
locks.fcntl, locks.msvcrt = None, types.SimpleNamespace(locking=locking, LK_NBLCK='lock', LK_UNLCK='unlock')
""",
    "a file system without locks": """
import errno
def flock(*_):
    raise OSError(errno.ENOLCK, 'No locks available')
if locks.fcntl: locks.fcntl.flock = flock
""",
    "no locks at all": "locks.fcntl = locks.msvcrt = None\n",
}
if os.name == "nt":
    SYSTEMS = {name: prelude for name, prelude in SYSTEMS.items() if name in ("this system", "no locks at all")}
every_system = pytest.mark.parametrize("system", SYSTEMS)
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

START = "import os, sys, time\nfrom pathlib import Path\nfrom scratchnet.files import locks\n"
HOLD = """
with locks.locked(Path(sys.argv[1]), 'the run', 'name another'):
    print('held', flush=True)
    time.sleep(60)
"""
TRY = """
try:
    with locks.locked(Path(sys.argv[1]), 'the run', 'name another'):
        print('mine')
except locks.InUseError as error:
    print(error)
"""
TAKE_TURNS = """
taken = 0
inside = Path(sys.argv[1]).with_name('inside')
deadline = time.monotonic() + 30
while taken < 15 and time.monotonic() < deadline:
    try:
        with locks.locked(Path(sys.argv[1]), 'the run', 'name another'):
            os.close(os.open(inside, os.O_CREAT | os.O_EXCL))
            time.sleep(0.001)
            inside.unlink()
            taken += 1
    except locks.InUseError:
        time.sleep(0.0005 * (os.getpid() % 7))
print(taken)
"""


def start(program, path):
    return subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True)


def holder(system, path):
    process = start(START + SYSTEMS[system] + HOLD, path)
    assert process.stdout.readline() == "held\n"
    return process


def attempt(system, path):
    """The output of a process that briefly takes the lock."""
    return start(START + SYSTEMS[system] + TRY, path).communicate()[0]


@every_system
def test_the_second_is_refused_in_one_line_that_names_the_first(system, tmp_path):
    with holder(system, tmp_path / ".lock") as first:
        before = sorted(tmp_path.iterdir())
        refusal = attempt(system, tmp_path / ".lock")
        assert sorted(tmp_path.iterdir()) == before
        first.kill()
    year = time.strftime("%Y")
    assert refusal.startswith(f"the run is in use by process {first.pid} on {socket.gethostname()} since {year}-")
    assert ": name another" in refusal
    assert refusal.count("\n") == 1


@every_system
def test_a_process_that_dies_keeps_no_lock_and_leaves_nothing_after_the_next(system, tmp_path):
    with holder(system, tmp_path / ".lock") as first:
        first.kill()
    assert attempt(system, tmp_path / ".lock") == "mine\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("system", [name for name in SYSTEMS if name != "Windows"])  # which deletes no open file
def test_no_two_hold_it_at_once_however_they_race(system, tmp_path):
    program = START + SYSTEMS[system] + TAKE_TURNS
    processes = [start(program, tmp_path / ".lock") for _ in range(4)]
    assert [process.communicate()[0] for process in processes] == ["15\n"] * 4
    assert not list(tmp_path.iterdir())


@needs_fork
@every_system
def test_a_forked_child_neither_releases_the_lock_nor_keeps_it_after_its_parent(system, tmp_path):
    forking = """
with locks.locked(Path(sys.argv[1]), 'the run', 'name another'):
    if os.fork() == 0:
        sys.exit()  # leaves the block
    os.wait()
    if os.fork() == 0:
        os.close(1)
        time.sleep(60)
        os._exit(0)
    print('held', flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", START + SYSTEMS[system] + forking, tmp_path / ".lock"],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        assert process.stdout.readline() == "held\n"
        assert "in use" in attempt(system, tmp_path / ".lock")
        process.kill()
        process.wait()
        assert attempt(system, tmp_path / ".lock") == "mine\n"
        os.killpg(process.pid, 9)


def test_a_thread_is_refused_what_another_holds_and_may_have_it_afterwards(tmp_path):
    with locked(tmp_path / ".lock", "the run", "wait"):
        message = f"^the run is in use by process {os.getpid()} on .*: wait$"
        with pytest.raises(InUseError, match=message), locked(tmp_path / ".lock", "the run", "wait"):
            pass
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    with locked(tmp_path / ".lock", "the run", "wait"):
        pass
    assert not list(tmp_path.iterdir())


def test_an_error_inside_releases_the_lock(tmp_path):
    with pytest.raises(ValueError, match="inside"), locked(tmp_path / ".lock", "the run", "wait"):
        raise ValueError("inside")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="Windows lets nobody write into a lock")
def test_a_signature_cannot_put_control_characters_into_the_message(tmp_path):
    with locked(tmp_path / ".lock", "the run", "wait"):
        (tmp_path / ".lock").write_bytes(b"\x1b[2Jprocess\n\xff 7\n")
        with pytest.raises(InUseError) as refusal, locked(tmp_path / ".lock", "the run", "wait"):
            pass
    assert str(refusal.value).isprintable()


def test_a_full_disk_leaves_the_lock_unsigned_and_held(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    refused = pytest.raises(InUseError, match="in use by another process")
    path = tmp_path / ".lock"
    with locked(path, "the run", "wait"), refused, locked(path, "the run", "wait"):
        pass


def claim(folder: Path, place: str, pid: int, started: str) -> Path:
    path = folder / f".lock.{place}.{pid}.{started}.01234567"
    path.write_text("process 4711 on elsewhere since 2026-11-27 20:00:00\n")
    return path


def take(folder: Path) -> None:
    with claims.claimed(folder / ".lock", "process 1 on here", "the run", "wait"):
        pass


def test_a_claim_from_another_machine_or_container_is_never_removed(tmp_path):
    foreign = claim(tmp_path, "deadbeef", 2**22 + 1, "0")
    with pytest.raises(InUseError) as refusal:
        take(tmp_path)
    assert str(refusal.value) == (
        "the run is in use by process 4711 on elsewhere since 2026-11-27 20:00:00: wait, "
        f"or delete {foreign} if that process is gone"
    )
    assert list(tmp_path.iterdir()) == [foreign]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
@pytest.mark.parametrize(
    ("started", "lives"), [(claims._started(os.getpid()), True), ("1", False)], ids=["ours", "other"]
)
def test_a_process_number_that_was_given_out_again_is_another_process(started, lives, tmp_path):
    claim(tmp_path, claims._place(), os.getpid(), started)
    if lives:
        with pytest.raises(InUseError):
            take(tmp_path)
    else:
        take(tmp_path)
        assert not list(tmp_path.iterdir())


def test_a_lock_file_that_its_last_holder_removes_meanwhile_is_made_anew(tmp_path, monkeypatch):
    path, tries, try_lock = tmp_path / ".lock", [], locks.try_lock

    def removed_first(descriptor):
        tries.append(descriptor)
        if len(tries) == 1:
            path.unlink()
        return try_lock(descriptor)

    monkeypatch.setattr(locks, "try_lock", removed_first)
    with locked(path, "the run", "wait"):
        assert path.exists()
        with pytest.raises(InUseError), locked(path, "the run", "wait"):
            pass
    assert len(tries) == 3
