"""Pictures of training runs and networks, for print: each module draws one kind, from data to a matplotlib Figure.

`scratchnet plot` draws what runs can give (`pictures.py`). matplotlib, of the extra `study`, is imported when a picture
is drawn. No picture touches pyplot, its backend or its settings.
"""

from typing import TYPE_CHECKING  # isort: skip_file

__all__ = [
    "alignment", "atlas", "confusions", "curves", "embedding", "filters", "gradients", "page", "pictures", "subjects",
    "warps",
]  # fmt: skip

if TYPE_CHECKING:
    from scratchnet.explain.plots import (
        alignment, atlas, confusions, curves, embedding, filters, gradients, page, pictures, subjects, warps,
    )  # fmt: skip
else:
    from scratchnet.common.lazy import lazily

    __getattr__, __dir__ = lazily(__name__, __all__)
