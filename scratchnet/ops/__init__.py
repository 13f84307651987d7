"""Pure functions of arrays, each forward beside its backward: definitions; `fast` and `cuda` are only faster.

`definitions()` runs everything inside its block by the definitions alone, as SCRATCHNET_OPS=definitions does.
"""

from typing import TYPE_CHECKING

__all__ = [
    "accelerated", "choose", "conv", "cuda", "definitions", "dense", "fast", "finite", "inference", "norm",
    "norm_relu", "pixels", "pool", "update", "windows",
]  # fmt: skip

if TYPE_CHECKING:
    from scratchnet.ops import accelerated, choose, conv, cuda, dense, fast, finite, inference, norm, norm_relu, pixels, pool, update, windows  # fmt: skip  # noqa: E501, I001
    from scratchnet.ops.accelerated import definitions
else:
    from scratchnet.common.lazy import lazily

    __getattr__, __dir__ = lazily(__name__, __all__, {"definitions": "accelerated"})
