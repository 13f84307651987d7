"""Utilities that the whole package uses and that know nothing of arrays. Modules are loaded on first use."""

from typing import TYPE_CHECKING

__all__ = ["caches", "console", "lazy", "notes", "spelling", "version"]

if TYPE_CHECKING:
    from scratchnet.common import caches, console, lazy, notes, spelling, version
else:
    from scratchnet.common.lazy import lazily

    __getattr__, __dir__ = lazily(__name__, __all__)
