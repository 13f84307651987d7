"""Pure functions of arrays, each forward beside its backward."""

from typing import TYPE_CHECKING

__all__ = ["conv", "cuda", "fast", "finite", "norm", "pool", "windows"]

if TYPE_CHECKING:
    from scratchnet.ops import conv, cuda, fast, finite, norm, pool, windows
else:
    from scratchnet.common.lazy import lazily

    __getattr__, __dir__ = lazily(__name__, __all__)
