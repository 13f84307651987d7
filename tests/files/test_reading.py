"""Only regular files are read, and no more of them than was asked for; every refusal has a reason."""

import os

import pytest

from scratchnet.files.reading import expect_file, open_file, read_file, reason

needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes in folders")


def test_a_file_and_a_link_to_one_are_read(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    for name in ("file", "link"):
        assert read_file(tmp_path / name, 7) == b"content"
        with open_file(tmp_path / name) as file:
            assert file.read() == b"content"


def test_one_byte_more_than_the_bound_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    with pytest.raises(OSError, match="it has more than 6 bytes"):
        read_file(tmp_path / "file", 6)


def test_a_folder_and_nothing_at_all_are_refused(tmp_path):
    with pytest.raises(IsADirectoryError, match="it is a folder"):
        expect_file(tmp_path)
    with pytest.raises(FileNotFoundError):
        expect_file(tmp_path / "absent")


@needs_pipes
def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="it is a pipe, a socket or a device, not a file"):
        read_file(tmp_path / "pipe", 10)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(2, "No such file or directory", "a/path"), "No such file or directory"),
        (ValueError("two\nlines"), "two lines"),
        (ValueError("x" * 1000), "x" * 200),
        (KeyError(), "KeyError"),
    ],
)
def test_a_reason_is_short_and_has_no_path(error, words):
    assert reason(error) == words
