"""The same functions as in `ops`, only faster."""

from typing import TYPE_CHECKING

__all__ = [
    "conv_bands",
    "conv_cost",
    "conv_dft",
    "conv_im2col",
    "conv_winograd",
    "dft",
    "inference",
    "norm",
    "norm_relu",
    "pixels",
    "pool",
    "small",
    "spectra",
    "winograd",
]

if TYPE_CHECKING:
    from scratchnet.ops.fast import (
        conv_bands,
        conv_cost,
        conv_dft,
        conv_im2col,
        conv_winograd,
        dft,
        inference,
        norm,
        norm_relu,
        pixels,
        pool,
        small,
        spectra,
        winograd,
    )
else:
    from scratchnet.common.lazy import lazily

    __getattr__, __dir__ = lazily(__name__, __all__)
