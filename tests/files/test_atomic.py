"""A file is written whole or not at all, whatever fails on the way."""

import builtins
import errno
import os
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from scratchnet.files import atomic as files
from scratchnet.files.atomic import atomic_write, sweep, write_bytes

needs_posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions, links and pipes")
OLD, NEW = b"what was there before", b"what comes in its place"


@pytest.fixture
def target(tmp_path):
    """A file that exists, alone in its folder."""
    path = tmp_path / "target.bin"
    path.write_bytes(OLD)
    return path


def assert_untouched(target):
    assert target.read_bytes() == OLD
    assert list(target.parent.iterdir()) == [target]


def no_space(*_arguments, **_options):
    raise OSError(errno.ENOSPC, "No space left on device")


def overwrite(target, error=None):
    with atomic_write(target) as file:
        for _ in range(3):
            file.write(NEW)
        if error:
            raise error


class FullDisk:
    """A file whose write number `limit` fails, as on a full disk."""

    def __init__(self, file, limit):
        self.file, self.left = file, limit

    def __enter__(self):
        self.file.__enter__()
        return self

    def __exit__(self, *exception):
        return self.file.__exit__(*exception)

    def __getattr__(self, name):
        return getattr(self.file, name)

    def write(self, content):
        self.left -= 1
        if self.left < 0:
            no_space()
        return self.file.write(content)


def test_the_file_has_exactly_the_bytes_that_were_written(tmp_path):
    with atomic_write(tmp_path / "new.bin") as file:
        file.write(NEW)
        file.write(OLD)
    assert (tmp_path / "new.bin").read_bytes() == NEW + OLD
    assert [path.name for path in tmp_path.iterdir()] == ["new.bin"]


def test_a_name_may_be_a_relative_string(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_bytes("new.bin", NEW)
    assert (tmp_path / "new.bin").read_bytes() == NEW


def test_until_the_end_the_old_file_is_the_one_that_readers_see(target):
    with atomic_write(target) as file:
        file.write(NEW)
        file.flush()
        assert target.read_bytes() == OLD
    assert target.read_bytes() == NEW


def test_a_new_name_appears_only_at_the_end(tmp_path):
    with atomic_write(tmp_path / "new.bin") as file:
        file.write(NEW)
        assert not (tmp_path / "new.bin").exists()
    assert (tmp_path / "new.bin").exists()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_on_the_way_leaves_the_old_file_and_no_litter(target, error):
    with pytest.raises(error):
        overwrite(target, error)
    assert_untouched(target)


@pytest.mark.parametrize("limit", range(3))
def test_a_disk_that_fills_up_at_any_write_leaves_the_old_file_and_no_litter(target, limit, monkeypatch):
    def open_on_a_full_disk(*arguments):
        return FullDisk(builtins.open(*arguments), limit)

    monkeypatch.setattr(files, "open", open_on_a_full_disk, raising=False)
    with pytest.raises(OSError, match="No space left"):
        overwrite(target)
    assert_untouched(target)


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_system_call_that_fails_leaves_the_old_file_and_no_litter(target, call, monkeypatch):
    monkeypatch.setattr(os, call, no_space)
    with pytest.raises(OSError, match="No space left"):
        write_bytes(target, NEW)
    assert_untouched(target)


def test_the_bytes_are_on_the_disk_before_the_name_moves_and_the_folder_after_it(target, monkeypatch):
    calls = []

    def recorded(name):
        call = getattr(os, name)

        def record(*arguments):
            calls.append(name)
            return call(*arguments)

        return record

    for name in ("fsync", "replace"):
        monkeypatch.setattr(os, name, recorded(name))
    write_bytes(target, NEW)
    assert calls == (["fsync", "replace"] if os.name == "nt" else ["fsync", "replace", "fsync"])


def test_a_process_that_dies_on_the_way_leaves_the_old_file(target):
    with writer(target) as process:
        process.stdin.close()
    assert process.returncode == 7
    assert target.read_bytes() == OLD
    write_bytes(target, NEW)
    assert target.read_bytes() == NEW


def test_a_folder_that_is_not_there_is_an_error_and_is_not_made(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_bytes(tmp_path / "absent" / "new.bin", NEW)
    assert not list(tmp_path.iterdir())


# File systems that cannot sync


def refusing(code, kind):
    """os.fsync on a file system that refuses it for a kind of file."""
    real = os.fsync

    def fsync(descriptor):
        if kind(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))
        real(descriptor)

    return fsync


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EPERM, errno.EACCES, errno.EBADF])
@pytest.mark.parametrize("kind", [stat.S_ISDIR, stat.S_ISREG], ids=["folders", "files"])
def test_what_a_file_system_cannot_sync_is_saved_as_well_as_it_can(kind, code, target, monkeypatch):
    monkeypatch.setattr(os, "fsync", refusing(code, kind))
    write_bytes(target, NEW)
    assert target.read_bytes() == NEW
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("kind", [stat.S_ISDIR, stat.S_ISREG], ids=["folders", "files"])
def test_a_disk_that_fails_to_sync_is_an_error(kind, code, target, monkeypatch):
    if kind is stat.S_ISDIR and os.name == "nt":
        pytest.skip("Windows syncs no folders")
    monkeypatch.setattr(os, "fsync", refusing(code, kind))
    with pytest.raises(OSError, match=os.strerror(code)):
        write_bytes(target, NEW)
    assert target.read_bytes() == (OLD if kind is stat.S_ISREG else NEW)
    assert list(target.parent.iterdir()) == [target]


