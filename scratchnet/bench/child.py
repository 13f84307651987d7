"""Child processes that run one of our modules and end with their parent, however it ends."""

import os
import runpy
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from scratchnet.common.version import CODE


def run_module(module: str, argument: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m module argument` with the code that is running here; returns its output and exit code.

    An exception here, such as KeyboardInterrupt, kills the child.
    """
    with _lifeline() as end:
        return subprocess.run(
            command(__name__, module, argument),
            stdin=end,
            capture_output=True,
            check=False,
            encoding="utf-8",
            errors="replace",
            env=environment(),
        )


def command(module: str, *arguments: str) -> list[str]:
    """`python -m module arguments`; -P: the current folder may contain another json.py, or another scratchnet."""
    return [sys.executable, "-P", "-m", module, *arguments]


def environment() -> dict[str, str]:
    """An environment in which a child finds the code that is running here."""
    search = os.pathsep.join([os.path.dirname(CODE), *filter(None, [os.environ.get("PYTHONPATH")])])
    return os.environ | {"PYTHONPATH": search, "PYTHONIOENCODING": "utf-8"}


@contextmanager
def _lifeline() -> Iterator[int]:
    """The read end of a pipe whose write end closes when this process ends."""
    read, write = os.pipe()
    try:
        yield read
    finally:
        os.close(read)
        os.close(write)


def _end_with_parent() -> None:
    """In the child: exit as soon as the parent has, even if it was killed."""

    def wait() -> None:
        while os.read(0, 1):
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


if __name__ == "__main__":
    _end_with_parent()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
