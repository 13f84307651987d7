"""An index: the embeddings of very many pictures on disk, and the search for those that are most like a query.

`scratchnet index build | add | search` on the command line; in Python

    from scratchnet.exchange.index import Pictures, build_index, open_index

    build_index("letters.index", Pictures("letters"), net)
    open_index("letters.index").search(["query.png"], top=5)
"""

from typing import TYPE_CHECKING  # isort: skip_file

__all__ = [
    "Array", "Index", "Pictures", "add_to_index", "build", "build_index", "neighbours", "open_index", "search",
    "sources", "store",
]  # fmt: skip

if TYPE_CHECKING:
    from scratchnet.exchange.index import build, neighbours, search, sources, store
    from scratchnet.exchange.index.build import add_to_index, build_index
    from scratchnet.exchange.index.search import Index, open_index
    from scratchnet.exchange.index.sources import Array, Pictures
else:
    from scratchnet.common.lazy import lazily

    __getattr__, __dir__ = lazily(__name__, __all__, {
        "add_to_index": "build", "build_index": "build", "Index": "search", "open_index": "search",
        "Array": "sources", "Pictures": "sources",
    })  # fmt: skip
