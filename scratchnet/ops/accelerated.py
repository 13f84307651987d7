"""Definitions, and what is only faster.

The functions in `ops/` are definitions: a few plain lines that hold for arrays of any dtype on any device. Those marked
@accelerated have faster equivalents, in `ops/fast/` for the CPU and in `ops/cuda/` for a GPU. At each call
`ops/choose.py` decides which one runs; nothing else does. To run on the definitions alone:

    SCRATCHNET_OPS=definitions scratchnet gradcheck

    with sn.ops.definitions():
        loss = sn.train_step(net, optimiser, a, b, labels)
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache, wraps
from importlib import import_module
from typing import Any, TypeVar

from scratchnet.errors import BackendError

Function = TypeVar("Function", bound=Callable[..., Any])

_definitions_only: ContextVar[bool | None] = ContextVar("definitions_only", default=None)  # None: the environment says


@contextmanager
def definitions() -> Iterator[None]:
    """Compute everything inside this block by the definitions alone."""
    token = _definitions_only.set(True)
    try:
        yield
    finally:
        _definitions_only.reset(token)


def accelerated(definition: Function) -> Function:
    """The function itself, or a faster equivalent that `choose.faster` picks at each call; by position only."""
    module, name = definition.__module__.rpartition(".")[2], definition.__name__

    @wraps(definition)
    def run(*arguments: Any) -> Any:
        chosen = None if definitions_only() else _choose().faster(module, name, arguments)
        return (chosen or definition)(*arguments)

    run.definition = definition  # type: ignore[attr-defined]
    return run  # type: ignore[return-value]


def definition_of(function: Function) -> Function:
    """The definition that an accelerated function stands for."""
    return function.definition  # type: ignore[attr-defined]


def definitions_only() -> bool:
    """Whether the block or the environment asks for the definitions. Raises BackendError for a misspelt variable."""
    inside = _definitions_only.get()
    return _environment(os.environ.get("SCRATCHNET_OPS", "")) if inside is None else inside


def _environment(value: str) -> bool:
    if value not in ("", "definitions"):
        raise BackendError(f"SCRATCHNET_OPS={value}: set it to definitions, or leave it out")
    return value == "definitions"


def convolutions() -> list[str]:
    """The algorithms that a convolution can be asked for: "auto", and those in the table of `ops/choose.py`."""
    return ["auto", *_choose().CONVOLUTIONS]


@lru_cache(maxsize=1)
def _choose() -> Any:
    """`ops/choose.py`, loaded at the first call: it imports everything that is only faster, and that imports us."""
    return import_module("scratchnet.ops.choose")
