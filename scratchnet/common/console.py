"""Printing: whole lines, in characters that the stream can encode, and without failing if there is no stream."""

import os
import sys
from contextlib import suppress
from typing import Any, TextIO

from scratchnet.errors import one_line


def say(*lines: object) -> None:
    """Print each argument as one line on stdout. Raises OSError, naming stdout, if writing fails."""
    write(sys.stdout, "".join(f"{one_line(str(line))}\n" for line in lines))


def note(*lines: object) -> None:
    """Print each argument as one line on stderr; errors in writing are ignored, as no remark is worth failing for."""
    with suppress(OSError):
        write(sys.stderr, "".join(f"{one_line(str(line))}\n" for line in lines))


def write(stream: TextIO | None, text: str) -> None:
    """Write and flush `text`, with escape sequences for characters that the encoding lacks.

    Does nothing if there is no stream, as under pythonw or a service manager. Raises OSError if writing fails.
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
    """Discard the buffered output, so that Python does not fail a second time when it flushes at exit."""
    with suppress(OSError, ValueError):  # there is no descriptor, as in a notebook
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def is_terminal(stream: Any) -> bool:
    """Whether `stream`, one of sys.stdin, sys.stdout and sys.stderr, is open and a terminal."""
    return stream is not None and not stream.closed and stream.isatty()
