"""Seeing backpropagation happen: every number of a pair's way through a network, and where it comes from.

`scratchnet explain --html page.html` on the command line; in Python

    from scratchnet.explain import example, write_page

    write_page("page.html", example(net, ("one.png", "another.png")))
"""

from typing import TYPE_CHECKING  # isort: skip_file

__all__ = [
    "Example", "bugs", "example", "examples", "initialisation", "numbers", "one_step", "page", "plots", "proofs",
    "stages", "write_page",
]  # fmt: skip

if TYPE_CHECKING:
    from scratchnet.explain import bugs, examples, initialisation, numbers, one_step, page, plots, proofs, stages
    from scratchnet.explain.examples import Example, example
    from scratchnet.explain.page import write_page
else:
    from scratchnet.common.lazy import lazily

    __getattr__, __dir__ = lazily(
        __name__, __all__, {"Example": "examples", "example": "examples", "write_page": "page"}
    )
