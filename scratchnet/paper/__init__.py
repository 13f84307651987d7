"""The paper (Koch, Zemel and Salakhutdinov 2015) by its own network: its tables, its search, and what its gaps cost."""

from typing import TYPE_CHECKING  # isort: skip_file

__all__ = [
    "SCALES", "Scale", "cells", "choices", "initialisation", "judge", "ladder", "method", "record", "report",
    "reproduce", "scales", "search", "table", "tune",
]  # fmt: skip

if TYPE_CHECKING:
    from scratchnet.paper import (
        cells, choices, initialisation, judge, ladder, method, record, report, reproduce, scales, search, table, tune,
    )  # fmt: skip
    from scratchnet.paper.scales import SCALES, Scale
else:
    from scratchnet.common.lazy import lazily

    __getattr__, __dir__ = lazily(__name__, __all__, {"SCALES": "scales", "Scale": "scales"})