def test_a_folder_that_may_be_written_but_not_read_is_written(target, monkeypatch):
    def unreadable(path, *arguments):
        if os.path.isdir(path):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(path, *arguments)

    real = os.open
    monkeypatch.setattr(os, "open", unreadable)
    monkeypatch.setattr(os, "scandir", unreadable)
    write_bytes(target, NEW)
    assert target.read_bytes() == NEW


# Names, permissions, links and devices


@needs_posix
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_a_new_file_has_the_permissions_that_the_umask_gives(mask, tmp_path):
    before = os.umask(mask)
    try:
        write_bytes(tmp_path / "new.bin", NEW)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new.bin").stat().st_mode) == 0o666 & ~mask


@needs_posix
@pytest.mark.parametrize("mode", [0o600, 0o664])
def test_an_old_file_keeps_its_permissions(mode, target):
    target.chmod(mode)
    write_bytes(target, NEW)
    assert stat.S_IMODE(target.stat().st_mode) == mode


def test_a_read_only_file_is_refused_as_open_refuses_it(target, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, how: False)  # which root never sees
    with pytest.raises(PermissionError, match=r"target\.bin"):
        write_bytes(target, NEW)
    assert_untouched(target)


@needs_posix
@pytest.mark.parametrize("there", [True, False], ids=["a file", "nothing yet"])
def test_a_link_is_followed_and_stays_a_link(there, target, tmp_path):
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "link.bin"
    link.symlink_to("../target.bin")
    if not there:
        target.unlink()
    write_bytes(link, NEW)
    assert link.is_symlink()
    assert target.read_bytes() == NEW
    assert list(link.parent.iterdir()) == [link]


