"""Libraries in C that the process has loaded, where Python can call them."""

from functools import lru_cache
from typing import Any

try:
    import ctypes
except ImportError:  # Python was built without libffi
    ctypes = None  # type: ignore[assignment]


@lru_cache(maxsize=16)
def library(path: str | None) -> Any:
    """The shared library at `path`, or for None all that the process has loaded; None where it cannot be called."""
    try:
        return ctypes.CDLL(path) if ctypes else None
    except (OSError, TypeError):  # it does not load, or the system has no library without a path, as Windows
        return None


def function(owner: Any, *names: str) -> Any:
    """The first of the functions called `names` that a library has; None where it has none of them."""
    return next((getattr(owner, name) for name in names if hasattr(owner, name)), None)


def call_for_text(asked: Any) -> str:
    """What a function without arguments returns as a string of C."""
    asked.restype = ctypes.c_char_p
    found: bytes = asked()
    return found.decode("ascii", "replace")
