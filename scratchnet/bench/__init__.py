"""`scratchnet bench`: timings of a training step, by layer, of embedding, next to other libraries, and of photos."""

from typing import TYPE_CHECKING  # isort: skip_file

__all__ = [
    "apart", "child", "embedding", "machine", "measure", "memory", "peers", "photos", "profile", "report",
    "timing", "workload",
]  # fmt: skip

if TYPE_CHECKING:
    from scratchnet.bench import (
        apart, child, embedding, machine, measure, memory, peers, photos, profile, report, timing, workload,
    )  # fmt: skip
else:
    from scratchnet.common.lazy import lazily

    __getattr__, __dir__ = lazily(__name__, __all__)
