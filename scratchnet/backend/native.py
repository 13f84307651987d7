"""C libraries loaded by the process, as far as Python can call them."""

from functools import lru_cache
from typing import Any

try:
    import ctypes
except ImportError:  # Python was built without libffi
    ctypes = None  # type: ignore[assignment]


@lru_cache(maxsize=16)
def library(path: str | None) -> Any:
    """The shared library at `path`, or, for None, everything the process has loaded; None if it cannot be called."""
    try:
        return ctypes.CDLL(path) if ctypes else None
    except (OSError, TypeError):  # it does not load; or Windows, where a path is required
        return None


def function(owner: Any, *names: str) -> Any:
    """The first function of a library among `names`; None if it has none of them."""
    return next((getattr(owner, name) for name in names if hasattr(owner, name)), None)


def call_for_text(asked: Any) -> str:
    """The C string that a function without arguments returns."""
    asked.restype = ctypes.c_char_p
    found: bytes = asked()
    return found.decode("ascii", "replace")
