"""Drawings: data sets, splits, and the sampling of pairs and episodes. Modules are loaded on first use."""

from typing import TYPE_CHECKING  # isort: skip_file

__all__ = [
    "alphabets", "archive", "download", "drawings", "episodes", "fetch", "folders", "glyphs", "locate", "mnist",
    "omniglot", "own", "pairs", "splits", "uneven",
]  # fmt: skip

if TYPE_CHECKING:
    from scratchnet.data import (
        alphabets, archive, download, drawings, episodes, fetch, folders, glyphs, locate, mnist, omniglot, own,
        pairs, splits, uneven,
    )  # fmt: skip
else:
    from scratchnet.common.lazy import lazily

    __getattr__, __dir__ = lazily(__name__, __all__)
