"""Open regular files for reading, and nothing else: reading a pipe or a device may block or never end."""

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path


def expect_file(path: Path | str) -> None:
    """Raise OSError, with the reason, unless `path` is a regular file or a link to one."""
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is a pipe, a socket or a device, not a file", str(path))


def open_file(path: Path | str) -> BufferedReader:
    """Open a regular file, or a link to one, for reading. Raises OSError, with the reason, for anything else."""
    expect_file(path)
    return open(path, "rb")


def read_file(path: Path | str, most: int) -> bytes:
    """The content of a regular file of at most `most` bytes. Raises OSError, with the reason, for anything else."""
    with open_file(path) as file:
        content = file.read(min(most, os.fstat(file.fileno()).st_size) + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"it has more than {most:,} bytes", str(path))
    return content


def reason(error: Exception) -> str:
    """Why reading failed, in a few words, without the path."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split())[:200] or type(error).__name__
