"""Every operation on the files of a folder, announced before it happens, so that it can fail or never return."""

import builtins
import functools
import io
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from scratchnet.files import locks

Announce = Callable[[str, Callable[[], object]], None]  # the operation's name, and what does half of it

ON_PATHS = ("mkdir", "rmdir", "unlink", "replace", "rename", "chmod", "scandir", "stat", "lstat", "access")
ON_DESCRIPTORS = ("fsync", "write", "ftruncate")


def nothing() -> None:
    """Half of an operation that is done at once."""


class AnnouncedFile(io.FileIO):
    """A file whose reads, writes and closing are announced; a failed close closes nevertheless, as on Linux."""

    announce: Announce

    def write(self, content: Any) -> int:
        self.announce("write", lambda: io.FileIO.write(self, memoryview(content)[: len(content) // 2]))
        return super().write(content)

    def readinto(self, buffer: Any) -> int:
        self.announce("read", nothing)
        return super().readinto(buffer)

    def readall(self) -> bytes:
        self.announce("read", nothing)
        return super().readall()

    def close(self) -> None:
        try:
            if not self.closed:
                self.announce("close", nothing)
        finally:
            super().close()


@contextmanager
def announced(folder: Path, announce: Announce) -> Iterator[None]:
    """Call announce(name, half) before each operation on anything in `folder`; what it raises, the operation raises."""
    real_open, root, ours = builtins.open, str(folder), set()

    def inside(path: Any) -> bool:
        return isinstance(path, str | os.PathLike) and os.fspath(path).startswith(root)

    def open_file(path: Any, mode: str = "r", buffering: int = -1, *rest: Any, **more: Any) -> Any:
        if not inside(path):
            return real_open(path, mode, buffering, *rest, **more)
        announce("open", nothing)
        raw = AnnouncedFile(os.fspath(path), mode.replace("b", "").replace("t", ""))
        raw.announce = announce
        kind = io.BufferedRandom if "+" in mode else io.BufferedReader if "r" in mode else io.BufferedWriter
        buffered: Any = kind(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, *rest, **more)

    def on_path(name: str, real: Any) -> Any:
        @functools.wraps(real)
        def call(path: Any, *arguments: Any, **options: Any) -> Any:
            if inside(path):
                announce(name, nothing)
            return real(path, *arguments, **options)

        return call

    def on_descriptor(name: str, real: Any) -> Any:
        def call(descriptor: int, *arguments: Any) -> Any:
            announce(name, nothing)
            return real(descriptor, *arguments)

        return call

    def open_descriptor(path: Any, *arguments: Any, **options: Any) -> int:
        if inside(path):
            announce("open", nothing)
        descriptor: int = real_os_open(path, *arguments, **options)
        if inside(path):
            ours.add(descriptor)
        return descriptor

    def close_descriptor(descriptor: int) -> None:
        try:
            if descriptor in ours:
                announce("close", nothing)
        finally:
            ours.discard(descriptor)
            real_os_close(descriptor)

    real_os_open, real_os_close = os.open, os.close
    with ExitStack() as patches:
        for module in (builtins, io):
            patches.enter_context(mock.patch.object(module, "open", open_file))
        for name in ON_PATHS:
            patches.enter_context(mock.patch.object(os, name, on_path(name, getattr(os, name))))
        for name in ON_DESCRIPTORS:
            patches.enter_context(mock.patch.object(os, name, on_descriptor(name, getattr(os, name))))
        patches.enter_context(mock.patch.object(os, "open", open_descriptor))
        patches.enter_context(mock.patch.object(os, "close", close_descriptor))
        if locks.fcntl:
            flock = on_descriptor("flock", locks.fcntl.flock)
            patches.enter_context(mock.patch.object(locks.fcntl, "flock", flock))
        yield
