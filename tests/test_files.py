"""A file is written whole or not at all, whatever fails on the way."""

import builtins
import errno
import os
import subprocess
import sys

import pytest

from scratchnet import files
from scratchnet.files import atomic_write, write_bytes

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
        return lambda *arguments: (calls.append(name), call(*arguments))[1]

    for name in ("fsync", "replace"):
        monkeypatch.setattr(os, name, recorded(name))
    write_bytes(target, NEW)
    assert calls == (["fsync", "replace"] if os.name == "nt" else ["fsync", "replace", "fsync"])


def test_a_process_that_dies_on_the_way_leaves_the_old_file(target):
    program = (
        "import os, sys\n"
        "from scratchnet.files import atomic_write\n"
        "with atomic_write(sys.argv[1]) as file:\n"
        "    file.write(b'half')\n"
        "    file.flush()\n"
        "    os._exit(7)\n"
    )
    assert subprocess.run([sys.executable, "-c", program, str(target)], check=False).returncode == 7
    assert target.read_bytes() == OLD
    write_bytes(target, NEW)
    assert target.read_bytes() == NEW


def test_a_folder_that_is_not_there_is_an_error_and_is_not_made(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_bytes(tmp_path / "absent" / "new.bin", NEW)
    assert not list(tmp_path.iterdir())
