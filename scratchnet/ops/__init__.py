"""Pure functions of arrays, each forward beside its backward. A module is loaded when it is first used."""

from typing import TYPE_CHECKING

__all__ = [
    "conv", "conv_bands", "conv_cost", "conv_dft", "conv_im2col", "cuda", "dft", "finite", "frame", "norm", "pool",
    "resize", "warp", "windows",
]

if TYPE_CHECKING:
    from scratchnet.ops import (
        conv,
        conv_bands,
        conv_cost,
        conv_dft,
        conv_im2col,
        cuda,
        dft,
        finite,
        frame,
        norm,
        pool,
        resize,
        warp,
        windows,
    )
else:
    from scratchnet.lazy import lazily

    __getattr__, __dir__ = lazily(__name__, __all__)
