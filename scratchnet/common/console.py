"""Where the program prints: whole lines, of what the terminal can show, whether or not there is one."""

import os
import sys
from contextlib import suppress
from typing import Any, TextIO

from scratchnet.errors import one_line


def say(*lines: object) -> None:
    """Print each argument as one line on stdout. Raises OSError, naming stdout, where that cannot be written."""
    write(sys.stdout, "".join(f"{one_line(str(line))}\n" for line in lines))


def note(*lines: object) -> None:
    """Print each argument as one line on stderr, if that can be written: nothing fails for want of a remark."""
    with suppress(OSError):
        write(sys.stderr, "".join(f"{one_line(str(line))}\n" for line in lines))


def write(stream: TextIO | None, text: str) -> None:
    """Write `text` as it is, but for characters that the encoding lacks, and flush it.

    Does nothing without a stream, as under pythonw or a service manager. Raises OSError where it cannot be written.
    """
    if stream is None or stream.closed:
        return
    encoding = stream.encoding or "utf-8"  # a StringIO has none
    try:
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except OSError as error:
        _let_go(stream)
        raise OSError(error.errno, error.strerror, "stderr" if stream is sys.stderr else "stdout") from error


def _let_go(stream: TextIO) -> None:
    """What could not be written goes nowhere, so that Python does not fail on it once more when it ends."""
    with suppress(OSError, ValueError):  # no descriptor, as in a notebook
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def is_terminal(stream: Any) -> bool:
    """Whether somebody may sit at `stream`, one of sys.stdin, sys.stdout and sys.stderr."""
    return stream is not None and not stream.closed and stream.isatty()