@needs_posix
def test_a_pipe_is_written_and_not_replaced_by_a_file(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE) as reader:
        write_bytes(pipe, NEW)
        assert reader.communicate()[0] == NEW
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_folder_is_refused_before_anything_is_written(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises((IsADirectoryError, PermissionError), match="folder"), atomic_write(tmp_path / "folder"):
        pytest.fail("opened")
    assert list(tmp_path.iterdir()) == [tmp_path / "folder"]


def test_a_name_as_long_as_file_systems_allow_is_written(tmp_path):
    path = tmp_path / ("n" * 251 + ".bin")
    write_bytes(path, NEW)
    assert list(tmp_path.iterdir()) == [path]


# Litter, and several writers

DYING = """
import os, sys
from scratchnet.files.atomic import atomic_write
with atomic_write(sys.argv[1]) as file:
    file.write(b'half')
    file.flush()
    print(flush=True)
    sys.stdin.read()
    os._exit(7)
"""


def writer(target):
    """A process that has begun to write, and dies when its input is closed."""
    process = subprocess.Popen(
        [sys.executable, "-c", DYING, str(target)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    process.stdout.readline()
    return process


def test_what_a_dead_writer_left_goes_and_what_a_living_one_writes_stays(target):
    with writer(target) as dead:
        (litter,) = set(target.parent.iterdir()) - {target}
        dead.kill()
    with writer(target) as living:
        (temporary,) = set(target.parent.iterdir()) - {target}
        assert temporary != litter
        sweep(target.parent, target.name)
        write_bytes(target, NEW)
        assert set(target.parent.iterdir()) == {target, temporary}
        living.stdin.close()
    sweep(target.parent, target.name)
    assert list(target.parent.iterdir()) == [target]


def test_only_temporary_files_of_the_same_name_are_swept(target):
    others = [
        f".other.bin.{'0' * 12}.tmp",
        ".target.bin.tmp",
        ".target.bin.notes.tmp",
        f"target.bin.{'0' * 12}.tmp",
        f".target.bin.{'0' * 12}",
        f".target.bin.{'z' * 12}.tmp",
    ]
    for name in others:
        (target.parent / name).touch()
    (target.parent / f".target.bin.{'0' * 12}.tmp").touch()
    write_bytes(target, NEW)
    assert {path.name for path in target.parent.iterdir()} == {target.name, *others}


@pytest.mark.parametrize(("age", "swept"), [(10, False), (2 * files.ABANDONED, True)])
def test_without_locks_an_hour_without_a_write_decides(age, swept, target, monkeypatch):
    monkeypatch.setattr(files, "try_lock", lambda descriptor: None)
    litter = target.with_name(f".target.bin.{'0' * 12}.tmp")
    litter.touch()
    os.utime(litter, (time.time() - age,) * 2)
    write_bytes(target, NEW)
    assert litter.exists() != swept


def test_a_temporary_file_that_was_swept_before_it_was_locked_is_made_anew(target, monkeypatch):
    taken = []

    def swept_first(descriptor):
        taken.append(descriptor)
        if len(taken) == 1:
            for path in set(target.parent.iterdir()) - {target}:
                path.unlink()
        return True

    monkeypatch.setattr(files, "try_lock", swept_first)
    monkeypatch.setattr(files, "sweep", lambda *_: None)
    write_bytes(target, NEW)
    assert len(taken) == 2
    assert target.read_bytes() == NEW


def test_writers_with_one_process_number_never_mix_their_bytes(target, monkeypatch):
    """As two containers in one folder have them, or threads."""
    contents = [bytes([number]) * 100_000 for number in range(4)]

    def write_often(content):
        for _ in range(20):
            with atomic_write(target) as file:
                file.write(content[:50_000])
                file.write(content[50_000:])
            assert target.read_bytes() in contents

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write_often, contents))
    assert list(target.parent.iterdir()) == [target]


def test_of_two_writers_at_once_the_last_to_finish_wins(target):
    with atomic_write(target) as slow:
        slow.write(NEW)
        with atomic_write(target) as fast:
            fast.write(b"fast")
        assert target.read_bytes() == b"fast"
    assert target.read_bytes() == NEW
    assert list(target.parent.iterdir()) == [target]


def test_on_windows_a_closed_file_is_renamed_again_and_again_until_the_reader_lets_go(target, monkeypatch):
    opened, refusals, replace = [], 2, os.replace

    def create(path):
        opened.append(made := temporary(path))
        return made

    def reluctant(source, destination):
        nonlocal refusals
        assert opened[0][0].closed
        refusals -= 1
        if refusals >= 0:
            raise PermissionError(errno.EACCES, "Access is denied")
        replace(source, destination)

    temporary = files._temporary
    monkeypatch.setattr(files, "_temporary", create)
    monkeypatch.setattr(files, "WINDOWS", True)
    monkeypatch.setattr(files.time, "sleep", lambda _: None)
    monkeypatch.setattr(os, "replace", reluctant)
    write_bytes(target, NEW)
    assert target.read_bytes() == NEW
