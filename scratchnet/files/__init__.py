"""Files: written whole or not at all, read strictly, and locked while they are written. Modules load on first use."""

from typing import TYPE_CHECKING

__all__ = ["atomic", "claims", "locks", "npz", "quantise", "reading", "zips"]

if TYPE_CHECKING:
    from scratchnet.files import atomic, claims, locks, npz, quantise, reading, zips
else:
    from scratchnet.common.lazy import lazily

    __getattr__, __dir__ = lazily(__name__, __all__)
